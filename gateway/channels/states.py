"""Writes down what each bind of this node's links is doing, for `gateway queue`, `gateway link` and
the API, which may ask another process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg
import msgspec

from gateway.channels.link import LinkState
from gateway.errors import StoreDown
from gateway.store.database import Database, is_row_fault
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("links")

LOOK_S = 0.5
FIGURES_S = 2.0
"""How often figures are written while they change."""
REPEAT_S = 10.0
"""How often a report that has not changed is written again, so that its age tells whether the node
lives.
"""
_PIECE = 256
"""Reports in one statement."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a bind of a link tells: its state, and with it the figures of the moment."""

    bind: int
    state: LinkState
    figures: dict[str, Any]


class Reports(Protocol):
    """A link, as far as it reports."""

    id: int
    name: str

    def reports(self) -> Iterable[Report]:
        """One a bind. A bind that another node has is left out: that one reports it."""


@dataclass(slots=True)
class _Written:
    state: LinkState
    figures: dict[str, Any]
    at: float


class LinkStates:
    """Reports on the links of one node."""

    def __init__(self, database: Database, links: Iterable[Reports], node: int) -> None:
        """`links` is looked through each time."""
        self._database = database
        self._links = links
        self._node = node
        self._written: dict[tuple[int, int], _Written] = {}
        self._failed: dict[int, str] = {}
        """SQLSTATE of the last error of a link, which is told once."""

    async def run(self) -> None:
        """Write what changed, for ever."""
        while True:
            await self.write()
            await asyncio.sleep(LOOK_S)

    async def write(self) -> None:
        """Write what changed since the last time."""
        due = self._due(asyncio.get_running_loop().time())
        for start in range(0, len(due), _PIECE):
            try:
                await self._put(due[start : start + _PIECE])
            except StoreDown as error:
                log.debug("link states wait: %s", error)
                return

    def _due(self, now: float) -> list[tuple[Reports, Report]]:
        found = []
        for link in self._links:
            for report in link.reports():
                old = self._written.get((link.id, report.bind))
                if old is None or now - old.at >= REPEAT_S or _has_changed(old, report, now):
                    found.append((link, report))
        return found

    async def _put(self, due: list[tuple[Reports, Report]]) -> None:
        """Write some; if the store refuses one for what it says, each for itself."""
        try:
            rows = [self._row(link, report) for link, report in due]
            await self._database.fetch(
                SQL["put_link_states"], self._node, msgspec.json.encode(rows).decode()
            )
        except asyncpg.PostgresError as error:
            if len(due) > 1 and is_row_fault(error):
                for one in due:
                    await self._put([one])
                return
            for link, _ in due:
                if error.sqlstate != self._failed.get(link.id):
                    log.error("the state of link %s is not written: %s", link.name, error.sqlstate)
                self._failed[link.id] = str(error.sqlstate)
            return
        now = asyncio.get_running_loop().time()
        for link, report in due:
            self._written[link.id, report.bind] = _Written(report.state, report.figures, now)
            self._failed.pop(link.id, None)

    @staticmethod
    def _row(link: Reports, report: Report) -> dict[str, Any]:
        state = report.state
        return {
            "link": link.id,
            "bind": report.bind,
            "state": state.state,
            "since": state.since,
            "error": state.error,
            "next_try": state.next_try,
            # A rate that fades away comes below what the column's type can hold.
            "rate": round(state.rate, 3),
            "figures": report.figures,
        }


def _has_changed(old: _Written, report: Report, now: float) -> bool:
    """Whether there is something new to say; figures alone are said every few seconds."""
    before, state = old.state, report.state
    if (before.state, before.error, before.next_try) != (state.state, state.error, state.next_try):
        return True
    if now - old.at < FIGURES_S:
        return False
    return before.rate != state.rate or old.figures != report.figures
