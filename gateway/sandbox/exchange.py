"""The inside of the simulated SMSC: its sessions, and what becomes of the texts they bring."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias

from gateway.sandbox.behaviour import Behaviour, Conduct, Fault, conduct_of
from gateway.sandbox.peer import Account, Delivery, Peer
from gateway.sandbox.receipt_pdu import date_stamp, is_wanted, receipt_body
from protocols.smpp import (
    Answered,
    Bind,
    BindRequested,
    Closed,
    Disposition,
    Event,
    Limits,
    Message,
    Received,
    Role,
    Session,
    Timers,
    Unbound,
    disposition,
    encode_submit_body,
)
from protocols.smpp import status as s
from protocols.smpp.tlv import Tag, Tlv
from protocols.sms.encoding import choose
from protocols.sms.reassembly import read
from protocols.sms.segment import segments

SYSTEM_ID: Final = "sandbox"
"""What the SMSC calls itself."""
_LIMITS: Final = Limits(unanswered=10_000)
_REMEMBERED_FAULTS: Final = 10_000

Record: TypeAlias = Callable[[Peer, Message, str, int | None], int | None]
"""Takes note of a submit_sm: session, PDU, message_id (named by the response unless it is an error)
and status (None: no answer); returns the status to answer with."""

_Accepted: TypeAlias = tuple[Account, Message, str, Conduct]


class Exchange:
    """Takes texts in, answers them, and sends what follows."""

    def __init__(
        self,
        accounts: Mapping[str, str],
        behaviour: Behaviour,
        *,
        window: int,
        timers: Timers,
        first_id: int,
        record: Record,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called after whatever happens on a session."""
        self.behaviour = behaviour
        self.accounts = {name: Account(name, password) for name, password in accounts.items()}
        self.peers: set[Peer] = set()
        """Connections that stand, bound or not."""
        self.connections = 0
        self.submits = 0
        self.deliveries = 0
        self.unbinds = 0
        self._window = window
        self._timers = timers
        self._next_id = first_id
        self._next_reference = 1
        self._record = record
        self._on_change = on_change
        self._faults: dict[tuple[str, str, bytes], int] = {}
        self._accepted: list[_Accepted] = []  # by what is being read just now

    def new_peer(self) -> Peer:
        """A session for a new connection."""
        self.connections += 1
        session = Session(Role.SMSC, window=self._window, limits=_LIMITS, timers=self._timers)
        peer = Peer(self.connections, session, self._on_events)
        self.peers.add(peer)
        return peer

    def put(self, account: Account, deliveries: list[Delivery]) -> None:
        """Send to whichever session of the account can take it, now or later."""
        for delivery in deliveries:
            account.put(delivery)
        account.pump(asyncio.get_running_loop().time())

    def text_bodies(
        self, source: str, dest: str, text: str, reference: int | None = None
    ) -> list[bytes]:
        """The deliver_sm bodies of a person's text; `reference` None takes the next."""
        if reference is None:
            reference = self._next_reference
            self._next_reference += 1
        encoding = choose(text)
        return [
            encode_submit_body(
                source,
                dest,
                segment.payload,
                source_ton=1,
                source_npi=1,
                dest_ton=1,
                dest_npi=1,
                esm_class=segment.esm_class,
                data_coding=encoding,
            )
            for segment in segments(text, encoding, reference)
        ]

    # ------------------------------------------------------------------ sessions

    def _on_events(self, peer: Peer, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received):
                if not peer.is_cut:
                    self._on_submit(peer, event.message)
            elif isinstance(event, Answered):
                self._on_answer(peer, event)
            elif isinstance(event, BindRequested):
                self._on_bind(peer, event.request)
            elif isinstance(event, Unbound):
                self.unbinds += 1
                # Else the session would wait for answers that never come before it unbinds.
                if peer.ignored and peer.ignored == peer.session.unanswered:
                    peer.close("the peer unbound")
            elif isinstance(event, Closed):
                self._on_closed(peer, event)
        if self._accepted:
            self._schedule_receipts()
        if peer.account is not None and peer.account.waiting:
            peer.account.pump(asyncio.get_running_loop().time())
        self._on_change()

    def _on_bind(self, peer: Peer, request: Bind) -> None:
        account = self.accounts.get(request.system_id)
        status = self.behaviour.bind_status
        if status == 0 and account is not None and account.password == request.password:
            peer.session.accept_bind(request, SYSTEM_ID)
            peer.account, peer.kind = account, request.kind
            account.peers.append(peer)
            return
        wrong = s.ESME_RINVSYSID if account is None else s.ESME_RINVPASWD
        peer.session.refuse_bind(request, status or wrong)
        peer.close("the bind was refused")

    def _on_closed(self, peer: Peer, event: Closed) -> None:
        self.peers.discard(peer)
        if peer.account is not None:
            peer.account.peers.remove(peer)
            peer.account.put_back(event.unanswered)

    def _on_answer(self, peer: Peer, event: Answered) -> None:
        delivery = event.context
        if not isinstance(delivery, Delivery) or peer.account is None:
            return
        delivery.tries_left -= 1
        verdict = disposition(event.status)
        if verdict is Disposition.ACCEPTED:
            self.deliveries += 1
        elif verdict is not Disposition.FAIL and delivery.tries_left > 0:
            loop = asyncio.get_running_loop()
            loop.call_later(self.behaviour.retry_s, self.put, peer.account, [delivery])
            return
        delivery.settle(event.status)

    # ------------------------------------------------------------------ texts

    def _on_submit(self, peer: Peer, message: Message) -> None:
        self.submits += 1
        conduct = conduct_of(message.dest)
        status, is_cut = self._decide(message, conduct)
        message_id = str(self._next_id)
        self._next_id += 1
        status = self._record(peer, message, message_id, status)
        if is_cut:
            peer.cut()
            return
        if status is None:
            peer.ignored += 1
            return
        delay_s = self.behaviour.response_delay_s
        if conduct.is_slow:
            delay_s += self.behaviour.slow_response_s
        if delay_s > 0:
            loop = asyncio.get_running_loop()
            loop.call_later(delay_s, self._answer_late, peer, message, message_id, status)
        else:
            self._answer(peer, message, message_id, status, conduct)

    def _decide(self, message: Message, conduct: Conduct) -> tuple[int | None, bool]:
        """The status to answer with, None for no answer; and whether to cut the connection."""
        behaviour = self.behaviour
        if behaviour.cut_after is not None:
            behaviour.cut_after = behaviour.cut_after - 1 if behaviour.cut_after > 1 else None
            if behaviour.cut_after is None:
                return None, True
        if behaviour.is_silent:
            return None, False
        if behaviour.submit_status:
            return behaviour.submit_status, False
        if conduct.fault is not Fault.NONE and self._is_faulty(conduct, message):
            return conduct.status, conduct.fault is Fault.CUT
        return s.ESME_ROK, False

    def _is_faulty(self, conduct: Conduct, message: Message) -> bool:
        """Whether the fault meets this text once more."""
        if conduct.fault_times is None:
            return True
        key = (message.source, message.dest, message.payload)
        times = self._faults.pop(key, 0)
        if times >= conduct.fault_times:
            return False
        if len(self._faults) >= _REMEMBERED_FAULTS:
            del self._faults[next(iter(self._faults))]
        self._faults[key] = times + 1
        return True

    def _answer_late(self, peer: Peer, message: Message, message_id: str, status: int) -> None:
        self._answer(peer, message, message_id, status, conduct_of(message.dest))
        if self._accepted:
            self._schedule_receipts()
        peer.flush()

    def _answer(
        self, peer: Peer, message: Message, message_id: str, status: int, conduct: Conduct
    ) -> None:
        account = peer.account
        if status or account is None:
            peer.session.respond(message, status)
            return
        if conduct.is_receipt_first and peer.session.room:
            now = asyncio.get_running_loop().time()
            for body in self._receipts(message, message_id, conduct, _stamp()):
                peer.session.request(body, now, Delivery(body))
            peer.session.respond(message, s.ESME_ROK, message_id)
            return
        peer.session.respond(message, s.ESME_ROK, message_id, self._parameters())
        if message.registered_delivery or conduct.answer:
            self._accepted.append((account, message, message_id, conduct))

    def _parameters(self) -> list[Tlv]:
        load = self.behaviour.congestion
        return [] if load is None else [(Tag.CONGESTION_STATE, bytes([load]))]

    # ------------------------------------------------------------------ what follows

    def _schedule_receipts(self) -> None:
        """One timer for all that was accepted together."""
        accepted, self._accepted = self._accepted, []
        loop = asyncio.get_running_loop()
        loop.call_later(self.behaviour.receipt_delay_s, self._send_receipts, accepted, _stamp())

    def _send_receipts(self, accepted: list[_Accepted], submitted: str) -> None:
        for account, message, message_id, conduct in accepted:
            for body in self._receipts(message, message_id, conduct, submitted):
                account.put(Delivery(body))
            if conduct.answer and _is_last_part(message):
                self._schedule_answer(account, message, conduct.answer)
        now = asyncio.get_running_loop().time()
        for account in self.accounts.values():
            account.pump(now)

    def _receipts(
        self, message: Message, message_id: str, conduct: Conduct, submitted: str
    ) -> list[bytes]:
        """The bodies of the receipts that a text gets."""
        if not self.behaviour.has_receipts:
            return []
        done = _stamp()
        if conduct.is_hex:
            message_id = format(int(message_id), "x")
        return [
            receipt_body(
                message,
                message_id,
                state,
                submitted=submitted,
                done=done,
                error=conduct.error,
                has_parameters=self.behaviour.has_receipt_parameters,
            )
            for state in conduct.receipts
            if is_wanted(message.registered_delivery, state)
        ]

    def _schedule_answer(self, account: Account, message: Message, text: str) -> None:
        bodies = self.text_bodies(message.dest, message.source, text)
        deliveries = [Delivery(body) for body in bodies]
        loop = asyncio.get_running_loop()
        loop.call_later(self.behaviour.answer_delay_s, self.put, account, deliveries)


def _stamp() -> str:
    """The date stamp of now."""
    return _stamp_of_minute(int(time.time() // 60))


@lru_cache(maxsize=2)
def _stamp_of_minute(minute: int) -> str:
    return date_stamp(datetime.fromtimestamp(minute * 60))


def _is_last_part(message: Message) -> bool:
    part = read(message.payload, message.esm_class, message.data_coding, message.tlvs)
    return part.number == part.total
