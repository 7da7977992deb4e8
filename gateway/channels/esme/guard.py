"""Who may knock: connections and failures counted by address, and bans that grow. No I/O.

Asked before anything is spent on a stranger: before TLS, before a session, before a password.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from config.smpp_server import SmppServerSettings

ADDRESSES_KEPT: Final = 20_000
"""Addresses remembered; beyond it those are forgotten that have been quiet longest."""
_IPV6_PREFIX: Final = 64
_MINUTE_S: Final = 60.0


@dataclass(slots=True)
class _Record:
    """What is known of one address."""

    open: int = 0
    tokens: float = 0.0
    seen: float = 0.0
    failures: list[float] = field(default_factory=list)
    bans: int = 0
    banned_until: float = 0.0


class AddressGuard:
    """Counts what each address does. `now` is monotonic seconds."""

    def __init__(self, settings: SmppServerSettings) -> None:
        self._settings = settings
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self.turned_away = 0
        """Connections that were not let in."""

    def is_welcome(self, address: str, now: float) -> bool:
        """Whether a new connection of this address may come in now."""
        record = self._record(address, now)
        most = float(self._settings.connections_per_minute)
        elapsed_s = now - record.seen
        record.tokens = min(most, record.tokens + elapsed_s * most / _MINUTE_S)
        record.seen = now
        is_full = record.open >= self._settings.connections_per_address
        if now < record.banned_until or is_full or record.tokens < 1:
            self.turned_away += 1
            return False
        record.tokens -= 1
        return True

    def came(self, address: str, now: float) -> None:
        """A connection stands."""
        self._record(address, now).open += 1

    def left(self, address: str) -> None:
        """It is gone."""
        record = self._records.get(group_of(address))
        if record is not None and record.open:
            record.open -= 1

    def is_banned(self, address: str, now: float) -> bool:
        """Whether a password of this address is not even looked at."""
        record = self._records.get(group_of(address))
        return record is not None and now < record.banned_until

    def failed(self, address: str, now: float) -> float:
        """A bind failed for what the peer said. Returns for how many seconds the address is banned
        by it, 0 if it is not."""
        record = self._record(address, now)
        since = now - self._settings.attempts_s
        record.failures = [at for at in record.failures if at > since]
        record.failures.append(now)
        if len(record.failures) < self._settings.attempts:
            return 0.0
        record.failures.clear()
        ban_s = self._settings.ban_min_s * 2.0 ** min(record.bans, 40)
        record.bans += 1
        ban_s = min(ban_s, self._settings.ban_max_s)
        record.banned_until = now + ban_s
        return ban_s

    def succeeded(self, address: str) -> None:
        """A bind of this address stands: what failed before is forgotten, earlier bans are not."""
        record = self._records.get(group_of(address))
        if record is not None:
            record.failures.clear()

    def _record(self, address: str, now: float) -> _Record:
        group = group_of(address)
        record = self._records.get(group)
        if record is None:
            record = _Record(tokens=float(self._settings.connections_per_minute), seen=now)
            self._records[group] = record
            self._forget(now)
        self._records.move_to_end(group)
        return record

    def _forget(self, now: float) -> None:
        """Keep the memory bounded: the quietest go, those with connections or a ban last."""
        over = len(self._records) - ADDRESSES_KEPT
        if over <= 0:
            return
        idle = [
            group
            for group, record in self._records.items()
            if not record.open and record.banned_until <= now
        ]
        for group in (idle or list(self._records))[: over + ADDRESSES_KEPT // 100]:
            del self._records[group]


@lru_cache(maxsize=4096)
def group_of(address: str) -> str:
    """What is counted as one: an IPv4 address, or the /64 that one subscriber of IPv6 has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))


@lru_cache(maxsize=4096)
def is_within(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an address lies in one of these networks; any does when there are none."""
    if not networks:
        return True
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in ipaddress.ip_network(network) for network in networks)
