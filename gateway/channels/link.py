"""What links share: the state that ops see, and what a link needs of the rest of the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, Protocol

from config.settings import LimitSettings
from gateway.channels.pacing import DialPace
from gateway.dispatch.settle import Settler
from protocols.smpp import Message
from protocols.sms.receipts import Receipt

Respond = Callable[[int], None]
"""Acknowledge a deliver_sm with this command_status. Harmless when the bind is gone."""

Standing = Literal[
    "down", "connecting", "up", "throttled", "suspended", "capped", "standby", "stopped"
]


class TakesReceipts(Protocol):
    """Who takes the delivery receipts."""

    def receipt(self, link: int, receipt: Receipt, phone: str, respond: Respond) -> None:
        """A delivery receipt for a text to `phone`."""

    def bound(self, link: int) -> None:
        """A bind of the link stands."""


class TakesTexts(Protocol):
    """Who takes the texts from phones. `session` numbers the bind of a link that brought them."""

    def text(self, link: int, session: int, message: Message, respond: Respond) -> None:
        """A text from a phone."""

    def session_began(self, link: int, session: int) -> None:
        """The link is bound."""

    def session_ended(
        self, link: int, session: int, *, quiet_s: float = 0.0, is_clean: bool = False
    ) -> None:
        """The bind is gone, `quiet_s` after the carrier was last heard. `is_clean`: by an
        unbind.
        """


class Lease(Protocol):
    """The right to open a bind, of which a carrier grants so many per installation."""

    on_lost: Callable[[], None]
    """Called when another node has taken it."""
    on_surplus: Callable[[], None]
    """Called when other nodes should have it: it is to be released in good order."""

    def is_held(self) -> bool:
        """Whether it is ours for certain; while it is not, nothing may be sent."""

    async def acquire(self) -> bool:
        """Take it; False if another node has it or should have it."""

    async def freed(self) -> None:
        """Wait until nobody seems to have it."""

    async def release(self) -> None:
        """Let another node have it at once."""

    async def leave(self) -> None:
        """This node runs the link no more."""


@dataclass(frozen=True, slots=True)
class Services:
    """What SMPP links need of the rest of the gateway. `dials` spreads the connecting of all
    links of the process.
    """

    settler: Settler
    receipts: TakesReceipts
    texts: TakesTexts
    limits: LimitSettings
    wall: Callable[[], float]
    dials: DialPace
    sessions: Iterator[int] = field(default_factory=lambda: count(int(time.time())))
    """Numbers for the sessions of all links, not from 1: those who bring us texts are told ids made
    of them, also by the next process. A link that is built anew repeats none, so that a text
    that comes again is known by its session.
    """
    campaign_of: Callable[[str], str | None] = lambda sender: None
    """The 10DLC campaign of a shop's number."""
    is_ours: Callable[[str], bool] = lambda address: False
    """Whether an address, as carriers write it, is a shop's number."""


@dataclass(slots=True)
class LinkState:
    """What a link or one of its binds is doing, for ops. Times are seconds since the epoch."""

    state: Standing = "down"
    since: float = 0.0
    error: str | None = None
    next_try: float | None = None
    rate: float = 0.0
