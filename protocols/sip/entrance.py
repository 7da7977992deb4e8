"""How many connections there may be, in all and of one address: a peer that hangs takes no other's
place."""

from __future__ import annotations

from collections import Counter


class Entrance:
    """Counts connections that stand, and callers on their way in (a TLS handshake takes time)."""

    def __init__(
        self, connections: int, per_host: int, handshakes: int, handshakes_per_host: int
    ) -> None:
        self._connections = connections
        self._per_host = per_host
        self._handshakes = handshakes
        self._handshakes_per_host = handshakes_per_host
        self._standing: Counter[str] = Counter()
        self._arriving: Counter[str] = Counter()

    def has_room(self, host: str) -> bool:
        """Whether a caller of that address may come in."""
        arriving, own = self._arriving.total(), self._arriving[host]
        return (
            self._standing.total() + arriving < self._connections
            and self._standing[host] + own < self._per_host
            and arriving < self._handshakes
            and own < self._handshakes_per_host
        )

    def arrives(self, host: str) -> None:
        """A caller is on its way in."""
        self._arriving[host] += 1

    def arrived(self, host: str) -> None:
        """It is in, or it went."""
        _take_one(self._arriving, host)

    def stands(self, host: str) -> None:
        """A connection stands, whoever opened it."""
        self._standing[host] += 1

    def left(self, host: str) -> None:
        """A connection is gone."""
        _take_one(self._standing, host)


def _take_one(counter: Counter[str], host: str) -> None:
    """No address is remembered that has nothing here any more."""
    counter[host] -= 1
    if counter[host] <= 0:
        del counter[host]
