"""The mail link: hands the texts of customers to the operator's SMTP account, for the shops.

A mail that the host refuses for now, or that may or may not have been taken, goes back to the queue
and comes again with the same Message-ID. While the host cannot be used at all, the link takes
nothing: what waits keeps its tries, and every other route goes on.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import asyncpg

from config.settings import LimitSettings, MailSettings
from gateway.channels.link import LinkState
from gateway.channels.pacing import Meter, backoff_s
from gateway.channels.states import Report
from gateway.dispatch.flights import Outgoing
from gateway.dispatch.settle import Settler
from gateway.errors import StoreDown
from gateway.ids import created_ms, show
from gateway.model import Cause, EventKind, State
from gateway.phone import national
from gateway.store.database import Database
from gateway.store.queries import load
from protocols.errors import LocalProtocolError
from protocols.mail.compose import Forward, compose
from protocols.mail.outcome import Doubtful, Outcome, Refused, Sent, Stage, Unreachable
from protocols.mail.transport import Account, SmtpSender, Timeouts

log = logging.getLogger(__name__)

SQL = load("inbound")

_PAUSE_MAX_S: Final = 60.0
"""How long the link waits at most before it tries a host again that could not be used."""


class MailLink:
    """Sends up to `[mail] connections` mails at a time."""

    def __init__(
        self,
        settings: MailSettings,
        limits: LimitSettings,
        id_: int,
        *,
        database: Database,
        settler: Settler,
        wall: Callable[[], float],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls`: instead of the system's certificate authorities."""
        self.id = id_
        self.name = "mail"
        self.is_stopped = False
        self.state = LinkState("up", wall())
        self.on_room: Callable[[], None] = lambda: None
        self._limits = limits
        self._most = settings.connections
        self._database = database
        self._settler = settler
        self._wall = wall
        self._loop = asyncio.get_running_loop()
        self._meter = Meter(self._loop.time())
        timeouts = Timeouts(connect_s=settings.timeout_s, reply_s=settings.timeout_s)
        account = Account(
            settings.host, settings.port, settings.security, settings.user, settings.password
        )
        self._sender = SmtpSender(
            account, connections=settings.connections, timeouts=timeouts, tls=tls
        )
        self._preparing: dict[asyncio.Task[list[bytes | str]], list[Outgoing]] = {}
        self._waiting: deque[tuple[Outgoing, bytes]] = deque()
        self._sending: dict[asyncio.Task[Outcome], Outgoing] = {}
        self._failures = 0
        self._pause: asyncio.TimerHandle | None = None
        self._is_draining = False

    # What dispatch asks --------------------------------------------------------------------------

    def room(self) -> int:
        """Mails that it would take now: its connections stay busy while more are claimed."""
        if self._is_draining or self._pause is not None:
            return 0
        in_hand = sum(map(len, self._preparing.values())) + len(self._waiting) + len(self._sending)
        return max(0, 2 * self._most - in_hand)

    def is_usable(self) -> bool:
        """Whether the host is not known to be unusable now."""
        return not self._is_draining and self._pause is None

    def reports(self) -> list[Report]:
        """What it does, for ops."""
        return [Report(0, self.state, {})]

    def take(self, messages: list[Outgoing]) -> None:
        """Send these, in this order."""
        if self._is_draining:
            self._return(messages)
            return
        task = self._loop.create_task(self._prepare(messages))
        self._preparing[task] = messages
        task.add_done_callback(self._on_prepared)

    # Composing -----------------------------------------------------------------------------------

    async def _prepare(self, messages: list[Outgoing]) -> list[bytes | str]:
        """The mail of each message, or why there is none. Raises StoreDown."""
        ids = [message.parent for message in messages if message.parent is not None]
        rows = {row["id"]: row for row in await self._database.fetch(SQL["forwards"], ids)}
        mails: list[bytes | str] = []
        for message in messages:
            row = rows.get(message.parent)
            try:
                mails.append(compose(_forward(message, row)) if row else "its reply is gone")
            except LocalProtocolError as error:
                mails.append(f"it cannot be mailed: {error}")
        return mails

    def _on_prepared(self, task: asyncio.Task[list[bytes | str]]) -> None:
        messages = self._preparing.pop(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            if not isinstance(error, StoreDown):
                log.error("mails could not be composed", exc_info=error)
            self._rest(f"the mails cannot be composed: {error}")
        if task.cancelled() or error is not None:
            self._return(messages)
        else:
            for message, mail in zip(messages, task.result(), strict=True):
                if isinstance(mail, bytes):
                    self._waiting.append((message, mail))
                else:
                    self._settler.gate(message, State.FAILED, mail)
        self._pump()

    # Sending -------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Start as many mails as there are connections; while the host rests, return what waits."""
        if self._is_draining or self._pause is not None:
            waiting, self._waiting = self._waiting, deque()
            self._return([message for message, _ in waiting])
            return
        while self._waiting and len(self._sending) < self._most:
            message, mail = self._waiting.popleft()
            message.outstanding = 1
            sending = self._sender.send(message.sender, message.target, mail)
            task = self._loop.create_task(sending)
            self._sending[task] = message
            task.add_done_callback(self._on_sent)
        if self.room():
            self.on_room()

    def _on_sent(self, task: asyncio.Task[Outcome]) -> None:
        message = self._sending.pop(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            self._settler.lost(message, 0, self.id, Cause.CUT)
        elif isinstance(error, LocalProtocolError):
            self._settler.refused(message, 0, self.id, f"it cannot be mailed: {error}")
        elif error is not None:
            log.error("a mail could not be sent", exc_info=error)
            self._again(message, EventKind.RESENT, f"the gateway failed: {type(error).__name__}")
        else:
            self._meter.add()
            self._settle(message, task.result())
        self._pump()

    def _settle(self, message: Outgoing, outcome: Outcome) -> None:
        """Report how an attempt ended, and what that says of the host."""
        if isinstance(outcome, Sent):
            self._failures = 0
            self._settler.sent(message, 0, self.id, None)
            self._set_state("up")
        elif isinstance(outcome, Unreachable):
            self._again(message, EventKind.RETRIED, outcome.reason)
            self._rest(outcome.reason)
        elif isinstance(outcome, Doubtful):
            self._again(message, EventKind.RESENT, outcome.reason)
            self._set_state("up", outcome.reason)
        else:
            self._on_refused(message, outcome)

    def _on_refused(self, message: Outgoing, refused: Refused) -> None:
        words = f"the mail host refuses the {refused.stage}: {refused.code} {refused.text}"
        if refused.stage is Stage.SENDER:
            # It is about our account, so every mail would meet the same: the operator can mend it.
            self._again(message, EventKind.RETRIED, words)
            self._rest(f"{words}; check user, password and sender in [mail]")
            return
        self._failures = 0
        if refused.is_temporary:
            self._again(message, EventKind.RETRIED, words)
        else:
            self._settler.refused(message, 0, self.id, words)
        self._set_state("up", words)

    def _again(self, message: Outgoing, kind: EventKind, words: str) -> None:
        limits = self._limits
        delay_s = backoff_s(message.tries, limits.retry_min_s, limits.retry_max_s)
        self._settler.again(message, 0, kind, words, delay_s)

    def _return(self, messages: list[Outgoing]) -> None:
        for message in messages:
            self._settler.returned(message)

    # The host's health ---------------------------------------------------------------------------

    def _rest(self, error: str) -> None:
        """The host cannot be used: take nothing for a while."""
        if self._pause is not None or self._is_draining:
            return
        self._failures += 1
        longest_s = max(_PAUSE_MAX_S, self._limits.retry_min_s)
        pause_s = backoff_s(self._failures, self._limits.retry_min_s, longest_s)
        self._pause = self._loop.call_later(pause_s, self._on_rested)
        self._set_state("down", error, pause_s)
        log.warning("mail: %s; next try in %.1f s", error, pause_s)

    def _on_rested(self) -> None:
        self._pause = None
        self._pump()

    def _set_state(
        self,
        state: Literal["down", "up", "stopped"],
        error: str | None = None,
        retry_s: float | None = None,
    ) -> None:
        if self._pause is not None and state == "up":
            return
        now = self._wall()
        old = self.state
        self.state = replace(
            old,
            state=state,
            since=old.since if old.state == state else now,
            error=error,
            next_try=None if retry_s is None else now + retry_s,
            rate=self._meter.update(self._loop.time()),
        )

    async def drain(self, deadline: float) -> None:
        """Start nothing more, wait until `deadline` (loop time) for what is under way, hang up."""
        self._is_draining = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._pump()
        await _finish(list(self._preparing), max(0.0, deadline - self._loop.time()))
        await _finish(list(self._sending), max(0.0, deadline - self._loop.time()))
        await self._sender.close()
        self._set_state("stopped")


async def _finish(tasks: Sequence[asyncio.Task[Any]], timeout_s: float) -> None:
    """Wait for tasks, and cancel those that take longer."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=timeout_s)
    for task in late:
        task.cancel()
    await asyncio.wait(tasks)


def _forward(message: Outgoing, row: asyncpg.Record) -> Forward:
    received = datetime.fromtimestamp(created_ms(row["id"]) / 1000, _zone(row["time_zone"]))
    return Forward(
        id=show("rpl", row["id"]),
        text=message.body,
        sender=message.sender,
        recipient=message.target,
        shop=row["code"],
        shop_name=row["shop_name"],
        shop_number=national(row["number"]),
        phone=row["phone"],
        phone_shown=national(row["phone"]),
        received=received,
        contact_name=row["contact_name"] or "",
        contact_kind=row["kind"] or "",
        contact_id=row["contact"] or "",
        segments=row["segments"],
        missing=tuple(row["missing"]),
    )


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC
