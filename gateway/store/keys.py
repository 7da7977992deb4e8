"""API keys: made here, shown once, and known from then on by their SHA-256 alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.errors import Fault, Refusal
from gateway.store import fields, queries
from gateway.store.records import announce, hash_token
from gateway.store.shops import get_shop

if TYPE_CHECKING:
    import asyncpg

PREFIX = "gw_"
LABEL_LENGTH = 10
_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as lists show it. `shop` is a code, None for an admin key; `revoked` None if valid."""

    label: str
    shop: str | None
    created: datetime
    revoked: datetime | None


def _sql(name: str) -> str:
    return queries.load("admin")[name]


async def create_key(connection: asyncpg.Connection, shop: str | None) -> str:
    """Make a key of a shop (by its code), or an admin key for None.

    The returned text is nowhere else: who loses it makes another. Raises a Refusal if the shop is
    unknown.
    """
    shop_id = None if shop is None else (await get_shop(connection, shop)).id
    while True:
        token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        label = token[:LABEL_LENGTH]
        if await connection.fetchval(_sql("add_key"), hash_token(token), label, shop_id):
            await announce(connection, f"key {label}")
            return token


async def revoke_key(connection: asyncpg.Connection, label: str) -> None:
    """Make a key invalid for ever; twice is no error. Raises a Refusal if none has this label."""
    known = fields.is_storable(label) and await connection.fetchval(_sql("revoke_key"), label)
    if not known:
        raise Refusal(
            "not-found",
            "there is no such key",
            (Fault("label", "is not the label of a key"),),
            hint=f"a label is a key's first {LABEL_LENGTH} characters, `gateway key list` has it",
        )
    await announce(connection, f"key {label}")


async def forget_key(connection: asyncpg.Connection, label: str) -> None:
    """Make a key as if it had never been: for one that a single command made for itself."""
    await connection.execute(_sql("forget_key"), label)
    await announce(connection, f"key {label}")


async def list_keys(connection: asyncpg.Connection) -> list[KeyRecord]:
    """All keys ever made, the oldest first, but for those of single commands."""
    rows = await connection.fetch(_sql("all_keys"))
    return [KeyRecord(row["label"], row["code"], row["created"], row["revoked"]) for row in rows]
