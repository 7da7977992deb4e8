"""Reading parts of texts, whatever marks them, and joining them again."""

from __future__ import annotations

import pytest

from protocols.sms import udh
from protocols.sms.reassembly import GAP, Joined, Part, Scheme, is_complete, join, read

SAR = [(0x020C, b"\x01\x02"), (0x020E, b"\x03"), (0x020F, b"\x02")]


def part(number: int, total: int, octets: bytes, data_coding: int = 0) -> Part:
    """A part of text 7."""
    return Part(Scheme.UDH_8_BIT, 7, total, number, octets, data_coding)


def test_a_plain_text_is_a_part_by_itself() -> None:
    """No mark: one of one."""
    assert read(b"hello", 0, 0) == Part(Scheme.SINGLE, None, 1, 1, b"hello", 0)
    assert read(b"hello", 0, 0).group is None


def test_an_eight_bit_header_marks_a_part() -> None:
    """TS 23.040 §9.2.3.24.1."""
    found = read(b"\x05\x00\x03\x07\x03\x02hello", 0x40, 0)
    assert found == Part(Scheme.UDH_8_BIT, 7, 3, 2, b"hello", 0)


def test_a_sixteen_bit_header_marks_a_part() -> None:
    """TS 23.040 §9.2.3.24.8."""
    found = read(b"\x06\x08\x04\x01\x02\x03\x02\x00h", 0x43, 8)
    assert found == Part(Scheme.UDH_16_BIT, 0x0102, 3, 2, b"\x00h", 8)


@pytest.mark.parametrize("data_coding", [0, 1], ids=["default alphabet", "called IA5"])
def test_a_header_names_the_language_of_the_septets(data_coding: int) -> None:
    """TS 23.038 §6.2.1.2.4: Spanish's single shift table; some libraries call septets IA5."""
    found = read(b"\x03\x24\x01\x02S\x1bi", 0x40, data_coding)
    assert join([found]).text == "Sí"


def test_sar_parameters_mark_a_part() -> None:
    """SMPP v3.4 §5.3.2.22 to §5.3.2.24."""
    assert read(b"hello", 0, 0, SAR) == Part(Scheme.SAR, 0x0102, 3, 2, b"hello", 0)


def test_message_payload_holds_a_whole_text_or_a_part() -> None:
    """SMPP v3.4 §5.3.2.32: the text stands in the parameter when short_message is empty."""
    assert read(b"", 0, 0, [(0x0424, b"long")]).text_bytes == b"long"
    assert read(b"", 0, 0, [*SAR, (0x0424, b"long")]).number == 2
    assert read(b"", 0x40, 0, [(0x0424, b"\x05\x00\x03\x07\x03\x02long")]).text_bytes == b"long"
    assert read(b"short", 0, 0, [(0x0424, b"long")]).text_bytes == b"short"


def test_equal_references_of_different_kinds_are_different_texts() -> None:
    """The group tells 8-bit, 16-bit and SAR references apart."""
    groups = {
        read(b"\x05\x00\x03\x07\x02\x01", 0x40, 0).group,
        read(b"\x06\x08\x04\x00\x07\x02\x01", 0x40, 0).group,
        read(b"", 0, 0, [(0x020C, b"\x00\x07"), (0x020E, b"\x02"), (0x020F, b"\x01")]).group,
    }
    assert len(groups) == 3
    assert all(group is not None and 0 <= group < 1 << 18 for group in groups)


@pytest.mark.parametrize(
    "header",
    [
        b"\x05\x00\x03\x07\x00\x00",
        b"\x05\x00\x03\x07\x02\x00",
        b"\x05\x00\x03\x07\x02\x03",
        b"\x05\x00\x03\x07\x01\x01",
        b"\x04\x00\x03\x07\x02",
        b"\x04\x00\x02\x07\x02",
        b"\x01\x00",
        b"\x00",
        b"\x06\x05\x04\x0b\x84\x23\xf0",
    ],
)
def test_headers_that_make_no_sense_leave_the_text_alone(header: bytes) -> None:
    """Total 0, number 0 or beyond total, total 1, broken or unrelated elements: a whole text."""
    assert read(header + b"hello", 0x40, 0) == Part(Scheme.SINGLE, None, 1, 1, b"hello", 0)


def test_a_header_longer_than_the_text_is_text() -> None:
    """Where the length cannot be true, nothing is cut off."""
    assert read(b"hello", 0x40, 0).text_bytes == b"hello"
    assert read(b"", 0x40, 0).text_bytes == b""


@pytest.mark.parametrize(
    "tlvs",
    [
        SAR[:2],
        [SAR[0], (0x020E, b"\x02"), (0x020F, b"\x03")],
        [SAR[0], (0x020E, b"\x00"), (0x020F, b"\x00")],
        [SAR[0], (0x020E, b""), SAR[2]],
        [SAR[0], (0x020E, b"\x01"), (0x020F, b"\x01")],
        [(0x020C, b"\x00\x01\x02"), *SAR[1:]],
        [SAR[0], (0x020E, b"\x01\x00"), (0x020F, b"\x01")],
    ],
)
def test_sar_parameters_that_make_no_sense_are_ignored(tlvs: list[tuple[int, bytes]]) -> None:
    """Missing, contradictory or oversize ones leave a whole text."""
    assert read(b"hello", 0, 0, tlvs) == Part(Scheme.SINGLE, None, 1, 1, b"hello", 0)


def test_other_elements_are_kept_as_they_came() -> None:
    """Ports and language shifts stand beside the concatenation; the last mark of it holds."""
    header = udh.parse(
        b"\x13\x00\x03\x01\x02\x01\x24\x01\x01\x05\x04\x0b\x84\x23\xf0\x00\x03\x09\x02\x02x"
    )
    assert header.elements[1:3] == ((0x24, b"\x01"), (0x05, b"\x0b\x84\x23\xf0"))
    assert header.concatenation == udh.Concatenation(9, 8, 2, 2)
    assert header.body == b"x"


@pytest.mark.parametrize(
    ("numbers", "total", "is_whole"),
    [
        ([1], 1, True),
        ([2, 1], 2, True),
        ([1, 1], 2, False),
        ([], 1, False),
        ([1, 2, 2, 3], 3, True),
    ],
)
def test_a_text_is_complete_when_every_number_came(
    numbers: list[int], total: int, is_whole: bool
) -> None:
    """Copies count once."""
    assert is_complete(numbers, total) is is_whole


def test_parts_join_in_order_whatever_order_they_came_in() -> None:
    """The number decides."""
    parts = [part(3, 3, b"c"), part(1, 3, b"a"), part(2, 3, b"b")]
    assert join(parts) == Joined("abc", [])


def test_characters_that_the_sender_cut_in_two_survive() -> None:
    """Escape pairs and surrogate pairs over a cut come out whole."""
    assert join([part(1, 2, b"5 \x1b"), part(2, 2, b"\x65!")]).text == "5 €!"
    dress = "👗".encode("utf-16-be")
    assert join([part(1, 2, dress[:2], 8), part(2, 2, dress[2:], 8)]).text == "👗"


def test_parts_in_different_codings_are_read_each_in_its_own() -> None:
    """Some senders choose the coding part by part."""
    parts = [part(1, 3, b"a"), part(2, 3, "я".encode("utf-16-be"), 8), part(3, 3, b"b")]
    assert join(parts).text == "aяb"


def test_missing_parts_are_told_and_shown() -> None:
    """Each gap shows once in the text; the numbers come separately."""
    parts = [part(2, 6, b"b"), part(5, 6, b"e")]
    assert join(parts) == Joined(f"{GAP}b{GAP}e{GAP}", [1, 3, 4, 6])


def test_of_a_part_that_came_twice_the_first_counts() -> None:
    """A redelivered copy changes nothing."""
    assert join([part(1, 2, b"a"), part(1, 2, b"z"), part(2, 2, b"b")]).text == "ab"


def test_no_parts_make_an_empty_text() -> None:
    """Nothing came, nothing is missing."""
    assert join([]) == Joined("", [])
