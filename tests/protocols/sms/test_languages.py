"""National language tables (3GPP TS 23.038 annex A), checked against what else is known of them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sms import gsm7
from protocols.sms.languages import LOCKING, SINGLE, Language
from protocols.sms.national import announced, codes, decode, elements, is_encodable

NAMES = {
    Language.HINDI: "DEVANAGARI",
    Language.PUNJABI: "GURMUKHI",
    Language.URDU: "ARABIC",
}
INDIC = [language for language in Language if language >= Language.BENGALI]
TABLES = [
    *((f"locking {language.name}", table) for language, table in LOCKING.items()),
    *((f"single {language.name}", table) for language, table in SINGLE.items()),
]


@pytest.mark.parametrize(("name", "table"), TABLES, ids=[name for name, _ in TABLES])
def test_table_is_sound(name: str, table: dict[int, str]) -> None:
    """Codes are septets other than the escape, values single assigned characters."""
    assert all(0 <= code < 0x80 and code != gsm7.ESCAPE for code in table)
    for char in table.values():
        assert len(char) == 1
        assert unicodedata.category(char) != "Cn"
        assert char < "\ud800" or char > "\udfff"


def test_every_language_but_spanish_has_both_tables() -> None:
    """13 languages, 12 locking and 13 single shift tables."""
    assert set(SINGLE) == set(Language)
    assert set(Language) - set(LOCKING) == {Language.SPANISH}
    assert [int(language) for language in Language] == [*range(1, 14)]


@pytest.mark.parametrize("language", INDIC)
def test_letters_belong_to_the_script(language: Language) -> None:
    """What is not ASCII, Latin-1, the euro or a danda is named after the script in Unicode."""
    script = NAMES.get(language, language.name)
    for table in (LOCKING[language], SINGLE[language]):
        letters = {char for char in table.values() if char > "\u00ff"} - set("€।॥")
        assert letters
        assert {unicodedata.name(char).split()[0] for char in letters} <= {script, "EXTENDED"}


@pytest.mark.parametrize("language", INDIC)
def test_locking_table_has_digits_small_letters_and_punctuation_in_place(
    language: Language,
) -> None:
    """ASCII characters keep the codes of ASCII, the parentheses apart, which change places."""
    table = LOCKING[language]
    for code, char in table.items():
        if char.isascii() and char not in "()":
            assert ord(char) == code
    assert (table[0x28], table[0x29]) == (")", "(")


@pytest.mark.parametrize(
    ("language", "size"),
    [
        (Language.TURKISH, 127),
        (Language.PORTUGUESE, 127),
        (Language.BENGALI, 114),
        (Language.GUJARATI, 120),
        (Language.HINDI, 127),
        (Language.KANNADA, 120),
        (Language.MALAYALAM, 120),
        (Language.ORIYA, 116),
        (Language.PUNJABI, 110),
        (Language.TAMIL, 102),
        (Language.TELUGU, 120),
        (Language.URDU, 127),
    ],
)
def test_locking_table_has_as_many_characters_as_the_standard(
    language: Language, size: int
) -> None:
    """127 where no place is left empty, the escape apart."""
    assert len(LOCKING[language]) == size


@pytest.mark.parametrize(
    ("kind", "language", "code", "char"),
    [
        ("locking", Language.TURKISH, 0x07, "ı"),
        ("locking", Language.TURKISH, 0x40, "İ"),
        ("locking", Language.TURKISH, 0x60, "ç"),
        ("locking", Language.PORTUGUESE, 0x15, "∞"),
        ("locking", Language.PORTUGUESE, 0x5D, "Ú"),
        ("locking", Language.PORTUGUESE, 0x7D, "`"),
        ("locking", Language.BENGALI, 0x60, "\u09ce"),
        ("locking", Language.GUJARATI, 0x7F, "\u0af1"),
        ("locking", Language.HINDI, 0x3C, "\u0929"),
        ("locking", Language.HINDI, 0x60, "\u0950"),
        ("locking", Language.KANNADA, 0x7B, "\u0cd6"),
        ("locking", Language.MALAYALAM, 0x60, "\u0d57"),
        ("locking", Language.ORIYA, 0x46, "\u0b32"),
        ("locking", Language.PUNJABI, 0x7F, "\u0a74"),
        ("locking", Language.TAMIL, 0x3C, "\u0ba9"),
        ("locking", Language.TELUGU, 0x5F, "\u0c4d"),
        ("locking", Language.URDU, 0x00, "\u0627"),
        ("locking", Language.URDU, 0x7F, "\u0670"),
        ("single", Language.TURKISH, 0x53, "Ş"),
        ("single", Language.SPANISH, 0x09, "ç"),
        ("single", Language.SPANISH, 0x75, "ú"),
        ("single", Language.PORTUGUESE, 0x19, "Θ"),
        ("single", Language.PORTUGUESE, 0x7F, "â"),
        ("single", Language.BENGALI, 0x19, "\u09e6"),
        ("single", Language.GUJARATI, 0x19, "\u0964"),
        ("single", Language.GUJARATI, 0x25, "\u0aef"),
        ("single", Language.HINDI, 0x3A, "\u0971"),
        ("single", Language.KANNADA, 0x26, "\u0cde"),
        ("single", Language.MALAYALAM, 0x34, "\u0d7f"),
        ("single", Language.ORIYA, 0x2C, "\u0b71"),
        ("single", Language.PUNJABI, 0x2D, "\u0a75"),
        ("single", Language.TAMIL, 0x2E, "\u0bfa"),
        ("single", Language.TELUGU, 0x32, "\u0c7f"),
        ("single", Language.URDU, 0x3F, "\u06d4"),
        *(("single", language, 0x65, "€") for language in Language),
        *(("single", language, 0x5A, "Z") for language in INDIC),
    ],
)
def test_known_characters_stand_where_the_standard_has_them(
    kind: str, language: Language, code: int, char: str
) -> None:
    """Some of each table, the last ones of its runs above all."""
    assert (LOCKING if kind == "locking" else SINGLE)[language][code] == char


@given(st.data(), st.sampled_from([None, *LOCKING]), st.sampled_from([None, *SINGLE]))
def test_texts_come_back(
    data: st.DataObject, locking: Language | None, single: Language | None
) -> None:
    """With any two tables, what is encoded is read back."""
    table = codes(locking, single)
    text = data.draw(st.text(st.sampled_from(sorted(table)), max_size=40))
    assert is_encodable(text, locking, single)
    octets = b"".join(table[char] for char in text)
    assert decode(octets, locking, single) == text


@given(st.binary(max_size=80), st.sampled_from([None, *LOCKING]), st.sampled_from([None, *SINGLE]))
def test_every_septet_reads_as_something(
    octets: bytes, locking: Language | None, single: Language | None
) -> None:
    """Decoding never raises, and makes at most one character of an octet."""
    assert len(decode(octets, locking, single)) <= len(octets)


def test_without_a_language_it_is_the_default_alphabet() -> None:
    """The same as the decoder of the default alphabet, for each pair of codes."""
    for first in range(0x80):
        for second in (0x00, 0x14, 0x1B, 0x41, 0x65):
            octets = bytes((first, second))
            assert decode(octets, None, None) == gsm7.decode_septets(octets)


def test_header_announces_the_tables() -> None:
    """Elements 0x24 and 0x25, one octet each; what nobody knows is passed over."""
    assert elements(Language.URDU, Language.HINDI) == bytes.fromhex("240106 25010d")
    assert announced([(0x24, b"\x06"), (0x25, b"\x0d")]) == (Language.URDU, Language.HINDI)
    assert announced([(0x24, b"\x00"), (0x25, b"\x02"), (0x25, b"\x01\x01")]) == (None, None)
