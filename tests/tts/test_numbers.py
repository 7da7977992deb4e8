"""Number words of three languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.text import english_numbers as en
from tts.text import french_numbers as fr
from tts.text import spanish_numbers as es


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (1250, "one thousand two hundred fifty"),
        (1_000_001, "one million one"),
        (999_999_999_999, None),
    ],
)
def test_english_cardinals(n: int, said: str | None) -> None:
    """English numbers have no "and" inside."""
    assert "and " not in en.cardinal(n).replace("thousand", "")
    assert said is None or en.cardinal(n) == said


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (1, "first"),
        (12, "twelfth"),
        (20, "twentieth"),
        (42, "forty second"),
        (100, "one hundredth"),
    ],
)
def test_english_ordinals(n: int, said: str) -> None:
    """The last word of an ordinal takes its end."""
    assert en.ordinal(n) == said


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (1900, "nineteen hundred"),
        (1905, "nineteen zero five"),
        (2000, "two thousand"),
        (2007, "two thousand seven"),
        (2026, "twenty twenty six"),
    ],
)
def test_english_years(n: int, said: str) -> None:
    """Years are said in pairs, those after the millennium as numbers."""
    assert en.year(n) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("7", "seven"),
        ("86", "eighty six"),
        ("305", "three zero five"),
        ("1420", "fourteen twenty"),
        ("1200", "twelve hundred"),
        ("2000", "two thousand"),
        ("10234", "one zero two three four"),
        ("042", "zero four two"),
    ],
)
def test_house_numbers(written: str, said: str) -> None:
    """House numbers are said in pairs, long ones and those with a zero first digit by digit."""
    assert en.house(written) == said


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (21, "veintiuno"),
        (31, "treinta y uno"),
        (100, "cien"),
        (101, "ciento uno"),
        (500, "quinientos"),
        (1000, "mil"),
        (21_000, "veintiún mil"),
        (1_000_000, "un millón"),
        (2_000_016, "dos millones dieciséis"),
    ],
)
def test_spanish_cardinals(n: int, said: str) -> None:
    """Uno is shortened before mil, and a lone hundred is cien."""
    assert es.cardinal(n) == said


def test_spanish_numbers_agree_with_their_noun() -> None:
    """One becomes un or una by the noun that follows."""
    assert es.counting(21, "dólares") == "veintiún"
    assert es.counting(31, "libras") == "treinta y una"
    assert es.counting(1, "hora") == "una"
    assert es.counting(41, "") == "cuarenta y uno"


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (21, "vingt et un"),
        (70, "soixante dix"),
        (71, "soixante et onze"),
        (80, "quatre vingts"),
        (81, "quatre vingt un"),
        (99, "quatre vingt dix neuf"),
        (200, "deux cents"),
        (280, "deux cent quatre vingts"),
        (80_000, "quatre vingt mille"),
        (1999, "mille neuf cent quatre vingt dix neuf"),
        (2_000_000, "deux millions"),
    ],
)
def test_french_cardinals(n: int, said: str) -> None:
    """Vingt and cent take their s only at the end."""
    assert fr.cardinal(n) == said


def test_french_numbers_agree_with_their_noun() -> None:
    """One becomes une before a feminine noun."""
    assert fr.counting(1, "heure") == "une"
    assert fr.counting(21, "livres") == "vingt et une"
    assert fr.counting(1, "dollar") == "un"


@pytest.mark.parametrize(("n", "said"), [(1, "premier"), (5, "cinquième"), (9, "neuvième")])
def test_french_ordinals(n: int, said: str) -> None:
    """Ordinals end in ième, but for the first."""
    assert fr.ordinal(n) == said


@given(st.integers(0, 10**12 - 1))
def test_numbers_are_words(n: int) -> None:
    """Every number below 10^12 becomes letters and spaces, different ones differently."""
    for language in (en, es, fr):
        said = language.cardinal(n)
        assert said.replace(" ", "").isalpha()
        assert said != language.cardinal(n + 1 if n < 10**12 - 1 else 0)
