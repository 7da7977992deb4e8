"""A link's daily cap: so many segments a day of its own zone, over all nodes and restarts.

Segments are drawn from the store in portions before they are sent, never one by one; what is left
of a portion goes back in good order. A process that is killed leaves its portion unused, so that
the cap is never passed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from gateway.errors import StoreDown
from gateway.store.database import Database
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("links")

UNLIMITED: Final = 1 << 30
_PORTION_MAX: Final = 1_000
_PORTIONS: Final = 50
_AGAIN_S: Final = 1.0
_OLD_S: Final = 60.0
"""What comes back so soon after midnight was counted for the day before."""


class DailyCap:
    """The cap of one link, as one node has it."""

    def __init__(
        self,
        link: int,
        most: int,
        zone: str,
        *,
        database: Database | None,
        wall: Callable[[], float],
    ) -> None:
        """`most`: segments a day, 0 for no cap."""
        self.on_change: Callable[[], None] = lambda: None
        self.is_reached = False
        self._link = link
        self._most = most
        self._zone = ZoneInfo(zone)
        self._database = database
        self._wall = wall
        self._portion = max(1, min(_PORTION_MAX, most // _PORTIONS))
        self._day = self._today()
        self._counts_from = 0.0
        self._in_hand = 0
        self._wanted = 0
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def none(cls) -> DailyCap:
        """No cap."""
        return cls(0, 0, "UTC", database=None, wall=lambda: 0.0)

    def start(self) -> None:
        """Draw the first portion. Needs the loop."""
        if self._most:
            self._draw(1)

    def left(self) -> int:
        """Segments that may go now."""
        if not self._most:
            return UNLIMITED
        return 0 if self.is_reached or self._wanted else self._in_hand

    def take(self, count: int) -> bool:
        """Count segments that are to be sent; False if they have to wait."""
        if not self._most:
            return True
        if self._today() != self._day:
            self._begin_day()
        if self._in_hand < count:
            self._draw(count)
            return False
        self._in_hand -= count
        if self._in_hand <= self._portion // 2:
            self._draw(0)
        return True

    def give_back(self, count: int) -> None:
        """Segments that were counted did not go, or were not taken."""
        if not self._most or self._wall() < self._counts_from:
            return
        self._in_hand += count
        if self.is_reached and self._in_hand >= max(self._wanted, 1):
            self._wanted = 0
            self.is_reached = False
            asyncio.get_running_loop().call_soon(self.on_change)

    def words(self) -> str:
        """Why nothing goes."""
        return f"the daily cap of {self._most:,} segments is reached ({self._zone.key})"

    def resumes_at(self) -> float:
        """The next midnight of its zone, in seconds since the epoch."""
        tomorrow = self._today() + timedelta(days=1)
        return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=self._zone).timestamp()

    async def close(self) -> None:
        """Give back what is left of the portion."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._in_hand and self._database is not None:
            count, self._in_hand = self._in_hand, 0
            try:
                await self._database.fetch(SQL["give_back"], self._link, self._day, count)
            except (StoreDown, asyncpg.PostgresError) as error:
                log.debug("a portion of a daily cap is lost: %s", error)

    # Portions ------------------------------------------------------------------------------------

    def _today(self) -> date:
        return datetime.fromtimestamp(self._wall(), UTC).astimezone(self._zone).date()

    def _begin_day(self) -> None:
        self._day = self._today()
        self._counts_from = self._wall() + _OLD_S
        self._in_hand = 0
        self.is_reached = False

    def _draw(self, wanted: int) -> None:
        """Draw a portion, with at least `wanted` in hand when it has come."""
        self._wanted = max(self._wanted, wanted)
        if self._task is None and self._database is not None:
            self._task = asyncio.get_running_loop().create_task(self._fill(self._database))
            self._task.add_done_callback(self._on_filled)

    async def _fill(self, database: Database) -> None:
        if self._today() != self._day:
            self._begin_day()
        day = self._day
        asked = max(self._portion, self._wanted - self._in_hand)
        try:
            rows = await database.fetch(SQL["draw"], self._link, day, asked, self._most)
        except (StoreDown, asyncpg.PostgresError) as error:
            log.debug("the daily cap of a link waits for the store: %s", error)
            self._retry(_AGAIN_S)
            return
        if day == self._day:
            self._in_hand += rows[0]["drawn"] if rows else 0
        if self._in_hand >= max(self._wanted, 1):
            self._wanted = 0
            self.is_reached = False
        else:
            self.is_reached = True
            self._retry(self.resumes_at() - self._wall())

    def _on_filled(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the daily cap of a link cannot be drawn from", exc_info=error)
            self._retry(_AGAIN_S)
        self.on_change()

    def _retry(self, delay_s: float) -> None:
        """Look again then: at midnight, or when the store may be back."""
        if self._timer is not None:
            self._timer.cancel()
        # Long waits are cut, so that a clock that is set forward is seen.
        delay_s = min(max(delay_s, 0.05), 60.0)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._again)

    def _again(self) -> None:
        self._timer = None
        if self.is_reached and self._today() == self._day:
            self._retry(self.resumes_at() - self._wall())
        else:
            self._draw(1)
