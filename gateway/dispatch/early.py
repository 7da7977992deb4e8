"""Receipts that match nothing yet: kept for a while, bounded, and tried again.

A receipt may overtake the response that tells its id. It is tried when a flush brings the id, and
1, 6 and 36 seconds after it came; the last time it may also settle a segment in doubt to the same
destination. No clock of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

RETRIES_S = (1.0, 5.0, 30.0)
"""How long an unmatched receipt waits for its first, second and last try."""
TOTAL_MAX = 100_000
"""Unmatched receipts of all links that are kept at once: some 2 kB each."""


@dataclass(slots=True)
class Early:
    """A stored receipt that has matched nothing so far. `state` is 0 for an intermediate one."""

    id: int
    link: int
    forms: tuple[str, ...]
    phone: str
    state: int
    word: str
    error: str | None
    tries: int = 0
    due: float = 0.0

    @property
    def is_last_try(self) -> bool:
        """Whether it is given up if it matches nothing now."""
        return self.tries >= len(RETRIES_S)


class EarlyReceipts:
    """The early receipts of this process's links."""

    def __init__(self, per_link: int, total: int = TOTAL_MAX) -> None:
        """`per_link`: how many are kept for each link at most; beyond, the oldest goes."""
        self._per_link = per_link
        self._total = total
        self._by_id: dict[int, OrderedDict[int, Early]] = {}
        self._by_form: dict[tuple[int, str], set[int]] = {}

    @property
    def per_link(self) -> int:
        """How many are kept for each link now: all links together have a bound, too."""
        links = sum(map(bool, self._by_id.values()))
        return max(min(self._per_link, self._total // max(links, 1)), 1)

    def __len__(self) -> int:
        return sum(len(receipts) for receipts in self._by_id.values())

    def __contains__(self, receipt: Early) -> bool:
        return receipt.id in self._by_id.get(receipt.link, ())

    def add(self, receipt: Early, now: float) -> None:
        """Keep a receipt. One that is kept already keeps its tries."""
        kept = self._by_id.setdefault(receipt.link, OrderedDict())
        if receipt.id in kept:
            return
        receipt.due = now + RETRIES_S[receipt.tries]
        kept[receipt.id] = receipt
        for form in receipt.forms:
            self._by_form.setdefault((receipt.link, form), set()).add(receipt.id)

    def excess(self, link: int, coming: int) -> list[Early]:
        """The oldest receipts of a link, as many as must go for `coming` new ones."""
        kept = self._by_id.get(link)
        count = len(kept) + coming - self.per_link if kept else 0
        return [early for _, early in zip(range(count), (kept or {}).values(), strict=False)]

    def remove(self, receipt: Early) -> None:
        """Forget a receipt."""
        kept = self._by_id.get(receipt.link)
        if kept is None or kept.pop(receipt.id, None) is None:
            return
        for form in receipt.forms:
            ids = self._by_form.get((receipt.link, form))
            if ids is not None:
                ids.discard(receipt.id)
                if not ids:
                    del self._by_form[receipt.link, form]

    def waiting_for(self, link: int, carrier: str) -> list[Early]:
        """The receipts that a carrier's id, just committed, may be for."""
        ids = self._by_form.get((link, carrier))
        return [self._by_id[link][id_] for id_ in sorted(ids)] if ids else []

    def due(self, now: float) -> list[Early]:
        """The receipts that are to be tried now; each has its next time set."""
        found = []
        for kept in self._by_id.values():
            for receipt in kept.values():
                if receipt.due <= now:
                    receipt.tries += 1
                    wait = RETRIES_S[min(receipt.tries, len(RETRIES_S) - 1)]
                    receipt.due = now + wait
                    found.append(receipt)
        return found
