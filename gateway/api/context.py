"""What the HTTP API needs of the rest of the gateway; the composition root fills it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.api.deadline import Deadline
from gateway.errors import Refusal
from gateway.ids import IdSource, wall_ms

if TYPE_CHECKING:
    from config.changes import Changes
    from config.settings import Settings
    from gateway.api.speaking import Speaker
    from gateway.dispatch.acceptance import Acceptance
    from gateway.dispatch.depths import Depths
    from gateway.dispatch.intake import Intake
    from gateway.observe.metrics import Metrics
    from gateway.store.database import Database
    from gateway.store.directory import Directory


async def _cannot_reload() -> Changes:
    raise Refusal("not-available", "This process was not started from settings.")


def _always_ready() -> list[str]:
    return []


@dataclass(slots=True)
class ApiContext:
    """The parts of the running gateway that requests reach."""

    settings: Settings
    directory: Directory
    acceptance: Acceptance
    intake: Intake
    database: Database
    depths: Depths
    metrics: Metrics
    ids: IdSource
    has_link: Callable[[int], bool]
    """Whether any link serves the route with this id."""
    next_link: Callable[[int], str | None] = field(default=lambda _: None)
    """The link of this process that would carry the next message of the route with this id."""
    readiness: Callable[[], list[str]] = field(default=_always_ready)
    """Why the gateway is not ready to accept, in words; empty when it is."""
    reload: Callable[[], Awaitable[Changes]] = field(default=_cannot_reload)
    """Reads the settings again. Raises SettingsError."""
    speaker: Speaker | None = None
    """Speaks messages to be looked at; None where nothing is spoken."""
    now_ms: Callable[[], int] = field(default=wall_ms)
    deadline: Deadline = field(init=False)
    """Keeps those who wait for a commit from waiting for ever."""
    batches: asyncio.Semaphore = field(init=False)
    """Turns of those that read a batch."""

    def __post_init__(self) -> None:
        self.batches = asyncio.Semaphore(self.settings.http.batches_at_once)
        self.deadline = Deadline(self.settings.http.commit_timeout_s)
