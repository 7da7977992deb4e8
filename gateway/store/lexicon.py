"""A shop's own pronunciations, as operators manage them and speech reads them.

All runs within the caller's transaction (`Database.run`). The shop's row counts the changes: nodes
hear of a change with the shop, and read the lexicon itself when they next speak for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import Fault, Refusal
from gateway.store import queries
from gateway.store.fields import is_storable
from gateway.store.records import announce
from gateway.store.shops import lock_shop

if TYPE_CHECKING:
    import asyncpg

    from gateway.store.records import Shop


def _sql(name: str) -> str:
    return queries.load("lexicon")[name]


async def read_lexicon(connection: asyncpg.Connection, shop: int) -> dict[str, str]:
    """The lexicon of the shop with this row id: what is said, by what is written."""
    rows = await connection.fetch(_sql("entries"), shop)
    return {row["written"]: row["spoken"] for row in rows}


async def set_entry(
    connection: asyncpg.Connection, code: str, written: str, spoken: str
) -> Shop:
    """Say `spoken` wherever a message of the shop has `written`.

    Raises a Refusal where the entry cannot be used in one of the languages, or is one too many.
    """
    written, spoken = written.strip(), spoken.strip()
    _check_storable(written, spoken)
    shop = await lock_shop(connection, code)
    entries = await read_lexicon(connection, shop.id)
    entries[written] = spoken
    _check_usable({written: spoken}, len(entries))
    await connection.execute(_sql("set_entry"), shop.id, written, spoken)
    await _changed(connection, shop)
    return shop


async def remove_entry(connection: asyncpg.Connection, code: str, written: str) -> Shop:
    """Say `written` as it is written again. Raises a Refusal if there is no such entry."""
    shop = await lock_shop(connection, code)
    written = written.strip()
    found = None
    if is_storable(written):
        found = await connection.fetchval(_sql("remove_entry"), shop.id, written)
    if found is None:
        raise Refusal(
            "not-found",
            f"the lexicon of shop {shop.code} has no such entry",
            (Fault("written", "is not in the lexicon"),),
            hint=f"`gateway lexicon list --shop {shop.code}` shows all of them",
        )
    await _changed(connection, shop)
    return shop


async def _changed(connection: asyncpg.Connection, shop: Shop) -> None:
    await connection.execute(_sql("count_change"), shop.id)
    await announce(connection, f"shop {shop.id}")


def _check_storable(written: str, spoken: str) -> None:
    named = {"written": written, "spoken": spoken}
    faults = tuple(
        Fault(field, "has a character that cannot be kept", "write one line of letters and marks")
        for field, text in named.items()
        if not is_storable(text)
    )
    if faults:
        words = "; ".join(f"{fault.field} {fault.problem}" for fault in faults)
        raise Refusal("invalid-request", words, faults)


def _check_usable(entry: dict[str, str], count: int) -> None:
    """Messages may be in any language: what has letters without accents has them in each."""
    from tts.lexicon import MAX_ENTRIES, LexiconError, compiled

    if count > MAX_ENTRIES:
        hint = "remove one that is not needed"
        fault = Fault("written", f"would be entry {count}; a shop has at most {MAX_ENTRIES}", hint)
        raise Refusal("over-limit", f"written {fault.problem}", (fault,), hint=hint)
    try:
        compiled(entry, "")
    except LexiconError as error:
        raise Refusal("invalid-request", str(error), (Fault("written", str(error)),)) from None
