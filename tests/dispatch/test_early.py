"""Receipts that match nothing yet, in memory."""

from __future__ import annotations

from gateway.dispatch.early import Early, EarlyReceipts


def early(id_: int, link: int) -> Early:
    return Early(id_, link, (f"c{id_}",), "12125550123", 5, "DELIVRD", None)


def keep(kept: EarlyReceipts, receipt: Early) -> None:
    """As a batch of one does."""
    for over in kept.excess(receipt.link, 1):
        kept.remove(over)
    kept.add(receipt, 0.0)


def test_one_link_has_a_bound_of_its_own() -> None:
    """The oldest goes."""
    kept = EarlyReceipts(per_link=3, total=100)
    for id_ in range(10):
        keep(kept, early(id_, 1))
    assert len(kept) == 3
    assert [bool(kept.waiting_for(1, f"c{id_}")) for id_ in range(10)] == [False] * 7 + [True] * 3


def test_all_links_together_have_a_bound() -> None:
    """However many bring receipts of messages long gone; each keeps its newest."""
    kept = EarlyReceipts(per_link=10, total=40)
    for id_ in range(2_000):
        keep(kept, early(id_, id_ % 20))
    assert len(kept) <= 40
    assert all(kept.waiting_for(id_ % 20, f"c{id_}") for id_ in range(1_980, 2_000))
