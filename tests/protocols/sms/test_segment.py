"""Segments: sizes, headers, and cuts that break nothing a reader sees as one."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.sms import gsm7, reassembly, udh
from protocols.sms.encoding import Encoding, choose, encode
from protocols.sms.graphemes import is_boundary, last_boundary
from protocols.sms.repair import repair
from protocols.sms.segment import ReferenceBits, Segment, count, segments

BITS: list[ReferenceBits] = [8, 16]
GSM_TEXT = st.text(st.sampled_from("ab€[]\r\n@é"), max_size=700)
EMOJI_TEXT = st.lists(
    st.sampled_from(
        [
            "a",
            "é",
            "e\u0301",
            "👗",
            "👩‍👩‍👧‍👦",
            "👍🏽",
            "🇺🇸",
            "🇩",
            "1️⃣",
            "\r\n",
            "각",
            "क्षि",
            "漢",
            "नी",
        ]
    ),
    max_size=120,
).map("".join)


def bodies(parts: list[Segment]) -> list[bytes]:
    """The text octets of each segment, without header."""
    return [udh.parse(part.payload).body if part.has_udh else part.payload for part in parts]


def texts(parts: list[Segment], encoding: Encoding) -> list[str]:
    """Each segment decoded by itself."""
    return [gsm7.decode(body, encoding) for body in bodies(parts)]


@pytest.mark.parametrize(
    ("text", "sizes", "bits"),
    [
        ("", [0], 8),
        ("a" * 160, [160], 8),
        ("a" * 161, [153, 8], 8),
        ("a" * 161, [152, 9], 16),
        ("a" * 306, [153, 153], 8),
        ("a" * 307, [153, 153, 1], 8),
        ("€" * 80, [160], 8),
        ("€" * 81, [152, 10], 8),
        ("a" * 152 + "€" + "b" * 20, [152, 22], 8),
        ("a" * 152 + "\r\n" + "b" * 20, [152, 22], 8),
        ("я" * 70, [140], 8),
        ("я" * 71, [134, 8], 8),
        ("я" * 71, [132, 10], 16),
        ("👗" * 35, [140], 8),
        ("👗" * 36, [132, 12], 8),
        ("я" * 66 + "👗" + "я" * 9, [132, 22], 8),
    ],
)
def test_segments_have_the_sizes_of_the_standard(
    text: str, sizes: list[int], bits: ReferenceBits
) -> None:
    """160 septets or 140 octets alone; 153 or 152, 134 or 132 behind a header."""
    parts = segments(text, choose(text), 5, bits)
    assert [len(body) for body in bodies(parts)] == sizes
    assert [part.has_udh for part in parts] == [len(sizes) > 1] * len(sizes)


def test_an_eight_bit_header_is_the_one_of_the_standard() -> None:
    """TS 23.040 §9.2.3.24.1: 05 00 03 reference total number."""
    first, second = segments("a" * 200, Encoding.GSM7, 0x1FF)
    assert first.payload[:6] == b"\x05\x00\x03\xff\x02\x01"
    assert second.payload[:6] == b"\x05\x00\x03\xff\x02\x02"
    assert first.esm_class == second.esm_class == 0x40


def test_a_sixteen_bit_header_is_the_one_of_the_standard() -> None:
    """TS 23.040 §9.2.3.24.8: 06 08 04 reference total number."""
    first, _ = segments("a" * 200, Encoding.GSM7, 0x1FF, 16)
    assert first.payload[:7] == b"\x06\x08\x04\x01\xff\x02\x01"


def test_a_single_segment_has_no_header_and_no_bit() -> None:
    """A text that fits goes as it is."""
    assert segments("hello", Encoding.GSM7, 1) == [Segment(b"hello", False)]
    assert segments("hello", Encoding.GSM7, 1)[0].esm_class == 0


def test_a_text_of_more_than_255_segments_is_refused() -> None:
    """255 go, 256 raise, and the count is told all the same."""
    assert len(segments("a" * 153 * 255, Encoding.GSM7, 1)) == 255
    with pytest.raises(LocalProtocolError, match="256 segments"):
        segments("a" * (153 * 255 + 1), Encoding.GSM7, 1)
    assert count("a" * (153 * 255 + 1), Encoding.GSM7) == 256


def test_gsm_segments_of_a_text_outside_the_alphabet_are_refused() -> None:
    """Asking for the wrong encoding is an error, never a question mark."""
    with pytest.raises(LocalProtocolError):
        segments("漢", Encoding.GSM7, 1)
    with pytest.raises(LocalProtocolError):
        encode("漢", Encoding.GSM7)


@pytest.mark.parametrize(
    "cluster",
    [
        "e\u0301",
        "👩‍👩‍👧‍👦",
        "👍🏽",
        "🇺🇸",
        "1️⃣",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\r\n",
        "\u1112\u1161\u11ab",
        "하\u11ab",
        "क्षि",
        "ก\u0e33",
        "❤️‍🔥",
        "\u0600٣",
    ],
)
@pytest.mark.parametrize("before", range(50, 68))
def test_no_cut_falls_into_a_grapheme_cluster(cluster: str, before: int) -> None:
    """Wherever the cluster stands, it arrives whole in one segment."""
    text = "я" * before + cluster + "я" * 40
    parts = texts(segments(text, Encoding.UCS2, 1), Encoding.UCS2)
    assert "".join(parts) == text
    assert sum(cluster in part for part in parts) == 1


def test_flags_are_cut_between_pairs() -> None:
    """A row of flags breaks after a whole flag, not in the middle of one."""
    text = "я" + "🇺🇸" * 40
    parts = texts(segments(text, Encoding.UCS2, 1), Encoding.UCS2)
    assert parts[0] == "я" + "🇺🇸" * 16
    assert parts[1] == "🇺🇸" * 16


def test_a_cluster_longer_than_a_segment_is_cut_between_code_points() -> None:
    """Piles of marks go out whole, in full segments."""
    text = "я" + "\u0301" * 200
    parts = texts(segments(text, Encoding.UCS2, 1), Encoding.UCS2)
    assert "".join(parts) == text
    assert [len(part) for part in parts] == [67, 67, 67]


def test_a_cut_at_or_past_the_end_is_the_end() -> None:
    """What fits is not looked into."""
    assert last_boundary("abc", 0, 3) == last_boundary("abc", 0, 9) == 3


@pytest.mark.parametrize(
    ("text", "cut"), [("가나", 1), ("ab", 1), ("\n\r", 1), ("👗👗", 1), ("각\u1100", 1)]
)
def test_ordinary_neighbours_may_be_parted(text: str, cut: int) -> None:
    """Not everything sticks together."""
    assert is_boundary(text, 0, cut)


@settings(deadline=None)
@given(st.text() | GSM_TEXT | EMOJI_TEXT, st.integers(0, 1 << 40), st.sampled_from(BITS))
@example("a" * 152 + "€" * 200, 7, 8)
@example("👩‍👩‍👧‍👦" * 30, 7, 16)
def test_a_text_arrives_as_it_was_sent_in_whatever_order(
    text: str, reference: int, bits: ReferenceBits
) -> None:
    """Repair, choose, cut, shuffle, join: the repaired text comes out, and all counts agree."""
    text = repair(text.replace("\x00", "").lstrip("\ufeff\ufffe")).text
    encoding = choose(text)
    parts = segments(text, encoding, reference, bits)
    assert count(text, encoding, bits) == len(parts)
    assert parts == segments(text, encoding, reference, bits)
    assert all(len(part.payload) <= 140 + 20 * (encoding is Encoding.GSM7) for part in parts)
    received = [reassembly.read(part.payload, part.esm_class, encoding) for part in parts]
    assert len({part.group for part in received}) == 1
    assert reassembly.is_complete([part.number for part in received], received[0].total)
    random.Random(reference).shuffle(received)  # noqa: S311
    assert reassembly.join(received) == reassembly.Joined(text, [])


@settings(deadline=None)
@given(GSM_TEXT, st.sampled_from(BITS))
def test_each_gsm_segment_can_be_read_alone(text: str, bits: ReferenceBits) -> None:
    """No escape is parted from its code, no CR from its LF."""
    parts = texts(segments(text, Encoding.GSM7, 1, bits), Encoding.GSM7)
    assert "".join(parts) == text
    for left, right in zip(parts, parts[1:], strict=False):
        assert not (left.endswith("\r") and right.startswith("\n"))


@settings(deadline=None)
@given(EMOJI_TEXT, st.sampled_from(BITS))
def test_no_segment_begins_with_what_belongs_to_the_one_before(
    text: str, bits: ReferenceBits
) -> None:
    """Segments of text without piled marks begin with no mark, joiner or skin tone."""
    parts = texts(segments(text, Encoding.UCS2, 1, bits), Encoding.UCS2)
    assert "".join(parts) == text
    for left, right in zip(parts, parts[1:], strict=False):
        assert unicodedata.category(right[0])[0] != "M"
        assert right[0] not in "\u200d🏻🏼🏽🏾🏿"
        assert not left.endswith("\u200d")
