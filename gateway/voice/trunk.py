"""One trunk: its user agent, its servers, its registration, its calls."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from config.settings import TrunkSettings, VoiceSettings
from gateway.phone import mask
from gateway.voice.admission import Admission, TrunkBusy, TrunkDown
from gateway.voice.agent import (
    bracketed,
    contact_user,
    credentials_of,
    make_agent,
    own_address,
    routes_of,
)
from gateway.voice.call_events import CallEnd, CallEvent
from gateway.voice.calls import TrunkCall
from gateway.voice.dns import DnsError, Resolver
from gateway.voice.enrolment import SERVER_TROUBLE, Enrolment, hop_of
from gateway.voice.identity import Caller, Identities
from gateway.voice.ladder import Ladders, masked
from gateway.voice.servers import Asked, Servers, networks_of
from gateway.voice.tls import TrunkTls
from protocols.audio.g711 import Law
from protocols.errors import LocalProtocolError
from protocols.rtp.transport import MediaEngine
from protocols.sip import events as sip_events
from protocols.sip.agent_driver import Endpoint
from protocols.sip.allowlist import Network
from protocols.sip.events import EndCause, Event
from protocols.sip.flow import Hop, Randomness, Transport
from protocols.sip.resolving import Target
from protocols.sip.sdp_audio import AudioPolicy, MediaSecurity
from protocols.sip.transport import SipTransport
from protocols.sip.uri import Uri

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
LOCATE_S: Final = 15.0
"""How often DNS is looked at; what it said is remembered for as long as it said."""
ERRORS_MAX: Final = 10
TELL_AGAIN_S: Final = 60.0
"""An error that goes on is logged once; again when it was away for so long."""
ASKED_MAX: Final = 4
"""Servers that are asked whether they live."""
BUSY_RETRY_S: Final = 5
_CUT: Final = frozenset({EndCause.TIMEOUT, EndCause.TRANSPORT})
_REFUSED: Final = frozenset({401, 403, 407, 488})
"""The carrier takes no calls of ours, as 5xx say too; other refusals are of the number or the
person called."""
_SECURITY: Final = {
    "off": MediaSecurity.PLAIN,
    "optional": MediaSecurity.EITHER,
    "required": MediaSecurity.SECURE,
}
_LAWS: Final = {"pcmu": Law.ULAW, "pcma": Law.ALAW}


@dataclass(frozen=True, slots=True)
class Common:
    """What all trunks of a process share."""

    voice: VoiceSettings
    transport: SipTransport
    media: MediaEngine
    resolver: Resolver
    rng: Randomness
    wall: Callable[[], float]
    is_allowed: Callable[[str], bool]
    """Whether a number in E.164 form may be called at all."""
    host: str
    """Where we listen."""
    port: int
    tls_port: int


@dataclass(frozen=True, slots=True)
class TrunkState:
    """What a trunk is doing: `up`, `down`, `starting`, `unregistered` or `stopped`."""

    state: str
    since: float
    """Seconds since the epoch."""
    error: str
    figures: dict[str, Any]


class Trunk:
    """A way to the telephone network and back."""

    def __init__(
        self,
        settings: TrunkSettings,
        common: Common,
        *,
        mark: str,
        on_incoming: Callable[[TrunkCall], None],
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self.identities = Identities(settings)
        self.media = common.media
        self.credentials = credentials_of(settings)
        self.routes = routes_of(settings)
        self.servers = Servers(settings, common.resolver)
        self.ladders = Ladders(common.voice.ladder_calls)
        self.calls: set[TrunkCall] = set()
        self.is_stopped = False
        self._common = common
        self._on_incoming = on_incoming
        self._media_networks = networks_of(settings.media_networks)
        self._public = common.voice.public_address
        self._asked_at = 0.0
        self._pinged_at = 0.0
        self._located_at: float | None = None
        self._counts = {"out": 0, "in": 0, "answered": 0, "failed": 0}
        self._errors: deque[tuple[float, str]] = deque(maxlen=ERRORS_MAX)
        self._shown = ("starting", common.wall())
        self._wake = asyncio.Event()
        self.looked = asyncio.Event()
        """Set once DNS was asked for the first time, whatever it said."""
        self.endpoint = Endpoint(
            common.transport.loop,
            make_agent(settings, mark, common.rng),
            send=common.transport.send,
            on_events=self._on_events,
            on_error=common.transport.on_error,
            mark=mark,
            user=contact_user(settings),
            tls=TrunkTls(settings).context,
            server_name=settings.tls_server_name or settings.proxy or settings.host,
            ping_s=settings.keepalive_s,
            is_tcp_for_large=settings.tcp_for_large,
            on_message=self._note,
        )
        self._enrolment = Enrolment(
            settings,
            self.servers,
            self.endpoint,
            identities=self.identities,
            credentials=self.credentials,
            routes=self.routes,
            wall=common.wall,
            on_fault=self._fault,
        )
        self._admission = Admission(settings.max_calls, settings.calls_per_s, self.endpoint.now)

    def follow(self, before: Trunk) -> None:
        """Go on where a trunk of this name left off: its calls count, and are shown."""
        self.ladders = before.ladders
        self._admission.before = before._admission

    # ------------------------------------------------------------------ what calls need

    @property
    def policy(self) -> AudioPolicy:
        """What is allowed of sound."""
        settings = self.settings
        return AudioPolicy(
            networks=tuple(self.media_networks),
            laws=tuple(_LAWS[name] for name in settings.codecs),
            security=_SECURITY[settings.srtp],
            ptime_ms=settings.ptime_ms,
            has_dtmf=settings.dtmf,
            prefers_own_order=True,
        )

    @property
    def media_networks(self) -> Sequence[Network]:
        """Where sound may come from and go to."""
        return self._media_networks or self.servers.networks

    @property
    def media_address(self) -> str:
        """Where the peer sends its sound."""
        return self._public or own_address(self._common.host, self.servers.all)

    def require_allowed(self, number: str) -> None:
        """Whom nobody may be made to call: toll fraud lives on numbers of other countries and on
        premium ones. Raises LocalProtocolError."""
        if not self._common.is_allowed(number):
            words = "is no number in E.164 form of a country and kind that is called"
            raise LocalProtocolError(f"{mask(number)} {words}")

    def target_failed(self, target: Target, words: str) -> None:
        """A call could not be made by this server."""
        self._fault(f"{target.address}:{target.port}: {words}")
        self.servers.failed(target, words, self.endpoint.now)

    def call_ended(self, call: TrunkCall, end: CallEnd) -> None:
        """A call is over."""
        if call in self.calls:
            self.calls.remove(call)
            self._admission.end()
        if end.was_answered or call.answered_at is not None:
            self._counts["answered"] += 1
        elif end.cause in _CUT or end.code in _REFUSED or 500 <= end.code < 600:
            self._counts["failed"] += 1
            self._fault(f"a call failed: {end.code} {end.phrase or end.cause.value}")
        if end.problem:
            self._fault(f"a call: {end.problem}")
        self._wake.set()

    # ------------------------------------------------------------------ what the application does

    @property
    def is_usable(self) -> bool:
        """Whether a call has a chance."""
        return self._condition() == "up"

    @property
    def room(self) -> int:
        """Calls that may begin now, the pace aside."""
        return 0 if self.is_stopped else self._admission.room

    def call(
        self,
        to: str,
        caller: Caller | None = None,
        *,
        ring_s: float | None = None,
        on_event: Callable[[CallEvent], None] | None = None,
        context: object = None,
    ) -> TrunkCall:
        """Call a number in E.164 form. Raises TrunkBusy or TrunkDown when nothing was sent,
        LocalProtocolError for what cannot be written or called, OSError without a free port."""
        self.require_allowed(to)
        now = self.endpoint.now
        targets = self.servers.order(now) if self.servers.all else []
        if self.is_stopped or not targets:
            raise TrunkDown(f"trunk {self.name} knows no server to call by", TICK_S)
        self._admission.begin(now)
        call = TrunkCall(
            self, to=to, caller=caller or Caller(), on_event=on_event, context=context
        )
        self.calls.add(call)  # before it is dialled: it may fail at once
        try:
            call.dial(targets, ring_s)
        except BaseException:
            self.calls.remove(call)
            self._admission.end()
            raise
        self._counts["out"] += 1
        return call

    def state(self) -> TrunkState:
        """What it is doing now."""
        condition = self._condition()
        if condition != self._shown[0]:
            self._shown = (condition, self._common.wall())
        error = self._errors[-1][1] if self._errors and condition != "up" else ""
        return TrunkState(condition, self._shown[1], error, self._figures())

    # ------------------------------------------------------------------ its life

    async def run(self) -> None:
        """Find the servers, register, ask for signs of life, until canceled."""
        while True:
            await self._locate()
            self.looked.set()
            now = self.endpoint.now
            if self.servers.all and not self.is_stopped:
                try:
                    self._enrolment.keep(now)
                    self._ask(now)
                except LocalProtocolError as fault:
                    self._fault(str(fault))
                self._keep_open(now)
                self.endpoint.flush()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()

    async def stop(self, deadline: float) -> None:
        """Hang up, unregister, and wait until that is done or `deadline` (loop time) is there."""
        for call in list(self.calls):
            call.hang_up()
        await self.leave(deadline)
        await self._settled(lambda: not self.calls, deadline)
        self._close()

    async def leave(self, deadline: float) -> None:
        """Take no calls any more, and unregister; the calls that stand go on."""
        self.is_stopped = True
        self._enrolment.end(self.endpoint.now)
        self.endpoint.flush()
        await self._settled(lambda: not self._enrolment.is_under_way, deadline)

    async def drain(self) -> None:
        """After `leave`: be there for the calls that stand, until the last one ends."""
        await self._settled(lambda: not self.calls, None)
        self._close()

    def make_way(self) -> None:
        """What begins something new is for the other trunks of our networks from now on."""
        allowed = self._common.transport.allowed
        allowed.remove(self.endpoint)
        allowed.put(self.endpoint, self.servers.networks)

    def _close(self) -> None:
        self.endpoint.close()
        self._common.transport.allowed.remove(self.endpoint)

    async def _settled(self, is_so: Callable[[], bool], deadline: float | None) -> None:
        """Wait until something is so, or until the deadline."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while not is_so():
                    self._wake.clear()
                    await self._wake.wait()

    async def _locate(self) -> None:
        now = self.endpoint.now
        if self._located_at is not None and now < self._located_at + LOCATE_S:
            return
        try:
            is_changed = await self.servers.locate(now)
        except DnsError as error:
            self._fault(str(error))
            return
        self._located_at = now
        if not self.servers.all:
            self._fault(f"DNS knows no server of {self.settings.proxy or self.settings.host}")
        for address in self.servers.outside():
            self._fault(f"DNS names {address}, which is outside of networks")
        if is_changed:
            self._common.transport.allowed.put(self.endpoint, self.servers.networks)
            self._set_local()

    def _set_local(self) -> None:
        """What we are called in Via and Contact."""
        common = self._common
        host = bracketed(self.media_address)
        agent = self.endpoint.agent
        agent.set_local(Transport.UDP, host, common.port)
        agent.set_local(Transport.TCP, host, common.port)
        agent.set_local(Transport.TLS, host, common.tls_port or common.port)

    def _ask(self, now: float) -> None:
        """OPTIONS to each server; one that does not answer soon counts as gone until it does."""
        settings = self.settings
        if not settings.options_s:
            return
        for target, health in self.servers.health.items():
            if health.asked_at is not None and now - health.asked_at > settings.failover_s:
                self._fault(f"{target.address}:{target.port} does not answer OPTIONS")
                self.servers.silent(target, "no answer to OPTIONS", now)
        if self._asked_at and now < self._asked_at + settings.options_s:
            return
        self._asked_at = now
        for target in self.servers.all[:ASKED_MAX]:
            health = self.servers.health[target]
            if health.asked_at is None:
                health.asked_at = now
            self.endpoint.agent.options(
                Uri.sip(None, bracketed(settings.serving_domain)),
                from_=self.identities.own(),
                hop=hop_of(target),
                now=now,
                context=Asked(target, now),
            )

    def _keep_open(self, now: float) -> None:
        """Empty datagrams; connections see to themselves."""
        keepalive_s = self.settings.keepalive_s
        if keepalive_s and now >= self._pinged_at + keepalive_s:
            self._pinged_at = now
            for target in self.servers.all[:1]:
                if target.transport is Transport.UDP:
                    self._common.transport.ping(self.endpoint, target)

    # ------------------------------------------------------------------ what happens

    def _on_events(self, events: list[Event]) -> None:
        """One event that goes wrong does not take the others with it."""
        for event in events:
            try:
                self._on_event(event)
            except Exception as error:
                self._common.transport.on_error(error)

    def _on_event(self, event: Event) -> None:
        match event:
            case sip_events.IncomingCall():
                self._on_call(event)
            case sip_events.Registered():
                self._on_registered(event)
            case sip_events.RegistrationFailed():
                self._enrolment.on_failed(event, self.endpoint.now)
            case sip_events.Unregistered():
                self._enrolment.ended()
                self._wake.set()
            case sip_events.Replied():
                self._on_replied(event)
            case _:
                call = event.call.context
                if isinstance(call, TrunkCall) and call.sip is event.call:
                    call.on_sip(event)

    def _on_call(self, event: sip_events.IncomingCall) -> None:
        sip, now = event.call, self.endpoint.now
        to = self.identities.wanted(sip.invite, self.endpoint.user)
        caller = self.identities.caller(sip.caller)
        try:
            if self.is_stopped:
                raise TrunkDown("the trunk is being stopped", BUSY_RETRY_S)
            self._admission.begin(now)
        except (TrunkBusy, TrunkDown):
            sip.reject(now, 503, retry_after_s=BUSY_RETRY_S)
            return
        call = TrunkCall(self, to=to, caller=caller)
        call.take(sip, event.body)
        sip.context = call
        self.calls.add(call)
        self._counts["in"] += 1
        try:
            self._on_incoming(call)
        except Exception:
            call.hang_up()  # nobody has it: it would ring until the caller gave up
            raise

    def _on_registered(self, event: sip_events.Registered) -> None:
        self._enrolment.on_registered(event)
        is_learned = self.settings.behind_nat and not self._common.voice.public_address
        if is_learned and event.public is not None and event.public[0] != self._public:
            self._public = event.public[0]
            self._set_local()
            event.registration.refresh(self.endpoint.now)

    def _on_replied(self, event: sip_events.Replied) -> None:
        asked = event.context
        if not isinstance(asked, Asked):
            return
        target = asked.target
        now = self.endpoint.now
        if event.cause is EndCause.RESPONSE and event.code not in SERVER_TROUBLE:
            self.servers.answered(target, asked.at, now - asked.at)
        elif not self.servers.has_answered_since(asked):
            is_cut = event.cause is EndCause.TRANSPORT
            words = (is_cut and self.endpoint.fault) or f"{event.code} {event.phrase}"
            self._fault(f"{target.address}:{target.port}: {words}")
            self.servers.silent(target, words, now)

    def _condition(self) -> str:
        if self.is_stopped:
            return "stopped"
        if not self.servers.all:
            return "starting" if not self._errors else "down"
        if self._enrolment.is_missing:
            return "unregistered"
        if self.settings.options_s:
            return {True: "up", False: "down", None: "starting"}[self.servers.is_reachable]
        return "up"

    def _figures(self) -> dict[str, Any]:
        noise = self._common.transport.noise
        return {
            "calls": self._admission.taken,
            "max_calls": self.settings.max_calls,
            "registered_since": self._enrolment.since,
            "registered_for_s": self._enrolment.for_s if self._enrolment.since else None,
            "registering_at": self._enrolment.again_at,
            "servers": self.servers.figures(),
            **self._counts,
            "refused": self._admission.refused,
            "misdirected": self.endpoint.misdirected,
            "unreadable": self.endpoint.agent.refused,
            "strangers": noise.datagrams + noise.connections,
            "last_stranger": noise.last_host,
            "errors": [list(each) for each in self._errors],
        }

    def _fault(self, words: str) -> None:
        """Note an error, once however often it comes. Part of it is the peer's words."""
        at, words = self._common.wall(), masked(words)
        before = next((each for each in self._errors if each[1] == words), None)
        if before is not None:
            self._errors.remove(before)
        if before is None or at - before[0] >= TELL_AGAIN_S:
            log.warning("trunk %s: %s", self.name, words)
        self._errors.append((at, words))

    def _note(self, is_sent: bool, data: bytes, hop: Hop) -> None:
        self.ladders.note(is_sent, data, hop, self._common.wall())
