"""Whatever octets a carrier sends, reading them raises nothing and gives storable text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.sms import gsm7, udh
from protocols.sms.message_ids import id_forms
from protocols.sms.reassembly import join, read
from protocols.sms.receipts import MAX_ID_LENGTH, parse

OCTET = st.integers(0, 255)
TAGS = st.sampled_from([0x001E, 0x0423, 0x0424, 0x0427, 0x020C, 0x020E, 0x020F, 0x1400])
TLVS = st.lists(st.tuples(TAGS | st.integers(0, 0xFFFF), st.binary(max_size=80)), max_size=8)
HEADED = st.builds(
    lambda elements, body: bytes((len(elements),)) + elements + body,
    st.sampled_from([b"\x00\x03\x01\x02\x01", b"\x08\x04\x00\x01\x02\x02", b"\x24\x01\x01"])
    | st.binary(max_size=20),
    st.binary(max_size=160),
)
RECEIPT_PIECES = [
    *("id:", "ID : ", "sub:001 ", "dlvrd:001 ", "submit date:", "done date:", "2611221000 "),
    *("20261122100000 ", "stat:", "DELIVRD ", "err:", "000 ", "text:", " ", "\x00", "é", "0A1B "),
]
RECEIPT_LIKE = st.lists(st.sampled_from(RECEIPT_PIECES), max_size=20).map(
    lambda pieces: "".join(pieces).encode("latin-1")
)
BODY = st.binary(max_size=300) | HEADED | RECEIPT_LIKE


def assert_storable(text: str) -> None:
    """A database of UTF-8 text takes it."""
    text.encode("utf-8")
    assert "\x00" not in text


@settings(deadline=None)
@given(st.binary(max_size=300), OCTET)
def test_every_payload_decodes_under_every_data_coding(payload: bytes, data_coding: int) -> None:
    """Text comes out of anything, without U+0000 and lone surrogates."""
    assert_storable(gsm7.decode(payload, data_coding))


@settings(deadline=None)
@given(st.text(st.characters() | st.characters(categories=["Cs"])))
def test_every_text_encodes_as_ucs2(text: str) -> None:
    """Lone surrogates included, what goes out is sound UTF-16."""
    gsm7.encode_ucs2(text).decode("utf-16-be")


@settings(deadline=None)
@given(BODY)
def test_every_header_is_read_or_left(payload: bytes) -> None:
    """A header's body is always the end of the payload."""
    assert payload.endswith(udh.parse(payload).body)


@settings(deadline=None)
@given(BODY, OCTET, OCTET, TLVS)
def test_every_deliver_sm_is_a_part(
    short_message: bytes, esm_class: int, data_coding: int, tlvs: list[tuple[int, bytes]]
) -> None:
    """Number and total are sound and the part joins, alone or beside a second one."""
    part = read(short_message, esm_class, data_coding, tlvs)
    assert 1 <= part.number <= part.total <= 255
    assert (part.group is None) is (part.total == 1)
    joined = join([part])
    assert_storable(joined.text)
    assert len(joined.missing) == part.total - 1


@settings(deadline=None)
@given(st.lists(st.tuples(BODY, OCTET, TLVS), max_size=6))
def test_parts_that_do_not_belong_together_still_join(
    messages: list[tuple[bytes, int, list[tuple[int, bytes]]]],
) -> None:
    """A mixed-up store gives some text, never an error."""
    assert_storable(join([read(body, 0x40, coding, tlvs) for body, coding, tlvs in messages]).text)


@settings(deadline=None)
@given(BODY, OCTET, TLVS)
def test_every_deliver_sm_is_a_receipt_or_none(
    short_message: bytes, esm_class: int, tlvs: list[tuple[int, bytes]]
) -> None:
    """What a receipt tells is bounded, printable and can be looked up."""
    receipt = parse(short_message, esm_class, tlvs)
    if receipt is None:
        return
    for told in (receipt.message_id, receipt.error, receipt.word):
        assert told is None or (told.isprintable() and 1 <= len(told) <= MAX_ID_LENGTH)
    if receipt.message_id is not None:
        assert 1 <= len(id_forms(receipt.message_id)) <= 3
