"""Texts as a link wants them: alphabets, packing, headers, SAR, payload; and read back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.sms import gsm7, septets
from protocols.sms.compose import Piece, compose, plan
from protocols.sms.dialect import Charset, Long, TextDialect
from protocols.sms.encoding import choose
from protocols.sms.languages import LOCKING, Language
from protocols.sms.national import codes
from protocols.sms.reassembly import join, read
from protocols.sms.segment import count, segments

TURKISH = "Gelinliğiniz hazır, şimdi gelip alabilirsiniz. İyi günler!"
HINDI = "आपका गाउन तैयार है। कृपया आइए।"
ALL = tuple(Language)
EVERYTHING = TextDialect(latin1=3, locking=tuple(LOCKING), single=ALL)


def received(pieces: list[Piece], dialect: TextDialect) -> str:
    """What a phone, or we, make of the pieces."""
    parts = [
        read(
            piece.payload,
            piece.esm_class,
            dialect.standard_coding(piece.data_coding),
            piece.tlvs,
            is_packed=dialect.is_packed,
        )
        for piece in pieces
    ]
    assert len({(part.group, part.total) for part in parts}) == 1
    joined = join(parts)
    assert joined.missing == []
    return joined.text


TEXTS = st.one_of(
    st.text(st.sampled_from(sorted(gsm7.CHARACTERS)), max_size=500),
    st.text(st.sampled_from(sorted(codes(Language.TURKISH, Language.TURKISH))), max_size=400),
    st.text(st.sampled_from(sorted(codes(Language.HINDI, Language.HINDI))), max_size=400),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=300),
)


@pytest.mark.parametrize("long", [Long.UDH8, Long.UDH16])
@given(text=TEXTS, reference=st.integers(0, 0xFFFF))
def test_default_dialect_is_what_segments_makes(text: str, reference: int, long: Long) -> None:
    """Octet by octet, for any text."""
    dialect = TextDialect(long=long)
    bits = 16 if long is Long.UDH16 else 8
    encoding = choose(text)
    expected = segments(text, encoding, reference, bits)  # type: ignore[arg-type]
    made = compose(text, dialect, reference)
    assert [(p.payload, p.esm_class, p.data_coding, p.tlvs) for p in made] == [
        (part.payload, part.esm_class, int(encoding), ()) for part in expected
    ]
    assert plan(text, dialect).segments == count(text, encoding, bits)  # type: ignore[arg-type]


@settings(deadline=None)
@pytest.mark.parametrize("long", Long)
@given(
    text=TEXTS,
    latin1=st.sampled_from([None, 3]),
    locking=st.lists(st.sampled_from(list(LOCKING)), max_size=3),
    single=st.lists(st.sampled_from(ALL), max_size=3),
)
def test_every_text_comes_back(
    text: str, long: Long, latin1: int | None, locking: list[Language], single: list[Language]
) -> None:
    """Whatever the link takes, the text is the same at the other end, no piece is too long, and
    the plan told how many there are."""
    dialect = TextDialect(latin1=latin1, locking=tuple(locking), single=tuple(single), long=long)
    way = plan(text, dialect)
    pieces = compose(text, dialect, 4711, way)
    assert pieces == compose(text, dialect, 4711)
    assert len(pieces) == way.pieces
    # Normal text of Unicode may hold what a phone reads as a mark of the byte order.
    if not text.startswith(("\ufeff", "\ufffe")):
        assert received(pieces, dialect) == text
    for piece in pieces:
        limit = 160 if way.charset is Charset.GSM7 else 140
        assert len(piece.payload) <= limit


@given(text=st.text(st.sampled_from(sorted(gsm7.CHARACTERS - {"@", "\r"})), max_size=500))
def test_packed_texts_come_back(text: str) -> None:
    """Eight septets in seven octets, behind a header too: at most 140 octets a piece."""
    for long in Long:
        dialect = TextDialect(is_packed=True, long=long)
        pieces = compose(text, dialect, 7)
        assert all(len(piece.payload) <= 140 for piece in pieces)
        assert received(pieces, dialect) == text


def test_packing_is_that_of_the_standard() -> None:
    """The well-known example of eight letters in seven octets, and the fill bit behind a header of
    six octets."""
    assert septets.pack(b"hellohello") == bytes.fromhex("e8329bfd4697d9ec37")
    assert septets.unpack(bytes.fromhex("e8329bfd4697d9ec37")) == b"hellohello"
    assert [septets.fill_bits(size) for size in (0, 6, 7, 4, 9, 12)] == [0, 1, 0, 3, 5, 2]
    assert [septets.capacity(size) for size in (0, 6, 7, 4, 9, 12)] == [
        160,
        153,
        152,
        155,
        149,
        146,
    ]
    assert septets.pack(b"a" * 7)[-1] >> 1 == 0x0D
    assert septets.unpack(septets.pack(b"a" * 7)) == b"a" * 7
    assert septets.unpack(b"") == b""


@pytest.mark.parametrize("fill", range(7))
@given(st.binary(max_size=160).map(lambda octets: bytes(octet & 0x7F for octet in octets)))
def test_septets_come_back_behind_any_fill_bits(fill: int, codes: bytes) -> None:
    """A last CR or zero apart, which may be filling."""
    back = septets.unpack(septets.pack(codes, fill), fill)
    assert back == codes or (codes[:-1] == back and codes[-1] in (0, 0x0D))


def test_turkish_takes_one_segment_with_its_table() -> None:
    """A header of four octets announces the single shift table; without it UCS-2 takes two."""
    text = TURKISH + " Sample Bridal, 212 555 0100."
    dialect = TextDialect(single=(Language.TURKISH,))
    way = plan(text, dialect)
    assert (way.charset, way.locking, way.single) == (Charset.GSM7, None, Language.TURKISH)
    assert (way.segments, plan(text).segments) == (1, 2)
    (piece,) = compose(text, dialect, 1)
    assert (piece.payload[:4], piece.esm_class) == (bytes.fromhex("03240101"), 0x40)
    assert received([piece], dialect) == text


def test_long_hindi_carries_its_tables_in_every_part() -> None:
    """Concatenation and both tables: twelve octets of header, 146 septets of text."""
    text = HINDI * 12
    dialect = TextDialect(locking=(Language.HINDI,), single=(Language.HINDI,))
    way = plan(text, dialect)
    assert (way.locking, way.single) == (Language.HINDI, Language.HINDI)
    assert way.segments < plan(text).segments
    pieces = compose(text, dialect, 0x1234)
    for number, piece in enumerate(pieces, 1):
        assert piece.payload[:6] == bytes((11, 0, 3, 0x34, len(pieces), number))
        assert piece.payload[6:12] == bytes.fromhex("240106 250106")
        assert len(piece.payload) <= 12 + 146
    assert received(pieces, dialect) == text


def test_equal_cost_takes_what_every_phone_reads() -> None:
    """A short text that UCS-2 carries in one segment gets no table."""
    assert plan("şimdi", TextDialect(single=(Language.TURKISH,))).charset is Charset.UCS2
    assert plan("Sample", EVERYTHING).charset is Charset.GSM7


def test_latin1_is_taken_where_it_saves() -> None:
    """Characters that the GSM alphabet lacks and Latin-1 has: 140 in a segment, not 70."""
    text = "Préférences notées à l'accueil, ôtez l'étiquette s'il vous plaît. Merci beaucoup!"
    dialect = TextDialect(latin1=3)
    assert plan(text, dialect) == (Charset.LATIN1, 3, None, None, 1, 1)
    assert plan(text).segments == 2
    assert compose(text, dialect, 1)[0].payload == text.encode("latin-1")
    assert plan("\x80" + text, dialect).charset is Charset.UCS2


def test_link_whose_default_alphabet_is_latin1() -> None:
    """data_coding 0 means Latin-1 there, both ways."""
    dialect = TextDialect(gsm=None, latin1=0)
    (piece,) = compose("Prêt à 5 h", dialect, 1)
    assert (piece.payload, piece.data_coding) == ("Prêt à 5 h".encode("latin-1"), 0)
    assert received([piece], dialect) == "Prêt à 5 h"
    assert dialect.standard_coding(4) == 4


def test_data_coding_values_are_the_links() -> None:
    """A link may want other numbers for its alphabets."""
    dialect = TextDialect(gsm=0xF1, ucs2=0x18)
    assert compose("Hello", dialect, 1)[0].data_coding == 0xF1
    (piece,) = compose("你好", dialect, 1)
    assert piece.data_coding == 0x18
    assert received([piece], dialect) == "你好"


def test_sar_tells_the_parts_apart_by_parameters() -> None:
    """No header; reference, total and number as parameters; room for the header that the carrier
    writes."""
    pieces = compose("x" * 400, TextDialect(long=Long.SAR), 0x1ABCD)
    assert [piece.tlvs for piece in pieces] == [
        ((0x020C, b"\xab\xcd"), (0x020E, b"\x03"), (0x020F, bytes((number,))))
        for number in (1, 2, 3)
    ]
    assert [(len(piece.payload), piece.esm_class) for piece in pieces] == [
        (152, 0),
        (152, 0),
        (96, 0),
    ]
    assert compose("short", TextDialect(long=Long.SAR), 1) == [Piece(b"short", 0, 0, ())]


def test_payload_goes_whole() -> None:
    """One submit_sm; the segments that the carrier will make of it are counted."""
    dialect = TextDialect(long=Long.PAYLOAD)
    way = plan("x" * 400, dialect)
    assert (way.pieces, way.segments) == (1, 3)
    assert compose("x" * 400, dialect, 1) == [Piece(b"", 0, 0, ((0x0424, b"x" * 400),))]
    assert compose("x" * 160, dialect, 1) == [Piece(b"x" * 160, 0, 0, ())]


@pytest.mark.parametrize("long", [Long.SAR, Long.PAYLOAD])
def test_tables_go_with_headers_alone(long: Long) -> None:
    """A long text by SAR or message_payload takes no table, which each part would have to
    announce; a short one does."""
    dialect = TextDialect(single=(Language.TURKISH,), long=long)
    assert plan(TURKISH * 2, dialect).charset is Charset.GSM7
    assert plan(TURKISH * 5, dialect).charset is Charset.UCS2


def test_text_too_long_is_refused() -> None:
    """255 segments are the most."""
    for long in Long:
        with pytest.raises(LocalProtocolError, match="at most 255"):
            compose("x" * 40_000, TextDialect(long=long), 1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gsm": 256}, "data_coding 256"),
        ({"locking": (Language.SPANISH,)}, "Spanish has no locking shift table"),
        ({"gsm": None, "single": (Language.TURKISH,)}, "belong to the GSM alphabet"),
        ({"gsm": None, "is_packed": True}, "belong to the GSM alphabet"),
    ],
)
def test_dialect_that_makes_no_sense_is_refused(fields: dict[str, object], words: str) -> None:
    """The error names what does not fit."""
    with pytest.raises(ValueError, match=words):
        TextDialect(**fields)  # type: ignore[arg-type]
