"""The accounts of ESMEs as operators manage them. All runs within the caller's transaction."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gateway.errors import Fault, Refusal
from gateway.model import Category
from gateway.store import queries
from gateway.store.passwords import hash_password, make_password
from gateway.store.shops import get_shop

if TYPE_CHECKING:
    import asyncpg

CHANNEL = "gateway_esme"
"""The NOTIFY channel: accounts are read again whenever something comes on it."""

_SYSTEM_ID = re.compile(r"[!-~]{1,15}")
_HOST_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_CATEGORIES = {"transactional": Category.TRANSACTIONAL, "marketing": Category.MARKETING}
_NETWORKS_MAX = 100


@dataclass(frozen=True, slots=True)
class EsmeOptions:
    """What an operator may set, and its defaults."""

    allowed: tuple[str, ...] = ()
    binds: int = 2
    window: int = 100
    rate: float = 0.0
    category: str = "transactional"
    alphabet: str = "gsm"
    has_replies: bool = False
    outbind: str | None = None


@dataclass(frozen=True, slots=True)
class Esme:
    """An account. Either `shop` (the row) or `link` (the name) is set."""

    id: int
    system_id: str
    password: str
    shop: int | None
    shop_code: str | None
    link: str | None
    options: EsmeOptions
    created: datetime
    revoked: datetime | None

    @property
    def category(self) -> Category:
        """The category of its texts unless they say otherwise."""
        return _CATEGORIES[self.options.category]


def _sql(name: str) -> str:
    return queries.load("esmes")[name]


def esme_of(row: asyncpg.Record) -> Esme:
    """An account from a row of the table with its shop's code."""
    options = EsmeOptions(
        allowed=tuple(row["allowed"]),
        binds=row["binds"],
        window=row["window"],
        rate=row["rate"],
        category=Category(row["category"]).name.lower(),
        alphabet="latin1" if row["is_latin1"] else "gsm",
        has_replies=row["has_replies"],
        outbind=row["outbind"],
    )
    return Esme(
        row["id"],
        row["system_id"],
        row["password"],
        row["shop"],
        row["code"],
        row["link"],
        options,
        row["created"],
        row["revoked"],
    )


async def add_esme(
    connection: asyncpg.Connection,
    system_id: str,
    *,
    shop: str | None = None,
    link: str | None = None,
    options: EsmeOptions | None = None,
) -> str:
    """Add an account of a shop (by its code) or of a link (by its name); returns its password,
    which is nowhere else.

    Raises a Refusal that names every faulty field, or the system_id if it is taken.
    """
    wanted = options or EsmeOptions()
    faults = list(_faults(wanted, is_carrier=link is not None))
    if not _SYSTEM_ID.fullmatch(system_id):
        problem = "is not 1 to 15 printable ASCII characters without spaces"
        faults.insert(0, Fault("system_id", problem, "SMPP has room for no more"))
    _refuse(faults)
    shop_id = None if shop is None else (await get_shop(connection, shop)).id
    password = make_password()
    added = await connection.fetchval(
        _sql("add"), system_id, hash_password(password), shop_id, link, *_columns(wanted)
    )
    if added is None:
        fault = Fault("system_id", "is taken", "choose another, or change it with `gateway esme`")
        raise Refusal("invalid-request", f"there is an account {system_id} already", (fault,))
    await connection.execute(_sql("announce"))
    return password


async def get_esme(connection: asyncpg.Connection, system_id: str) -> Esme:
    """The valid account of this name, locked. Raises a Refusal if there is none."""
    is_possible = _SYSTEM_ID.fullmatch(system_id) is not None
    row = await connection.fetchrow(_sql("find"), system_id) if is_possible else None
    if row is None:
        raise Refusal(
            "not-found",
            f"there is no valid account {system_id!r:.40}",
            (Fault("system_id", "is not that of a valid account"),),
            hint="`gateway esme list` shows all of them",
        )
    return esme_of(row)


async def list_esmes(connection: asyncpg.Connection) -> list[Esme]:
    """All accounts ever made, by name."""
    return [esme_of(row) for row in await connection.fetch(_sql("list"))]


async def set_esme(
    connection: asyncpg.Connection, system_id: str, changes: Mapping[str, Any]
) -> Esme:
    """Change the named options; binds that stand take them with their next bind. Raises a
    Refusal."""
    esme = await get_esme(connection, system_id)
    options = replace(esme.options, **changes)
    _refuse(list(_faults(options, is_carrier=esme.link is not None)))
    await connection.execute(_sql("set"), esme.id, *_columns(options))
    await connection.execute(_sql("announce"))
    return replace(esme, options=options)


async def new_password(connection: asyncpg.Connection, system_id: str) -> str:
    """Give an account another password, and return it; its binds are ended. Raises a Refusal."""
    esme = await get_esme(connection, system_id)
    password = make_password()
    await connection.execute(_sql("set_password"), esme.id, hash_password(password))
    await connection.execute(_sql("announce"))
    return password


async def revoke_esme(connection: asyncpg.Connection, system_id: str) -> None:
    """Make an account invalid for ever: its binds are ended, what waits for it is dropped. Raises
    a Refusal."""
    esme = await get_esme(connection, system_id)
    await connection.execute(_sql("revoke"), esme.id)
    await connection.execute(_sql("forget_outbox"), esme.id)
    await connection.execute(_sql("announce"))


async def standing(connection: asyncpg.Connection, esme: Esme) -> tuple[list[dict[str, Any]], int]:
    """The binds of an account that stand now, on all nodes, and how much waits for it."""
    rows = await connection.fetch(_sql("standing"), esme.id)
    waiting: int = await connection.fetchval(_sql("outbox_size"), esme.id)
    return [dict(row) for row in rows], waiting


def describe(esme: Esme) -> dict[str, Any]:
    """An account as JSON has it."""
    told = {"system_id": esme.system_id, "shop": esme.shop_code, "link": esme.link}
    return told | asdict(esme.options) | {"created": esme.created, "revoked": esme.revoked}


def _columns(options: EsmeOptions) -> Sequence[Any]:
    return (
        [str(ipaddress.ip_network(text, strict=False)) for text in options.allowed],
        options.binds,
        options.window,
        options.rate,
        _CATEGORIES[options.category],
        options.alphabet == "latin1",
        options.has_replies,
        options.outbind or None,
    )


def _faults(options: EsmeOptions, *, is_carrier: bool) -> list[Fault]:
    found = [
        Fault("allow", f"{text!r:.60} is no address or network", "like 203.0.113.7 or 10.0.0.0/8")
        for text in options.allowed
        if not _is_network(text)
    ]
    if len(options.allowed) > _NETWORKS_MAX:
        found.append(Fault("allow", f"names more than {_NETWORKS_MAX} networks", "join some"))
    for field, value, most in (("binds", options.binds, 64), ("window", options.window, 10_000)):
        if not 1 <= value <= most:
            found.append(Fault(field, f"is not within 1 to {most}", "give another"))
    if not 0 <= options.rate <= 100_000:
        found.append(Fault("rate", "is not within 0 to 100000", "0 means no limit"))
    if options.category not in _CATEGORIES:
        found.append(Fault("category", "is not known", " or ".join(_CATEGORIES)))
    if options.alphabet not in ("gsm", "latin1"):
        found.append(Fault("alphabet", "is not known", "gsm or latin1"))
    if options.has_replies and is_carrier:
        found.append(Fault("replies", "go to shops' accounts alone", "leave it out"))
    if options.outbind and not _is_host_port(options.outbind):
        found.append(Fault("outbind", "is not HOST:PORT", "like smsc.example.com:2776"))
    return found


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_host_port(text: str) -> bool:
    match = _HOST_PORT.fullmatch(text)
    return match is not None and 1 <= int(match[1]) <= 65535


def _refuse(faults: list[Fault]) -> None:
    if faults:
        words = "; ".join(f"{fault.field} {fault.problem}" for fault in faults)
        raise Refusal("invalid-request", f"the account is not accepted: {words}", tuple(faults))
