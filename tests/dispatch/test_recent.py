"""What is remembered of the segments that carriers took lately."""

from __future__ import annotations

from gateway.dispatch.recent import RecentIds, Sent
from gateway.model import State

PHONE = "+12125550123"


def sent(id_: int, target: str = PHONE) -> Sent:
    return Sent(id_, 0, State.SUBMITTED, target, 1, 1, "c1")


def test_an_id_that_comes_again_stands_for_the_newest_segment() -> None:
    """Carriers count round and round."""
    ids = RecentIds()
    ids.add(1, "c1", sent(1))
    ids.add(1, "c1", sent(2))
    assert ids.find(1, ("c1",), "12125550123") == sent(2)


def test_of_an_ids_forms_the_newest_to_the_phone_counts() -> None:
    """What the receipt calls 2587 may have been told as a1b, or as 2587 for another text."""
    ids = RecentIds()
    ids.add(1, "a1b", sent(2))
    ids.add(1, "2587", sent(1))
    assert ids.find(1, ("2587", "a1b"), "12125550123") == sent(2)


def test_an_id_of_another_link_or_phone_is_not_it() -> None:
    """The store is asked then: it may know an older segment."""
    ids = RecentIds()
    ids.add(1, "c1", sent(1))
    assert ids.find(2, ("c1",), "12125550123") is None
    assert ids.find(1, ("c1",), "12125550199") is None
    assert ids.find(1, (), "12125550123") is None


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    """At least so many, at most twice as many."""
    ids = RecentIds(10)
    for n in range(100):
        ids.add(1, f"c{n}", sent(n))
    kept = [n for n in range(100) if ids.find(1, (f"c{n}",), "12125550123")]
    assert kept == list(range(100 - len(kept), 100))
    assert 10 <= len(kept) <= 20


def test_what_a_receipt_settled_is_forgotten() -> None:
    """A second receipt is judged by what the store has."""
    ids = RecentIds(1)
    ids.add(1, "c1", sent(1))
    ids.add(1, "c2", sent(2))
    ids.forget(1, ("c1", "c2"))
    assert ids.find(1, ("c1",), "12125550123") is None
    assert ids.find(1, ("c2",), "12125550123") is None
