"""Receipts that match nothing yet: kept for a while, bounded, and tried again.

A receipt may overtake the response that tells its id. It is tried when a flush brings the id, and after 1, 5 and 30 seconds; the last time it
may also settle a segment in doubt to the same destination. No clock of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

RETRIES_S = (1.0, 5.0, 30.0)
"""When an unmatched receipt is tried again, in seconds after it came."""


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


class EarlyReceipts:
    """The early receipts of this process's links."""

    def __init__(self, per_link: int) -> None:
        """`per_link`: how many are kept for each link; beyond, the oldest goes."""
        self._per_link = per_link
        self._by_id: dict[int, OrderedDict[int, Early]] = {}
        self._by_form: dict[tuple[int, str], set[int]] = {}

    def __len__(self) -> int:
        return sum(len(receipts) for receipts in self._by_id.values())

    def add(self, receipt: Early, now: float) -> Early | None:
        """Keep a receipt; returns the oldest one of its link if that had to go for it."""
        receipt.due = now + RETRIES_S[receipt.tries]
        kept = self._by_id.setdefault(receipt.link, OrderedDict())
        kept[receipt.id] = receipt
        for form in receipt.forms:
            self._by_form.setdefault((receipt.link, form), set()).add(receipt.id)
        if len(kept) <= self._per_link:
            return None
        oldest = next(iter(kept.values()))
        self.remove(oldest)
        return oldest

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
        """The receipts that are to be tried now; each has its next time set, or `tries` past the last."""
        found = []
        for kept in self._by_id.values():
            for receipt in kept.values():
                if receipt.due <= now:
                    receipt.tries += 1
                    last = receipt.tries >= len(RETRIES_S)
                    receipt.due = now + 3600.0 if last else now + RETRIES_S[receipt.tries]
                    found.append(receipt)
        return found
