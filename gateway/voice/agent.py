"""The user agent of one trunk, as its settings want it."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from config.settings import TrunkSettings
from protocols.sip.core import Config
from protocols.sip.digest import Credentials
from protocols.sip.endpoint import UserAgent
from protocols.sip.flow import Randomness
from protocols.sip.limits import DEFAULT_LIMITS, Limits
from protocols.sip.resolving import Target
from protocols.sip.sharing import MarkedRandomness


def make_agent(settings: TrunkSettings, mark: str, rng: Randomness) -> UserAgent:
    """A user agent whose tokens bear a mark."""
    return UserAgent(
        Config(
            user=contact_user(settings),
            user_agent="sms-voice-gateway",
            is_100rel=settings.reliable_provisional,
            session_expires_s=settings.session_expires_s,
            is_pinned=settings.behind_nat,
        ),
        MarkedRandomness(mark, rng),
        limits=_limits(settings.max_calls),
    )


def contact_user(settings: TrunkSettings) -> str:
    """The user of the trunk's Contact."""
    return settings.user or settings.name


def credentials_of(settings: TrunkSettings) -> Credentials | None:
    """The account; None where the carrier goes by our address."""
    if not settings.password:
        return None
    realms = frozenset({settings.realm}) if settings.realm else frozenset()
    return Credentials(settings.user, settings.password, realms)


def routes_of(settings: TrunkSettings) -> tuple[str, ...]:
    """The Route of what begins anew: the outbound proxy."""
    if not settings.proxy:
        return ()
    host = bracketed(settings.proxy)
    place = f"{host}:{settings.proxy_port}" if settings.proxy_port else host
    return (f"<sip:{place};lr>",)


def bracketed(host: str) -> str:
    """A host as URIs have it."""
    return f"[{host}]" if ":" in host else host


def own_address(listen: str, servers: Iterable[Target]) -> str:
    """The address that packets to these servers leave from, where we listen on `listen`."""
    if listen not in ("0.0.0.0", "::"):  # noqa: S104 - compared only
        return listen
    for target in servers:
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target.address, target.port))  # sends nothing
            return str(probe.getsockname()[0])
    return "127.0.0.1"


def _limits(max_calls: int) -> Limits:
    """Room for the calls that the trunk may have, and for as many again that were left for the next
    server or are being refused."""
    known = DEFAULT_LIMITS
    return replace(
        known,
        calls=max(known.calls, 2 * max_calls),
        client_transactions=max(known.client_transactions, 4 * max_calls),
        server_transactions=max(known.server_transactions, 4 * max_calls),
    )
