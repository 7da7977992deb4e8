"""What is remembered of the segments that carriers took lately."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dispatch import receipts
from gateway.dispatch.matching import Matching
from gateway.dispatch.recent import RecentIds, Sent, Taken, choose, is_same_phone
from gateway.model import State
from gateway.store.database import HotConnection
from gateway.store.embedded import ConnectParameters
from tests.dispatch.carrier import Carrier
from tests.dispatch.stage import stage

PHONE = "+12125550123"


def sent(id_: int, target: str = PHONE, carrier: str = "c1") -> Sent:
    return Sent(id_, 0, State.SUBMITTED, target, 1, 1, carrier)


def taken(id_: int) -> Taken:
    return (id_, 0, PHONE, 1, 1)


def test_an_id_that_comes_again_stands_for_the_newest_segment() -> None:
    """Carriers count round and round."""
    ids = RecentIds()
    ids.add(1, "c1", taken(1))
    ids.add(1, "c1", taken(2))
    assert ids.find(1, ("c1",), "12125550123") == sent(2)


def test_only_the_likeliest_form_of_an_id_is_believed_from_memory() -> None:
    """What the receipt calls 10 may be the text 10, or the later text 16: the store is asked where
    memory has only what is less likely.
    """
    ids = RecentIds()
    ids.add(1, "16", taken(2))
    assert ids.find(1, ("10", "a", "16"), "12125550123") is None
    ids.add(1, "10", taken(1))
    assert ids.find(1, ("10", "a", "16"), "12125550123") == sent(1, carrier="10")


def test_of_several_forms_the_likeliest_goes_before_the_newest() -> None:
    """Ids that count up have a later one for nearly every number read as hexadecimal."""
    old, new, other = sent(1, carrier="10"), sent(2, carrier="16"), sent(3, "+12125550199", "10")
    assert choose([old, new, other], "12125550123", ("10", "a", "16")) == old
    assert choose([old, new], "12125550123", ("16", "10", "a")) == new
    assert choose([other], "12125550123", ("10",)) is None


def test_two_texts_to_a_phone_that_a_receipt_may_mean_are_told() -> None:
    """Nothing is learned of a carrier from such a receipt."""
    ids = RecentIds()
    ids.add(1, "10", taken(1))
    assert not ids.is_ambiguous(1, ("10", "a", "16"), "12125550123")
    ids.add(1, "16", taken(2))
    assert ids.is_ambiguous(1, ("10", "a", "16"), "12125550123")
    assert not ids.is_ambiguous(1, ("10", "a", "16"), "12125550199")


@pytest.mark.parametrize(
    ("target", "digits"),
    [
        ("+447400123456", "447400123456"),
        ("+447400123456", "07400123456"),
        ("+447400123456", "00447400123456"),
        ("+12125550123", "2125550123"),
        ("+12125550123", "12345"),
    ],
)
def test_a_phone_is_known_however_it_is_written(target: str, digits: str) -> None:
    """In full or nationally, with or without the zeros that are dialled first."""
    assert is_same_phone(target, digits)
    assert is_same_phone(target, "12125550199") is False


def test_an_id_of_another_link_or_phone_is_not_it() -> None:
    """The store is asked then: it may know an older segment."""
    ids = RecentIds()
    ids.add(1, "c1", taken(1))
    assert ids.find(2, ("c1",), "12125550123") is None
    assert ids.find(1, ("c1",), "12125550199") is None
    assert ids.find(1, (), "12125550123") is None


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    """At least so many, at most twice as many."""
    ids = RecentIds(10)
    for n in range(100):
        ids.add(1, f"c{n}", taken(n))
    kept = [n for n in range(100) if ids.find(1, (f"c{n}",), "12125550123")]
    assert kept == list(range(100 - len(kept), 100))
    assert 10 <= len(kept) <= 20


def test_what_a_receipt_settled_is_forgotten() -> None:
    """A second receipt is judged by what the store has."""
    ids = RecentIds(1)
    ids.add(1, "c1", taken(1))
    ids.add(1, "c2", taken(2))
    ids.forget(1, ("c1", "c2"))
    assert ids.find(1, ("c1",), "12125550123") is None
    assert ids.find(1, ("c2",), "12125550123") is None


async def test_a_receipt_that_is_kept_while_its_response_is_committed_is_not_kept_waiting(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was looked for too early and kept too late to be told of the response's commit."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await node.accept()
        node.link.allow(1)
        await node.link.has_taken(1)
        commit = Matching.commit

        async def commit_after_the_response(self: Matching, connection: HotConnection) -> Any:
            monkeypatch.setattr(Matching, "commit", commit)
            node.link.accept("c1")
            await node.settled()
            return await commit(self, connection)

        monkeypatch.setattr(Matching, "commit", commit_after_the_response)
        monkeypatch.setattr(receipts, "_POLL_S", 3600.0)
        await carrier.tell("c1")

        async def is_delivered() -> bool:
            return await node.states(id_) == {0: State.DELIVERED}

        await node.until(is_delivered)
