"""Optional parameters read on demand."""

from __future__ import annotations

import pytest

from protocols.smpp import Tag, tag_name, tlv


@pytest.mark.parametrize(
    ("value", "seen", "words"),
    [
        (b"\x00", 0, "idle"),
        (b"\x1d", 29, "low load"),
        (b"\x1e", 30, "medium load"),
        (b"\x45", 69, "high load"),
        (b"\x46", 70, "optimum load"),
        (b"\x50", 80, "nearly congested"),
        (b"\x63", 99, "congested"),
    ],
)
def test_congestion_state_in_words(value: bytes, seen: int, words: str) -> None:
    """The ranges of SMPP v5.0 section 4.8.4.18."""
    assert tlv.congestion([(Tag.CONGESTION_STATE, value)]) == seen
    assert tlv.congestion_words(seen) == words


@pytest.mark.parametrize("tlvs", [[], [(Tag.CONGESTION_STATE, b"")], [(0x0428, b"\x64")]])
def test_congestion_state_that_says_nothing(tlvs: list[tuple[int, bytes]]) -> None:
    """Absent, empty or beyond 99."""
    assert tlv.congestion(tlvs) is None


def test_first_value_counts_and_repeats_are_kept() -> None:
    """`first`, `every`, `integer` and `text` of a repeated and an absent parameter."""
    found = [(Tag.RECEIPTED_MESSAGE_ID, b"a1\0"), (Tag.RECEIPTED_MESSAGE_ID, b"b2")]
    assert tlv.every(found, Tag.RECEIPTED_MESSAGE_ID) == [b"a1\0", b"b2"]
    assert tlv.text(found, Tag.RECEIPTED_MESSAGE_ID) == "a1"
    assert tlv.integer([(0x0427, b"\x02")], Tag.MESSAGE_STATE) == 2
    assert (tlv.text(found, 1), tlv.integer(found, 1)) == (None, None)
    assert tag_name(Tag.BROADCAST_AREA_IDENTIFIER) == "broadcast_area_identifier"
