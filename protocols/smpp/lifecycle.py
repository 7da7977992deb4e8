"""The life of one SMPP session, either role: outbind, bind, enquire_link, unbind and the timers
(SMPP v3.4 sections 2, 4.1, 4.2, 4.11 and 7.2). What goes on while it is bound is in `session`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocols.errors import LocalProtocolError
from protocols.smpp import commands as c
from protocols.smpp import status as s
from protocols.smpp import tlv
from protocols.smpp.encoding import encode, encode_body, pack_header
from protocols.smpp.events import (
    BindRefused,
    BindRequested,
    Bound,
    Closed,
    Event,
    Outbound,
    Unbound,
)
from protocols.smpp.limits import Limits, Timers
from protocols.smpp.operations import Operation
from protocols.smpp.pdu import MAX_SEQUENCE, Bare, Bind, BindResponse, Message, Outbind
from protocols.smpp.refusals import refusal
from protocols.smpp.states import (
    BOUND_STATE,
    MAY_SEND,
    MESSAGE_COMMAND,
    OPTIONAL,
    TAKES,
    VERSION_3_4,
    Role,
    State,
    acceptable,
)
from protocols.smpp.tlv import Tag, Tlv
from protocols.smpp.watch import Watch

_BOUND: Final = frozenset(BOUND_STATE.values())
_UNBOUND: Final = (State.OPEN, State.OUTBOUND)


class Lifecycle:
    """How a session begins, stays alive and ends. `now` is monotonic seconds throughout."""

    __slots__ = (
        "_acceptable",
        "_bind",
        "_buffer",
        "_farewell",
        "_message_command",
        "_out",
        "_owed",
        "_peer_unbind",
        "_pending",
        "_role",
        "_send_window",
        "_sequence",
        "_takes",
        "_timers",
        "_unbind",
        "_watch",
        "limits",
        "refused",
        "state",
        "stray_responses",
        "version",
        "window",
    )

    def __init__(
        self,
        role: Role,
        *,
        window: int,
        limits: Limits,
        timers: Timers,
        takes: frozenset[int] | None,
        version: int,
    ) -> None:
        self.state = State.OPEN
        self.window = window
        """Requests that may wait for the peer's response; assign it before the bind is accepted."""
        self.limits = limits
        self.version = version
        """interface_version: ours, and once bound the lower of both sides'."""
        self.refused = 0
        """Requests of the peer answered with an error by the session itself."""
        self.stray_responses = 0
        """Responses that no request of ours waited for; ignored."""
        self._role = role
        self._message_command = MESSAGE_COMMAND[role]
        self._timers = timers
        self._takes = TAKES[role] if takes is None else takes
        self._send_window = 0  # the window while the state lets us send messages, else 0
        self._buffer = b""
        self._out: list[bytes] = []
        self._sequence = 0
        # sequence → sent at, context, command_id of the response; oldest first
        self._pending: dict[int, tuple[float, object, int]] = {}
        # by identity: a peer may repeat its sequence numbers
        self._owed: dict[int, Message | Operation] = {}
        self._bind: tuple[int, Bind] | None = None  # the bind under way, ours or the peer's
        self._unbind: int | None = None  # sequence of our unbind
        self._farewell = "unbound"  # why we unbind
        self._peer_unbind: int | None = None  # sequence of the peer's, while we owe responses
        self._watch = Watch(timers)
        self._acceptable = acceptable(role, State.OPEN, self._takes, version)

    @property
    def role(self) -> Role:
        return self._role

    @property
    def takes(self) -> frozenset[int]:
        """The requests that the owner answers; others that the standard allows are answered with
        ESME_RINVCMDID."""
        return self._takes

    @takes.setter
    def takes(self, commands: frozenset[int]) -> None:
        self._takes = commands
        self._acceptable = acceptable(self._role, self.state, commands, self.version)

    # ------------------------------------------------------------------ what we ask for

    def connected(self, now: float) -> None:
        """The connection stands. Starts the session-init timer in the SMSC role, and in an ESME
        that takes outbind."""
        self._watch.heard = now
        limit = self._timers.session_init_s
        if self._role is Role.SMSC:
            self._watch.expect(now + limit, f"no bind within {limit:g} s")
        elif c.OUTBIND in self._takes:
            self._watch.expect(now + limit, f"no outbind within {limit:g} s")

    def outbind(self, system_id: str, password: str, now: float) -> None:
        """SMSC role, on a connection that we opened: ask the ESME for a bind (section 4.1.7).
        `BindRequested` comes of it, or `Closed` when the session-init timer runs out. Raises
        LocalProtocolError in a wrong state or role and for a field too long."""
        if c.OUTBIND not in MAY_SEND[self._role, self.state]:
            raise self._forbidden(c.OUTBIND)
        request = Outbind(sequence=self._sequence + 1, system_id=system_id, password=password)
        self._out.append(encode(request))
        self._next_sequence()
        self._enter(State.OUTBOUND)
        limit = self._timers.session_init_s
        self._watch.expect(now + limit, f"no bind within {limit:g} s of the outbind")

    def bind(
        self,
        kind: c.BindKind,
        system_id: str,
        password: str,
        now: float,
        *,
        system_type: str = "",
        address_range: str = "",
        interface_version: int | None = None,
    ) -> None:
        """Ask to be bound (section 4.1). `Bound`, or `BindRefused` and `Closed`, comes of it.

        Raises LocalProtocolError in a wrong state or role, and for a field too long: system_id 15
        octets, password 8, system_type 12, address_range 40. Without `interface_version` it is
        `version`.
        """
        if kind not in MAY_SEND[self._role, self.state]:
            raise self._forbidden(kind)
        if self._bind is not None:
            raise LocalProtocolError("a bind is under way already")
        request = Bind(
            command_id=kind,
            system_id=system_id,
            password=password,
            system_type=system_type,
            address_range=address_range,
            interface_version=self.version if interface_version is None else interface_version,
        )
        body = encode_body(request)
        sequence = self._next_sequence()
        self._bind = (sequence, request)
        limit = self._timers.response_s
        self._watch.expect(now + limit, f"no response to the bind within {limit:g} s")
        self._watch.heard = now
        self._out.append(pack_header(len(body), kind, 0, sequence) + body)

    def accept_bind(self, request: Bind, system_id: str, tlvs: Iterable[Tlv] | None = None) -> None:
        """SMSC role: accept the bind of `BindRequested`; `system_id` is ours. Without `tlvs` the
        response names our version in sc_interface_version, unless the ESME is older than optional
        parameters. Without effect when the session is no longer waiting for it."""
        if not self._is_asked(request):
            return
        version = [(int(Tag.SC_INTERFACE_VERSION), bytes((self.version,)))]
        if request.interface_version < VERSION_3_4:
            version = []
        response = BindResponse(
            command_id=request.command_id | c.RESPONSE,
            sequence=request.sequence,
            system_id=system_id,
            tlvs=version if tlvs is None else list(tlvs),
        )
        self._out.append(encode(response))
        self._bind = None
        self.version = min(self.version, request.interface_version)
        self._enter_bound(request.kind, self._watch.heard or 0.0)

    def refuse_bind(self, request: Bind, status: int) -> None:
        """SMSC role: refuse the bind of `BindRequested`. The peer may try again until the
        session-init timer runs out; call `close` after this to hang up at once."""
        if not self._is_asked(request):
            return
        self._bind = None
        self._send(request.command_id | c.RESPONSE, status, request.sequence)

    def unbind(self, now: float) -> None:
        """Ask to end the session (section 4.2); `Unbound` and `Closed` come of it, `Closed` alone
        when the peer does not answer. No message can be sent any more; responses still come. Best
        called with `pending` 0. Raises LocalProtocolError when the session is not bound or is
        unbinding."""
        self._part(now, "unbound")

    def _part(self, now: float, farewell: str) -> None:
        if self.state not in _BOUND:
            raise LocalProtocolError(f"cannot unbind while {self.state.value}")
        self._farewell = farewell
        self._unbind = self._next_sequence()
        self._send(c.UNBIND, 0, self._unbind)
        self._start_unbinding(now, "no response to the unbind")

    def close(self, reason: str) -> list[Event]:
        """End the session without ceremony. What `data_to_send` still has should be sent before
        hanging up."""
        if self.state is State.CLOSED:
            return []
        unanswered = [context for _, context, _ in self._pending.values()]
        self._enter(State.CLOSED)
        self._pending.clear()
        self._owed.clear()
        self._buffer = b""
        self._bind = self._unbind = self._peer_unbind = None
        self._watch.stop()
        return [Closed(reason, unanswered)]

    def data_to_send(self) -> bytes:
        """Everything due, in one piece; empties the buffer."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ------------------------------------------------------------------ time

    def next_timer(self) -> float | None:
        """When `handle_timer` is to be called next; None when nothing is awaited. Every call of
        another method may move it."""
        return self._watch.next_due(self._oldest())

    def handle_timer(self, now: float) -> list[Event]:
        """Do what is due; calling too early or too often does no harm."""
        if self.state is State.CLOSED:
            return []
        reason = self._watch.overdue(now, self._oldest())
        if reason is not None:
            return self.close(reason)
        if self._watch.is_inactive(now):
            self._part(now, f"no message within {self._timers.inactivity_s:g} s")
        elif self._watch.is_enquiry_due(now):
            sequence = self._next_sequence()
            self._watch.enquire(sequence, now)
            self._send(c.ENQUIRE_LINK, 0, sequence)
        return []

    def pause_reading(self) -> None:
        """The connection stops reading: until `resume_reading` the peer's silence means nothing and
        no response is overdue."""
        self._watch.deafen()

    def resume_reading(self, now: float) -> None:
        """The connection reads again."""
        self._watch.listen(now)

    def _oldest(self) -> float | None:
        """When the oldest request without a response was sent."""
        for sent, _, _ in self._pending.values():
            return sent
        return None

    # ------------------------------------------------------------------ what comes in

    def _on_outbind(self, request: Outbind, now: float, events: list[Event]) -> None:
        """The owner has as long to bind as the SMSC had to ask."""
        self._enter(State.OUTBOUND)
        limit = self._timers.session_init_s
        self._watch.expect(now + limit, f"no bind within {limit:g} s of the outbind")
        events.append(Outbound(request))

    def _on_bind(self, request: Bind, now: float, events: list[Event]) -> None:
        if self._bind is not None:
            self._refuse(refusal(request.command_id, s.ESME_RALYBND, request.sequence))
            return
        self._bind = (request.sequence, request)
        events.append(BindRequested(request))

    def _on_bind_resp(self, response: BindResponse, now: float, events: list[Event]) -> None:
        if self._bind is None or self._bind[0] != response.sequence:
            self.stray_responses += 1
            return
        if response.status:
            self._bind_refused(response.status, events)
            return
        request = self._bind[1]
        theirs = tlv.integer(response.tlvs, Tag.SC_INTERFACE_VERSION) or VERSION_3_4
        self.version = min(request.interface_version, theirs)
        self._bind = None
        kind = request.kind
        self._enter_bound(kind, now)
        events.append(Bound(kind, response.system_id, response.tlvs))

    def _bind_refused(self, status: int, events: list[Event]) -> None:
        events.append(BindRefused(status))
        events += self.close(f"the bind was refused: {s.describe(status)}")

    def _on_unbind(self, pdu: Bare, now: float, events: list[Event]) -> None:
        """Answered when all messages taken are: a peer that unbinds behind its last message gets
        its responses."""
        events.append(Unbound())
        if self._owed:
            self._peer_unbind = pdu.sequence
            self._start_unbinding(now, "the peer unbound")
            self._acceptable -= OPTIONAL | {c.UNBIND}
        else:
            self._send(c.UNBIND_RESP, 0, pdu.sequence)
            events += self.close("the peer unbound")

    def _on_unbind_resp(self, pdu: Bare, now: float, events: list[Event]) -> None:
        if self._unbind != pdu.sequence:
            self.stray_responses += 1
            return
        if c.UNBIND in self._acceptable:  # else the peer's own came before
            events.append(Unbound())
        events += self.close(self._farewell)

    def _on_enquire_link(self, pdu: Bare, now: float, events: list[Event]) -> None:
        self._send(c.ENQUIRE_LINK_RESP, 0, pdu.sequence)

    def _on_enquire_link_resp(self, pdu: Bare, now: float, events: list[Event]) -> None:
        if not self._watch.answered(pdu.sequence):
            self.stray_responses += 1

    # ------------------------------------------------------------------ small steps

    def _enter(self, state: State) -> None:
        self.state = state
        self._acceptable = acceptable(self._role, state, self._takes, self.version)
        may_request = MESSAGE_COMMAND[self._role] in MAY_SEND[self._role, state]
        self._send_window = self.window if may_request and state is not State.UNBINDING else 0

    def _enter_bound(self, kind: c.BindKind, now: float) -> None:
        self._enter(BOUND_STATE[kind])
        self._watch.bound(now)

    def _start_unbinding(self, now: float, reason: str) -> None:
        self._enter(State.UNBINDING)
        self._watch.is_bound = False
        self._watch.expect(now + self._timers.control_response_s, reason)

    def _is_asked(self, request: Bind) -> bool:
        """Whether the decision on this very bind is awaited."""
        return self._bind is not None and self._bind[1] is request and self.state in _UNBOUND

    def _forbidden(self, command: int) -> LocalProtocolError:
        who, name = self._role.value, c.command_name(command)
        return LocalProtocolError(f"an {who} cannot send {name} while {self.state.value}")

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % MAX_SEQUENCE + 1
        return self._sequence

    def _refuse(self, answer: bytes) -> None:
        self.refused += 1
        self._out.append(answer)

    def _send(self, command: int, status: int, sequence: int) -> None:
        self._out.append(pack_header(0, command, status, sequence))
