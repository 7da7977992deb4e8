"""Who may speak to us at all, looked up before a byte of what was sent is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, Generic, TypeAlias, TypeVar

Network: TypeAlias = IPv4Network | IPv6Network
Owner = TypeVar("Owner")

REMEMBERED: Final = 4_096
"""Addresses whose owners are kept; a scan from many addresses costs no more memory than that."""


@dataclass(slots=True)
class Noise:
    """What was not listened to."""

    datagrams: int = 0
    connections: int = 0
    last_host: str = ""

    def add_datagram(self, host: str) -> None:
        """A stranger sent a datagram."""
        self.datagrams += 1
        self.last_host = host

    def add_connection(self, host: str) -> None:
        """A stranger tried to connect."""
        self.connections += 1
        self.last_host = host


class Allowlist(Generic[Owner]):
    """Networks, and whose peers live there: several owners may share one."""

    def __init__(self) -> None:
        self._networks: dict[Owner, tuple[Network, ...]] = {}
        self._known: dict[str, tuple[Owner, ...]] = {}

    def put(self, owner: Owner, networks: Iterable[Network]) -> None:
        """Set the networks of an owner, in place of those it had."""
        self._networks[owner] = tuple(networks)
        self._known.clear()

    def remove(self, owner: Owner) -> None:
        """Forget an owner."""
        self._networks.pop(owner, None)
        self._known.clear()

    def owners(self, host: str) -> tuple[Owner, ...]:
        """Whose peer an address is, in the order of `put`; empty for strangers and for names."""
        found = self._known.get(host)
        if found is None:
            found = self._look_up(host)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[host] = found
        return found

    def allows(self, owner: Owner, host: str) -> bool:
        """Whether an address lies in the networks of this owner."""
        return owner in self.owners(host)

    def _look_up(self, host: str) -> tuple[Owner, ...]:
        try:
            address = ip_address(host)
        except ValueError:
            return ()
        return tuple(
            owner
            for owner, networks in self._networks.items()
            if any(address.version == each.version and address in each for each in networks)
        )
