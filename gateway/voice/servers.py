"""The servers of one trunk: where they are, and which of them live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from config.settings import TrunkSettings
from gateway.voice.dns import Resolver
from protocols.sip.allowlist import Network
from protocols.sip.flow import Transport
from protocols.sip.resolving import Target

TRANSPORTS: Final = {
    "udp": (Transport.UDP,),
    "tcp": (Transport.TCP,),
    "tls": (Transport.TLS,),
    "auto": (Transport.TLS, Transport.TCP, Transport.UDP),
}
"""By setting; of "auto" in the order in which SRV sets are asked for where NAPTR says nothing."""
AVOIDED_S: Final = 60.0
"""How long a server that failed is tried last."""
KEPT_S: Final = 3_600.0
"""How long an address that DNS does not name any more may still speak: calls may be under way."""


@dataclass(slots=True)
class Health:
    """What is known of one server."""

    is_up: bool | None = None
    """Whether it answers; None before anybody asked."""
    round_trip_s: float | None = None
    error: str = ""
    avoided_until: float = 0.0
    asked_at: float | None = None
    """When a question went out that is not answered yet."""
    answered_at: float = 0.0
    """When the newest question that was answered went out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a server whether it lives, under way."""

    target: Target
    at: float


class Servers:
    """Finds a trunk's servers and keeps their order."""

    def __init__(self, settings: TrunkSettings, resolver: Resolver) -> None:
        proxy = settings.proxy
        self._host = proxy or settings.host
        self._port = settings.proxy_port if proxy else settings.port
        self._transports = TRANSPORTS[settings.transport]
        self._resolver = resolver
        self._fixed = tuple(ip_network(text, strict=False) for text in settings.networks)
        self._seen: dict[str, float] = {}
        self._located: tuple[Target, ...] = ()
        self.health: dict[Target, Health] = {}

    @property
    def networks(self) -> tuple[Network, ...]:
        """Who may speak: what the settings say, else the addresses that DNS named lately."""
        return self._fixed or tuple(ip_network(address) for address in self._seen)

    @property
    def all(self) -> tuple[Target, ...]:
        """As DNS last said."""
        return self._located

    async def locate(self, now: float) -> bool:
        """Ask DNS as far as need be; whether the addresses are others than before. Raises DnsError
        when nothing is known."""
        found = await self._resolver.locate(self._host, self._port, self._transports)
        self._located = found
        before = set(self._seen)
        self._seen = {
            address: at for address, at in self._seen.items() if at + KEPT_S > now
        } | {target.address: now for target in found}
        self.health = {
            target: self.health.get(target, Health()) for target in sorted(found, key=str)
        }
        return set(self._seen) != before

    def outside(self) -> list[str]:
        """Addresses of servers that the settings do not allow."""
        return [
            target.address
            for target in self._located
            if self._fixed and not any(_holds(each, target.address) for each in self._fixed)
        ]

    def order(self, now: float) -> list[Target]:
        """For a call that begins now: by priority and weight, those that failed last."""
        drawn = self._resolver.recall(self._host, self._port, self._transports)
        targets = list(drawn if drawn else self._located)
        return sorted(targets, key=lambda each: self._is_avoided(each, now))

    def failed(self, target: Target, words: str, now: float) -> None:
        """A request to a server came to nothing."""
        health = self.health.setdefault(target, Health())
        health.error = words
        health.avoided_until = now + AVOIDED_S

    def answered(self, target: Target, asked_at: float, round_trip_s: float) -> None:
        """A server showed that it lives, by its answer to what it was asked at `asked_at`."""
        health = self.health.setdefault(target, Health())
        health.is_up, health.round_trip_s, health.error = True, round_trip_s, ""
        health.avoided_until = 0.0
        health.asked_at = None
        health.answered_at = max(health.answered_at, asked_at)

    def has_answered_since(self, asked: Asked) -> bool:
        """Whether a newer question was answered: what became of this one says nothing any more."""
        health = self.health.get(asked.target)
        return health is not None and health.answered_at > asked.at

    def silent(self, target: Target, words: str, now: float) -> None:
        """A server did not answer whether it lives."""
        self.failed(target, words, now)
        health = self.health[target]
        health.is_up, health.round_trip_s, health.asked_at = False, None, None

    @property
    def is_reachable(self) -> bool | None:
        """Whether any server lives; None while nobody knows."""
        states = [health.is_up for health in self.health.values()]
        if any(states):
            return True
        return None if None in states or not states else False

    def figures(self) -> list[dict[str, Any]]:
        """What is known of each server, for operators."""
        return [
            {
                "address": f"{target.address}:{target.port}",
                "transport": target.transport.value,
                "name": target.name,
                "is_up": health.is_up,
                "round_trip_ms": _milliseconds(health.round_trip_s),
                "error": health.error,
            }
            for target, health in self.health.items()
        ]

    def _is_avoided(self, target: Target, now: float) -> bool:
        health = self.health.get(target)
        return health is not None and (health.avoided_until > now or health.is_up is False)


def _holds(network: Network, address: str) -> bool:
    other = ip_network(address)
    return network.version == other.version and other.network_address in network


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks as the settings write them."""
    return tuple(ip_network(text, strict=False) for text in texts)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 1)
