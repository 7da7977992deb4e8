"""How much each shop may have rendered."""

from __future__ import annotations

import pytest

from gateway.errors import Refusal
from gateway.voice.quota import Quota


def test_so_many_new_texts_a_minute() -> None:
    """The next one has to wait as long as it says."""
    quota = Quota(2)
    quota.take(1, b"a", 0.0)
    quota.take(1, b"b", 0.0)
    with pytest.raises(Refusal) as caught:
        quota.take(1, b"c", 0.0)
    assert (caught.value.type, caught.value.retry_after_s) == ("over-limit", 30)
    quota.take(1, b"c", 30.0)


def test_a_text_that_was_counted_is_free() -> None:
    """However often it is looked at; one that failed counts anew."""
    quota = Quota(1)
    for _ in range(1_000):
        quota.take(1, b"a", 0.0)
    quota.forget(1, b"a")
    with pytest.raises(Refusal):
        quota.take(1, b"a", 0.0)


def test_what_was_given_back_was_never_counted() -> None:
    """It never makes more than there was."""
    quota = Quota(1)
    for _ in range(3):
        assert quota.take(1, b"a", 0.0)
        quota.give_back(1, b"a")
    quota.give_back(1, b"a")
    assert quota.take(1, b"a", 0.0)
    assert not quota.take(1, b"a", 0.0)
    with pytest.raises(Refusal):
        quota.take(1, b"b", 0.0)


def test_shops_do_not_share() -> None:
    """What one uses up the other has."""
    quota = Quota(1)
    quota.take(1, b"a", 0.0)
    quota.take(2, b"a", 0.0)
