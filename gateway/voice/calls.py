"""One call on a trunk, either way: its SIP side and its sound held together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from config.settings import TrunkSettings
from gateway.voice.call_events import (
    Answered,
    CallEnd,
    CallEvent,
    EarlyMedia,
    Ringing,
    TransferProgress,
)
from gateway.voice.call_sound import SDP, CallSound, SoundHost
from gateway.voice.identity import Caller, Identities
from protocols.errors import LocalProtocolError
from protocols.rtp.events import MediaEvent, MediaLost, MediaResumed
from protocols.rtp.leg import Leg
from protocols.rtp.parameters import MediaParameters
from protocols.sip import events as sip_events
from protocols.sip.agent_driver import Endpoint
from protocols.sip.call import Call
from protocols.sip.call_tables import CallState
from protocols.sip.digest import Credentials
from protocols.sip.errors import SipError
from protocols.sip.events import EndCause, Event
from protocols.sip.fields import Body, NameAddr, Reason
from protocols.sip.flow import Hop
from protocols.sip.resolving import Target
from protocols.sip.uri import Uri

EVENTS_MAX: Final = 512
"""Events that wait for their reader; the oldest are dropped."""
_TRY_NEXT: Final = frozenset({EndCause.TIMEOUT, EndCause.TRANSPORT})
_SERVER_TROUBLE: Final = frozenset({503})
"""Refusals that send us to the next server (RFC 3263 section 4.3). Others, 500 and 504 among them,
may come from behind the carrier, when a phone has rung already."""


class CallHost(SoundHost, Protocol):
    """The trunk, as far as its calls need it."""

    settings: TrunkSettings
    identities: Identities
    endpoint: Endpoint
    credentials: Credentials | None
    routes: tuple[str, ...]

    def require_allowed(self, number: str) -> None: ...

    def target_failed(self, target: Target, words: str) -> None: ...

    def call_ended(self, call: TrunkCall, end: CallEnd) -> None: ...


class TrunkCall:
    """A call. Events come by `events()`, or to `on_event` if one was given."""

    def __init__(
        self,
        host: CallHost,
        *,
        to: str,
        caller: Caller,
        on_event: Callable[[CallEvent], None] | None = None,
        context: object = None,
    ) -> None:
        self.to = to
        """E.164 where it is a number; of an incoming call whom the caller wants."""
        self.caller = caller
        self.context = context
        self.on_event = on_event
        self.is_outgoing = False
        self.answered_at: float | None = None
        """Loop time."""
        self.end: CallEnd | None = None
        self.target: Target | None = None
        """The server that an outgoing call went to."""
        self._host = host
        self._sip: Call | None = None
        self._sound: CallSound | None = None
        self._offered: Body | None = None
        self._targets: list[Target] = []
        self._ring_s = host.settings.ring_s
        self._early: dict[str, bytes] = {}
        self._has_early_media = False
        self._has_rung = False
        self._is_given_up = False
        self._problem = ""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._events: deque[CallEvent] = deque(maxlen=EVENTS_MAX)
        self._has_news = asyncio.Event()
        self._ended: asyncio.Event = asyncio.Event()

    # ------------------------------------------------------------------ what the application sees

    @property
    def leg(self) -> Leg:
        """Where to play, listen and send keys. Raises LocalProtocolError while there is none: an
        incoming call gets it with `early` or `answer`."""
        if self._sound is None:
            raise LocalProtocolError("the call has no sound yet")
        return self._sound.leg

    @property
    def parameters(self) -> MediaParameters | None:
        """What was agreed on for the sound; None before."""
        return self._sound.parameters if self._sound is not None else None

    @property
    def sip(self) -> Call | None:
        """The SIP side."""
        return self._sip

    async def events(self) -> AsyncIterator[CallEvent]:
        """Every event in order, CallEnd the last. For one reader."""
        while True:
            while self._events:
                event = self._events.popleft()
                yield event
                if isinstance(event, CallEnd):
                    return
            self._has_news.clear()
            await self._has_news.wait()

    async def wait_ended(self) -> CallEnd:
        """Wait until the call is over."""
        await self._ended.wait()
        assert self.end is not None  # noqa: S101 - set before the event
        return self.end

    def hang_up(self, reasons: Iterable[Reason] = ()) -> None:
        """End the call, however far it is. CallEnd follows, soon or when the peer is silent after
        32 s. Without effect when it is over."""
        self._is_given_up = True
        if self._sip is not None and self.end is None:
            with suppress(LocalProtocolError):
                self._sip.hang_up(self._now, reasons)
            self._flush()

    def ring(self, code: int = 180) -> None:
        """Incoming: tell the caller that it rings. Raises LocalProtocolError."""
        self._call.ring(self._now, code)
        self._flush()

    def early(self) -> None:
        """Incoming: let the caller hear us before the answer. Raises what `answer` does."""
        body = self._describe()
        self._call.ring(self._now, 183, body)
        self._flush()

    def answer(self) -> None:
        """Incoming: take the call. Raises LocalProtocolError in a wrong state or without a free
        port, OSError, and SipError when there is nothing to agree on: the call is refused then."""
        body = self._describe()
        self._call.answer(self._now, body)
        self._flush()

    def reject(self, code: int = 603, *, retry_after_s: int | None = None) -> None:
        """Incoming: refuse. Raises LocalProtocolError."""
        self._call.reject(self._now, code, retry_after_s=retry_after_s)
        self._flush()

    def redirect(self, numbers: Iterable[str], code: int = 302) -> None:
        """Incoming: send the caller to numbers in E.164 form. Raises LocalProtocolError."""
        contacts = [NameAddr(self._called(number)) for number in numbers]
        self._call.redirect(self._now, contacts, code)
        self._flush()

    def transfer(self, number: str) -> None:
        """Ask the other side to call a number in E.164 form instead (REFER); TransferProgress
        follows. Raises LocalProtocolError."""
        self._call.refer(self._now, self._called(number))
        self._flush()

    # ------------------------------------------------------------------ how calls begin

    def dial(self, targets: Sequence[Target], ring_s: float | None) -> None:
        """Call out, by the first target that answers. Raises LocalProtocolError, OSError."""
        self.is_outgoing = True
        self._targets = list(targets)
        self._ring_s = ring_s or self._ring_s
        self._sound = CallSound(self._host, self._on_media)
        try:
            self._invite()
        except BaseException:
            for timer in self._timers.values():
                timer.cancel()
            self._sound.close()
            raise

    def take(self, call: Call, offer: Body | None) -> None:
        """Be the incoming call."""
        self._sip = call
        self._offered = offer
        self._after("limit", self._host.settings.call_max_s, self._on_limit)

    def _invite(self) -> None:
        host, settings = self._host, self._host.settings
        assert self._sound is not None  # noqa: S101 - dial made it
        target = self.target = self._targets.pop(0)
        self._sip = host.endpoint.agent.invite(
            host.identities.called(self.to),
            from_=host.identities.sender(self.caller),
            now=self._now,
            body=self._sound.offer(),
            hop=Hop(target.transport, target.address, target.port),
            routes=host.routes,
            headers=host.identities.headers(self.caller),
            credentials=host.credentials,
            setup_s=self._ring_s,
            context=self,
        )
        if self._targets:
            self._after("failover", settings.failover_s, self._on_silence)
        self._after("limit", settings.call_max_s + self._ring_s, self._on_limit)
        self._flush()

    def _next_target(self, words: str) -> bool:
        """Try the next server, if there is one; whether that was done."""
        if self.target is not None:
            self._host.target_failed(self.target, words)
        if self._is_given_up or not self._targets or self._sound is None:
            return False
        self._sound.withdraw()
        self._early.clear()
        try:
            self._invite()
        except LocalProtocolError as fault:
            self._problem = str(fault)
            return False
        return True

    def _on_silence(self) -> None:
        """Not even a 100 from this server: leave it, and call by the next."""
        sip = self._sip
        if sip is None or sip.state is not CallState.CALLING:
            return
        sip.context = None
        with suppress(LocalProtocolError):
            sip.hang_up(self._now)
        if not self._next_target("no sign of life"):
            sip.context = self  # its end is the end of the call

    def _on_limit(self) -> None:
        self._problem = "the longest time of a call is over"
        self.hang_up([Reason("Q.850", 31)])

    # ------------------------------------------------------------------ what happens

    def on_sip(self, event: Event) -> None:
        """One event of the SIP side."""
        match event:
            case sip_events.Progress():
                self._on_progress(event)
            case sip_events.Answered():
                self._on_answered(event)
            case sip_events.Confirmed():
                self._on_confirmed(event)
            case sip_events.Rejected():
                self._on_rejected(event)
            case sip_events.Ended():
                self._finish(CallEnd(event.cause, reasons=event.reasons))
            case sip_events.ReferProgress():
                self._emit(TransferProgress(event.code, event.is_final))
            case sip_events.ReferRefused():
                self._emit(TransferProgress(event.code, True))
            case _:
                self._on_offer(event)

    def _on_progress(self, event: sip_events.Progress) -> None:
        self._stop("failover")
        self._has_rung = True
        if event.body is not None and event.body.content_type.startswith(SDP):
            self._early[event.fork] = event.body.data
            is_heard = self._host.settings.early_media == "hear"
            if is_heard and self._agree(event.body.data) and not self._has_early_media:
                self._has_early_media = True
                self._emit(EarlyMedia())
        self._emit(Ringing(event.code))

    def _on_answered(self, event: sip_events.Answered) -> None:
        self._stop("failover")
        fork = event.call.dialog.remote.tag if event.call.dialog is not None else ""
        body = event.body.data if event.body is not None else self._early.get(fork)
        if body is None or not self._agree(body, is_final=True):
            self._problem = self._problem or "the answer has no session description"
            self.hang_up([Reason("SIP", 488)])
            return
        self._stand()

    def _on_confirmed(self, event: sip_events.Confirmed) -> None:
        if event.body is not None and not self._agree(event.body.data, is_final=True):
            self.hang_up([Reason("SIP", 488)])
            return
        if self.parameters is None:
            self._problem = "our offer was acknowledged without a session description"
            self.hang_up([Reason("SIP", 488)])
            return
        self._stand()

    def _stand(self) -> None:
        self.answered_at = self._now
        self._after("limit", self._host.settings.call_max_s, self._on_limit)
        self._emit(Answered())

    def _on_rejected(self, event: sip_events.Rejected) -> None:
        is_server = event.cause in _TRY_NEXT or (
            event.cause is EndCause.RESPONSE and event.code in _SERVER_TROUBLE
        )
        words = f"{event.code} {event.phrase}".strip()
        # A phone that may have rung must not ring again, whatever has become of the server.
        if is_server and not self._has_rung and self._next_target(words):
            return
        self._finish(
            CallEnd(
                event.cause,
                event.code,
                event.phrase,
                retry_after_s=event.retry_after_s,
                reasons=event.reasons,
            )
        )

    def _on_offer(self, event: Event) -> None:
        """Changes of the session by the peer, and answers to ours."""
        sound, sip = self._sound, self._sip
        if sound is None or sip is None:
            return
        match event:
            case sip_events.Offered():
                self._answer_offer(sip, sound, event.body.data)
            case sip_events.OfferWanted():
                sip.accept_offer(self._now, sound.offer())
            case sip_events.OfferAnswered():
                if event.body is None or not self._agree(event.body.data, is_final=True):
                    sound.withdraw()
            case sip_events.OfferRefused():
                sound.withdraw()
            case _:
                return

    def _answer_offer(self, sip: Call, sound: CallSound, offer: bytes) -> None:
        try:
            sip.accept_offer(self._now, sound.answer(offer))
            self._stop("media")
        except (SipError, LocalProtocolError, OSError) as fault:
            self._problem = str(fault)
            code = fault.status_hint if isinstance(fault, SipError) else 500
            with suppress(LocalProtocolError):
                sip.refuse_offer(self._now, code or 488)

    def _agree(self, answer: bytes, *, is_final: bool = False) -> bool:
        if self._sound is None:
            return False
        is_agreed = self._sound.agree(answer, is_final=is_final)
        self._problem = self._sound.problem
        if is_agreed:
            self._stop("media")  # the leg listens anew: silence before says nothing any more
        return is_agreed

    def _on_media(self, event: MediaEvent) -> None:
        lost_s = self._host.settings.media_lost_s
        if isinstance(event, MediaLost) and lost_s:
            self._after("media", max(0.0, lost_s - event.silent_s), self._on_silent_line)
        elif isinstance(event, MediaResumed):
            self._stop("media")
        self._emit(event)

    def _on_silent_line(self) -> None:
        self._problem = "no sound came for long"
        self.hang_up([Reason("Q.850", 27)])

    # ------------------------------------------------------------------ an incoming INVITE

    def _describe(self) -> Body:
        """Our session description: the answer, or an offer where the caller made none."""
        call = self._call
        if self.is_outgoing:
            raise LocalProtocolError("the call is an outgoing one")
        if call.local_body is not None:
            return call.local_body
        if self._sound is None:
            self._sound = CallSound(self._host, self._on_media)
        if self._offered is None:
            return self._sound.offer()
        try:
            return self._sound.answer(self._offered.data)
        except SipError as fault:
            self._problem = str(fault)
            call.reject(self._now, fault.status_hint or 488)
            self._flush()
            raise

    # ------------------------------------------------------------------ the end, and small steps

    def _finish(self, end: CallEnd) -> None:
        if self.end is not None:
            return
        for timer in self._timers.values():
            timer.cancel()
        statistics = self._sound.close() if self._sound is not None else None
        talked_s = self._now - self.answered_at if self.answered_at is not None else 0.0
        self.end = CallEnd(
            end.cause,
            end.code,
            end.phrase,
            talked_s,
            statistics,
            end.retry_after_s,
            end.reasons,
            self._problem,
        )
        self._host.call_ended(self, self.end)
        self._ended.set()
        self._tell(self.end)

    def _emit(self, event: CallEvent) -> None:
        if self.end is None:
            self._tell(event)

    def _tell(self, event: CallEvent) -> None:
        if self.on_event is not None:
            self.on_event(event)
        else:
            self._events.append(event)
            self._has_news.set()

    def _after(self, name: str, delay_s: float, run: Callable[[], None]) -> None:
        self._stop(name)
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(delay_s, run)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _called(self, number: str) -> Uri:
        self._host.require_allowed(number)
        return self._host.identities.called(number)

    @property
    def _call(self) -> Call:
        if self._sip is None:
            raise LocalProtocolError("the call has not begun")
        return self._sip

    @property
    def _now(self) -> float:
        return self._host.endpoint.now

    def _flush(self) -> None:
        self._host.endpoint.flush()
