"""Keeps one trunk registered: at one server, and at the next when that one is silent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from config.settings import TrunkSettings
from gateway.voice.identity import Identities
from gateway.voice.servers import Servers
from protocols.sip.agent_driver import Endpoint
from protocols.sip.digest import Credentials
from protocols.sip.events import Registered, RegistrationFailed
from protocols.sip.flow import Hop
from protocols.sip.registration import Account, Registration
from protocols.sip.resolving import Target
from protocols.sip.transactions import Cause
from protocols.sip.uri import Uri

log = logging.getLogger(__name__)

SERVER_TROUBLE: Final = frozenset({408, 503})
"""No answer, or none that says anything about us."""
RENEW_S: Final = 10.0
"""The least between two registrations because a connection was cut."""


class Enrolment:
    """The registration of one trunk; nothing where its settings want none."""

    def __init__(
        self,
        settings: TrunkSettings,
        servers: Servers,
        endpoint: Endpoint,
        *,
        identities: Identities,
        credentials: Credentials | None,
        routes: tuple[str, ...],
        wall: Callable[[], float],
        on_fault: Callable[[str], None],
    ) -> None:
        self.since: float | None = None
        """Seconds since the epoch; None while not registered."""
        self.for_s = 0.0
        """How long the registrar keeps us at a time."""
        self.again_at: float | None = None
        """When we register again after a failure, seconds since the epoch; None after none."""
        self._settings = settings
        self._servers = servers
        self._endpoint = endpoint
        self._identities = identities
        self._credentials = credentials
        self._routes = routes
        self._wall = wall
        self._on_fault = on_fault
        self._registration: Registration | None = None
        self._rotations = 0
        self._is_cut = False
        self._renewed_at = 0.0
        endpoint.on_disconnected = self._on_cut

    @property
    def is_missing(self) -> bool:
        """Whether we should be registered and are not."""
        return self._settings.register and self.since is None

    @property
    def is_under_way(self) -> bool:
        """Whether anything is left to take back."""
        return self._registration is not None

    def keep(self, now: float) -> None:
        """Register, unless that was done; again when the connection was cut that calls would come
        by."""
        if not self._settings.register:
            return
        if self._registration is None:
            self._begin(now)
            return
        self._follow(self._registration, now)
        if self._is_cut and now >= self._renewed_at + RENEW_S:
            self._renewed_at = now
            self._is_cut = False
            self._registration.refresh(now)

    def _begin(self, now: float) -> None:
        settings = self._settings
        account = Account(
            registrar=Uri.sip(None, settings.registrar or settings.serving_domain),
            address=self._identities.own(),
            hop=hop_of(self._servers.order(now)[0]),
            credentials=self._credentials,
            expires_s=settings.expires_s,
            routes=self._routes,
        )
        self._registration = self._endpoint.agent.register(account, now)

    def end(self, now: float) -> None:
        """Take it back."""
        if self._registration is not None:
            self._registration.unregister(now)

    def ended(self) -> None:
        """It was taken back."""
        self._registration, self.since, self.again_at = None, None, None

    def on_registered(self, event: Registered) -> None:
        """It stands."""
        if self.since is None:
            self.since = self._wall()
            log.info("trunk %s is registered", self._settings.name)
        self.for_s = event.expires_s
        self.again_at = None
        self._rotations = 0

    def on_failed(self, event: RegistrationFailed, now: float) -> None:
        """Another server may take us; once all were asked the back-off counts."""
        if self.since is not None:
            log.warning("trunk %s is not registered any more", self._settings.name)
        self.since = None
        self.again_at = None if event.retry_in_s is None else self._wall() + event.retry_in_s
        is_cut = event.phrase == Cause.TRANSPORT.value
        reason = self._endpoint.fault if is_cut else ""
        self._on_fault(f"not registered: {event.code} {event.phrase} {reason}".rstrip())
        if event.code not in SERVER_TROUBLE or self._rotations + 1 >= len(self._servers.all):
            self._rotations = 0
            return
        self._rotations += 1
        self._move(event.registration, now)

    def _on_cut(self) -> None:
        self._is_cut = self.since is not None

    def _follow(self, registration: Registration, now: float) -> None:
        """The next REGISTER goes to a server that DNS still names: the old address may be nobody's
        by then. What stands is left alone, for names that change with every answer."""
        if registration.account.hop not in map(hop_of, self._servers.all):
            hop = hop_of(self._servers.order(now)[0])
            registration.account = replace(registration.account, hop=hop)

    def _move(self, registration: Registration, now: float) -> None:
        """Go on at the next server."""
        hop = registration.account.hop
        for target in self._servers.all:
            if (target.address, target.port) == (hop.host, hop.port):
                self._servers.failed(target, "no answer to REGISTER", now)
        self.again_at = None
        others = self._servers.order(now)
        registration.account = replace(registration.account, hop=hop_of(others[0]))
        registration.refresh(now)


def hop_of(target: Target) -> Hop:
    """Where messages to a server go."""
    return Hop(target.transport, target.address, target.port)
