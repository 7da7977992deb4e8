"""Shops, numbers and keys as the gateway holds them in memory, and how they are read from rows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gateway.store import queries

if TYPE_CHECKING:
    import asyncpg

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is assigned now: E.164, or the digits of a short code.

    `campaign`: the 10DLC campaign that it is registered for, where carriers ask for it.
    """

    number: str
    shop: int
    route: int
    route_name: str
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A valid API key, named by its label. `shop` None: an admin key."""

    label: str
    shop: int | None


@dataclass(frozen=True, slots=True)
class ShopSpeech:
    """How a shop is spoken; what it leaves empty the settings say.

    `allowed`: engines on other machines that may have its texts. `lexicon`: the version of its
    lexicon, 0 while it has none.
    """

    language: str | None = None
    voice: str | None = None
    engines: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    lexicon: int = 0


@dataclass(frozen=True, slots=True)
class Shop:
    """A tenant. `numbers` are those assigned now, the first assigned first."""

    id: int
    code: str
    name: str
    main_phone: str
    contact_email: str
    time_zone: str
    support_until: date | None
    method: str | None
    is_held: bool
    numbers: tuple[Number, ...] = ()
    speech: ShopSpeech = ShopSpeech()
    support_ends_ms: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "support_ends_ms", _end_of(self.support_until, self.time_zone))

    def is_supported(self, now_ms: int) -> bool:
        """Whether the support agreement is active: up to the last day's end in the shop's zone."""
        return self.support_ends_ms is None or now_ms < self.support_ends_ms


def _end_of(day: date | None, zone: str) -> int | None:
    """When `day` ends in `zone`, in milliseconds since the epoch; None where it never does."""
    if day is None or day == date.max:
        return None
    midnight = datetime.combine(day + timedelta(days=1), time(), _zone(zone))
    return int(midnight.timestamp() * 1000)


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        log.warning("time zone %r is not known on this machine: UTC is used instead", name)
        return UTC


def number_of(row: asyncpg.Record) -> Number:
    """A Number from a row of `numbers_of_shops`."""
    return Number(row["number"], row["shop"], row["route"], row["route_name"], row["campaign"])


async def read_shops(connection: asyncpg.Connection, rows: Sequence[asyncpg.Record]) -> list[Shop]:
    """Shops from rows of the table, with the numbers that they have now."""
    numbers: dict[int, list[Number]] = {row["id"]: [] for row in rows}
    if not numbers:
        return []
    for row in await connection.fetch(_sql("numbers_of_shops"), list(numbers)):
        numbers[row["shop"]].append(number_of(row))
    return [
        Shop(
            row["id"],
            row["code"],
            row["name"],
            row["main_phone"],
            row["contact_email"],
            row["time_zone"],
            row["support_until"],
            row["method"],
            row["is_held"],
            tuple(numbers[row["id"]]),
            ShopSpeech(
                row["language"],
                row["voice"],
                tuple(row["engines"]),
                tuple(row["allowed"]),
                row["lexicon"],
            ),
        )
        for row in rows
    ]


async def announce(connection: asyncpg.Connection, what: str) -> None:
    """Have every directory read `what` (`shop 12`, `key gw_…`) again once this is committed."""
    await connection.execute(_sql("announce"), what)


def _sql(name: str) -> str:
    return queries.load("directory")[name]


def hash_token(token: str) -> bytes:
    """What is stored of a key: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()
