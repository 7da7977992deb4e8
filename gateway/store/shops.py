"""Shops as operators manage them. All runs within the caller's transaction (`Database.run`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.errors import Fault, Refusal
from gateway.store import fields, queries
from gateway.store.records import Shop, announce, read_shops

if TYPE_CHECKING:
    import asyncpg

    from config.settings import SmsSettings, SpeechSettings

REQUIRED = ("code", "name", "main_phone", "contact_email", "time_zone")
SPOKEN = ("language", "voice", "engines", "allowed")
OPTIONAL = ("support_until", "method", *SPOKEN)
CHANGEABLE = (*REQUIRED[1:], *OPTIONAL)
"""The fields that `set_shop` takes: a shop's code is for ever, it stands in others' records."""


def _sql(name: str) -> str:
    return queries.load("admin")[name]


def _readers(sms: SmsSettings, speech: SpeechSettings | None) -> dict[str, fields.Reader]:
    engines = () if speech is None else speech.engines
    return {
        "code": fields.code,
        "name": fields.name,
        "main_phone": partial(
            fields.main_phone, region=sms.default_region, countries=sms.countries
        ),
        "contact_email": fields.email,
        "time_zone": fields.time_zone,
        "support_until": fields.support_until,
        "method": fields.method,
        "language": fields.language,
        "voice": partial(fields.voice, engines=engines),
        "engines": partial(fields.engine_names, engines=engines),
        "allowed": partial(fields.engine_names, engines=engines),
    }


async def add_shop(
    connection: asyncpg.Connection,
    values: Mapping[str, str | None],
    sms: SmsSettings,
    speech: SpeechSettings | None = None,
) -> Shop:
    """Add a shop from the texts of its fields (`REQUIRED`, `OPTIONAL`); `sms` for reading phones,
    `speech` for the engines that there are.

    Raises a Refusal that names every faulty field, or the code if it is taken.
    """
    blank = dict.fromkeys((*REQUIRED, *OPTIONAL))
    stored = fields.read(blank | dict(values), _readers(sms, speech), "the shop")
    columns = [stored[field] for field in (*REQUIRED, *OPTIONAL)]
    if await connection.fetchval(_sql("add_shop"), *columns) is None:
        fault = Fault(
            "code", "is taken", "choose another, or change that shop with `gateway shop set`"
        )
        raise Refusal("invalid-request", f"there is a shop {stored['code']} already", (fault,))
    shop = await get_shop(connection, str(stored["code"]))
    await announce(connection, f"shop {shop.id}")
    return shop


async def get_shop(connection: asyncpg.Connection, code: str) -> Shop:
    """The shop that the outside calls `code`. Raises a Refusal if there is none."""
    return await _find(connection, code, "shop_by_code")


async def lock_shop(connection: asyncpg.Connection, code: str) -> Shop:
    """The same, and until the transaction ends nobody else changes the shop or its numbers."""
    return await _find(connection, code, "lock_shop")


async def _find(connection: asyncpg.Connection, code: str, statement: str) -> Shop:
    rows = await connection.fetch(_sql(statement), code) if fields.is_storable(code) else []
    for shop in await read_shops(connection, rows):
        return shop
    raise Refusal(
        "not-found",
        f"there is no shop {code!r:.80}",
        (Fault("shop", "is not the code of a shop"),),
        hint="`gateway shop list` shows all of them",
    )


async def list_shops(connection: asyncpg.Connection) -> list[Shop]:
    """All shops, by code."""
    return await read_shops(connection, await connection.fetch(_sql("all_shops")))


async def set_shop(
    connection: asyncpg.Connection,
    code: str,
    values: Mapping[str, str | None],
    sms: SmsSettings,
    speech: SpeechSettings | None = None,
) -> Shop:
    """Change the named fields (`CHANGEABLE`) of a shop, and return it as it is then.

    None or an empty text clears an optional field. Raises a Refusal as `add_shop` does.
    """
    known = _readers(sms, speech)
    readers = {field: reader for field, reader in known.items() if field in CHANGEABLE}
    stored = fields.read(values, readers, "the shop")
    shop = await lock_shop(connection, code)
    if stored.get("main_phone") in {number.number for number in shop.numbers}:
        raise loop_refusal("main_phone")
    columns: list[Any] = [stored.get(field, _present(shop, field)) for field in CHANGEABLE]
    await connection.execute(_sql("set_shop"), shop.id, *columns)
    return await _changed(connection, shop)


def _present(shop: Shop, field: str) -> Any:
    return getattr(shop.speech if field in SPOKEN else shop, field)


def loop_refusal(field: str) -> Refusal:
    """Why a shop's main phone cannot be its own number: calls to that go to the main phone."""
    fault = Fault(
        field,
        "would be both the shop's main phone and its SMS number",
        "calls to the SMS number are transferred to the main phone: give two different numbers",
    )
    return Refusal("invalid-request", f"{fault.field} {fault.problem}", (fault,))


async def hold_shop(connection: asyncpg.Connection, code: str) -> Shop:
    """Stop sending for a shop: its messages wait. Holding twice is no error."""
    return await _set_held(connection, code, is_held=True)


async def release_shop(connection: asyncpg.Connection, code: str) -> Shop:
    """Send for a shop again."""
    return await _set_held(connection, code, is_held=False)


async def _set_held(connection: asyncpg.Connection, code: str, *, is_held: bool) -> Shop:
    shop = await lock_shop(connection, code)
    await connection.execute(_sql("set_held"), shop.id, is_held)
    return await _changed(connection, shop)


async def _changed(connection: asyncpg.Connection, shop: Shop) -> Shop:
    await announce(connection, f"shop {shop.id}")
    return await get_shop(connection, shop.code)
