"""How a text is to go out, chosen for all links of a route and kept as one number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.links import LinkSettings
from config.routes import RouteSettings
from config.settings import Settings
from gateway.dispatch.wording import (
    WHOLE,
    WIDE_REFERENCE,
    billed_segments,
    common,
    cuts_alike,
    dialect_breaches,
    encoding_of,
    is_default,
    text_dialect,
    wording,
)
from protocols.sms.compose import Plan, plan
from protocols.sms.dialect import DEFAULT_DIALECT, Charset, Long, TextDialect
from protocols.sms.languages import LOCKING, SINGLE, Language


def link(**fields: object) -> LinkSettings:
    return LinkSettings(name="acme", **fields)  # type: ignore[arg-type]


@given(
    st.sampled_from(Charset),
    st.none() | st.sampled_from(sorted(LOCKING)),
    st.none() | st.sampled_from(sorted(SINGLE)),
    st.sampled_from(Long),
    st.sampled_from([1, 3]),
)
def test_what_is_kept_is_what_was_chosen(
    charset: Charset, locking: Language | None, single: Language | None, long: Long, segments: int
) -> None:
    """Alphabet, tables and marks survive the row's one number, which fits two octets."""
    number = encoding_of(Plan(charset, 0, locking, single, segments, segments), long)
    assert 0 <= number < 1 << 15
    how = wording(number)
    assert (how.charset, how.locking, how.single) == (charset, locking, single)
    assert how.is_wide == (segments > 1 and long in (Long.UDH16, Long.SAR))
    assert how.is_whole == (segments > 1 and long is Long.PAYLOAD)


def test_plain_texts_are_kept_as_their_data_coding() -> None:
    """0 for the GSM alphabet, 8 for UCS-2."""
    assert encoding_of(plan("Your gown is ready."), Long.UDH8) == 0
    assert encoding_of(plan("Your gown is ready 😀"), Long.UDH8) == 8


def test_a_route_takes_what_all_its_links_take() -> None:
    """A text must be able to go by any of them."""
    one = TextDialect(latin1=3, single=(Language.TURKISH, Language.SPANISH))
    other = TextDialect(single=(Language.SPANISH,), ucs2=9)
    both = common([one, other])
    assert (both.gsm, both.latin1, both.single) == (0, None, (Language.SPANISH,))
    assert common([one, TextDialect(gsm=None, latin1=0)]).gsm is None
    assert common([one, TextDialect(gsm=None, latin1=0)]).single == ()
    assert common([one]) == one


def test_long_texts_are_cut_alike_by_sixteen_bit_marks_of_either_kind() -> None:
    """Carriers write a header of that size for texts that come with SAR parameters."""
    assert cuts_alike(Long.UDH16, Long.SAR)
    assert not cuts_alike(Long.UDH8, Long.SAR)
    assert not cuts_alike(Long.UDH8, Long.PAYLOAD)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, TextDialect()),
        ({"alphabet": "gsm-packed"}, TextDialect(is_packed=True)),
        ({"alphabet": "latin1"}, TextDialect(gsm=None, latin1=0)),
        ({"latin1_coding": 3, "ucs2_coding": 24}, TextDialect(latin1=3, ucs2=24)),
        ({"alphabet_coding": 1, "long_texts": "sar"}, TextDialect(gsm=1, long=Long.SAR)),
        ({"single_shift": ("es",), "locking_shift": ("tr",)},
         TextDialect(single=(Language.SPANISH,), locking=(Language.TURKISH,))),
    ],
)  # fmt: skip
def test_settings_become_a_dialect(fields: dict[str, object], expected: TextDialect) -> None:
    """Key by key."""
    assert text_dialect(link(**fields)) == expected


def test_only_what_changes_the_count_makes_a_dialect_of_its_own() -> None:
    """Packing and numbers of alphabets are the link's own affair."""
    assert is_default(DEFAULT_DIALECT)
    assert is_default(TextDialect(gsm=1, ucs2=24, is_packed=True))
    assert not is_default(TextDialect(gsm=None, latin1=0))
    assert not is_default(TextDialect(latin1=3))
    assert not is_default(TextDialect(long=Long.UDH16))


def test_a_text_that_goes_out_whole_is_billed_by_its_segments() -> None:
    """It is one submit_sm to us, and several to the carrier."""
    text = "a" * 400
    dialect = TextDialect(long=Long.PAYLOAD)
    way = plan(text, dialect)
    number = encoding_of(way, dialect.long)
    assert (way.pieces, number) == (1, WHOLE)
    assert billed_segments(text, number, way.pieces) == 3
    assert billed_segments("a" * 400, WIDE_REFERENCE, 3) == 3


def test_what_links_cannot_do_together_is_a_fault_of_the_settings() -> None:
    """With the key to change: tables that there are not, long texts cut in two ways."""
    links = (
        link(locking_shift=("es",), single_shift=("es",)),
        LinkSettings(name="beta", alphabet="latin1", single_shift=("tr",), long_texts="sar"),
        LinkSettings(name="gamma", long_texts="udh16"),
    )
    routes = (
        RouteSettings(name="one", links=("acme", "beta")),
        RouteSettings(name="two", links=("beta", "gamma")),
    )
    found = list(dialect_breaches(Settings(links=links, routes=routes)))
    assert [breach.path for breach in found] == [
        ("links", 0, "locking_shift"),
        ("links", 1, "single_shift"),
        ("routes", 0, "links"),
    ]
    assert "no such table for es" in found[0].problem
    assert '"udh8" and "sar"' in found[2].problem


def test_alphabets_with_one_data_coding_are_faults() -> None:
    """Of those that the link uses."""
    links = (
        link(latin1_coding=0),
        link(latin1_coding=8),
        link(alphabet_coding=8),
        link(alphabet="latin1", alphabet_coding=3, latin1_coding=3),
        link(latin1_coding=3),
    )
    found = [breach.path for breach in dialect_breaches(Settings(links=links))]
    assert found == [
        ("links", 0, "latin1_coding"),
        ("links", 1, "ucs2_coding"),
        ("links", 2, "ucs2_coding"),
    ]
