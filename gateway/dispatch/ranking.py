"""Who goes next: ranks for the queue, and the cursor that finds the next one without looking at
what is gone.

A rank is `lane << 60 | virtual start time`. Ordering by it alone gives strict lanes, fair shares
between shops within a lane (start-time fair queueing: a shop's next message starts where its last
one ended, or at the lane's present if that is later) and first come, first served within a shop. It
costs one integer a message and no work when the queue is long.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.model import Lane

LANE_BITS = 60


def floor(lane: int) -> int:
    """The lowest rank of a lane."""
    return lane << LANE_BITS


_LANES = tuple(Lane)


def lane_of(rank: int) -> Lane:
    """The lane that a rank belongs to."""
    return _LANES[rank >> LANE_BITS]


class Ranker:
    """Gives the ranks of one route on one node.

    Its memory is the virtual time of each lane (the highest rank claimed so far) and where each
    waiting shop's last message starts. The first is saved with the flights and given back at start,
    so that it never runs backwards; the second is read from the queue at start. Several nodes that
    give ranks for one route do not tell each other the second: what a shop sends through two of
    them at once is in order, and its share held, for each of them alone.
    """

    __slots__ = ("_last", "_prune_at", "now")

    _PRUNE = 4096

    def __init__(self, virtual_times: dict[int, int] | None = None) -> None:
        self.now = {lane: floor(lane) for lane in Lane}
        for lane, rank in (virtual_times or {}).items():
            self.now[Lane(lane)] = max(rank, floor(lane))
        self._last: dict[tuple[int, int], int] = {}
        self._prune_at = self._PRUNE

    def rank(self, lane: Lane, shop: int) -> int:
        """The rank of a message that becomes ready now."""
        key = (lane, shop)
        rank = max(self.now[lane], self._last.get(key, 0)) + 1
        self._last[key] = rank
        if len(self._last) > self._prune_at:
            self._prune()
        return rank

    def claimed(self, rank: int) -> None:
        """A message of this rank was claimed: the present moves on to it, never back."""
        lane = lane_of(rank)
        if rank > self.now[lane]:
            self.now[lane] = rank

    def waits(self, rank: int, shop: int) -> None:
        """A message of this rank, which another process may have given, waits: the shop's next one
        goes behind it.
        """
        key = (lane_of(rank), shop)
        self._last[key] = max(rank, self._last.get(key, 0))

    def _prune(self) -> None:
        """Forget the shops whose last message is past: they would start at the present anyway."""
        self._last = {k: r for k, r in self._last.items() if r > self.now[Lane(k[0])]}
        self._prune_at = max(self._PRUNE, 2 * len(self._last))


class Cursors:
    """Where the next claim of one route starts in each lane, and whether there may be anything.

    A cursor is a hint that spares the database the index entries of what was claimed before. It
    must never hide a message for long, so it is lowered by everything that puts one into the
    queue, and all go back to their lanes' floors once a second. Ranks tie, so that a claim starts
    at the cursor, not behind it.

    While a claim is under way its end would move the cursors past whatever was inserted, or reset,
    meanwhile: both are remembered until then.
    """

    __slots__ = ("_lowest", "lane", "may_have", "positions")

    def __init__(self) -> None:
        self.positions = {lane: floor(lane) for lane in Lane}
        self.may_have = True
        self.lane: int = min(Lane)
        """The highest lane in which there may be anything: nothing is in those before it."""
        self._lowest: dict[Lane, int] = {}

    def inserted(self, rank: int) -> None:
        """A message of this rank was put into the queue, by this node or another."""
        self.may_have = True
        lane = lane_of(rank)
        if lane < self.lane:
            self.lane = lane
        self._lower(lane, rank)

    def reset(self) -> None:
        """Start again at the floors, for what may have been missed. To be called once a second."""
        for lane in Lane:
            self._lower(lane, floor(lane))

    def _lower(self, lane: Lane, rank: int) -> None:
        if rank < self.positions[lane]:
            self.positions[lane] = rank
        if rank < self._lowest.get(lane, rank + 1):
            self._lowest[lane] = rank

    def begin(self) -> list[int]:
        """A claim begins; returns where, by lane. One at a time: `end` belongs to the last
        `begin`.
        """
        self._lowest = {}
        return [self.positions[lane] for lane in Lane]

    def end(self, asked: int, ranks: Iterable[int]) -> None:
        """The claim of up to `asked` messages found these ranks."""
        found = 0
        highest: dict[Lane, int] = {}
        for rank in ranks:
            found += 1
            lane = lane_of(rank)
            if rank > highest.get(lane, -1):
                highest[lane] = rank
        for lane, rank in highest.items():
            self.positions[lane] = min(rank, self._lowest.get(lane, rank))
        if found < asked and not self._lowest:
            self.may_have = False
        last = max(highest) if highest and found >= asked else max(Lane)
        self.lane = min(last, *self._lowest) if self._lowest else last
