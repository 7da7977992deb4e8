"""Times of the form YYMMDDhhmmsstnnp (SMPP v3.4 section 7.1.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.smpp import status as s
from protocols.smpp.times import ValidityForm, absolute, parse, relative, validity

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("261122103015700+", datetime(2026, 11, 22, 10, 30, 15, 700_000, UTC)),
        ("261122103015008-", datetime(2026, 11, 22, 12, 30, 15, tzinfo=UTC)),
        ("261122103015020+", datetime(2026, 11, 22, 5, 30, 15, tzinfo=UTC)),
        ("000000000500000R", NOW + timedelta(minutes=5)),
        ("000001000000000R", NOW + timedelta(days=1)),
        ("010100000000000R", NOW + timedelta(days=395)),
        ("", None),
    ],
)
def test_both_forms_are_read(text: str, moment: datetime | None) -> None:
    """Absolute with its distance from UTC, relative from now, none."""
    assert parse(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "26112210301570+",
        "2611221030157000",
        "261322103015700+",
        "261122253015700+",
        "261122103015749+",
        "now",
        "261122103015700R ",
        "٢٦١١٢٢١٠٣٠١٥٧٠٠+",
    ],
)
def test_other_times_are_the_peers_fault(text: str) -> None:
    """The status to answer says which field it was."""
    with pytest.raises(RemoteProtocolError) as caught:
        parse(text, NOW, fault=s.ESME_RINVSCHED)
    assert caught.value.status_hint == s.ESME_RINVSCHED


@given(
    st.datetimes(
        datetime(2000, 1, 2),
        datetime(2099, 12, 30),
        timezones=st.just(timezone(timedelta(hours=-5))),
    )
)
def test_absolute_times_come_back(moment: datetime) -> None:
    """To the tenth of a second."""
    text = absolute(moment)
    assert len(text) == 16
    back = parse(text, NOW)
    assert back is not None
    assert timedelta() <= moment - back < timedelta(milliseconds=100)


@given(st.floats(0, 98 * 365 * 86_400))
def test_relative_times_come_back(seconds: float) -> None:
    """To the second, never shorter than asked for."""
    text = relative(seconds)
    assert len(text) == 16
    assert text.endswith("000R")
    if seconds < 70 * 365 * 86_400:
        back = parse(text, NOW)
        assert back is not None
        assert 0 <= (back - NOW).total_seconds() - seconds < 1.001


@given(st.text(max_size=20) | st.from_regex(r"[0-9]{15}[+\-R]", fullmatch=True))
def test_any_text_is_a_time_or_the_peers_fault(text: str) -> None:
    """RemoteProtocolError is all that escapes."""
    try:
        parse(text, NOW)
    except RemoteProtocolError as fault:
        assert fault.status_hint == s.ESME_RINVEXPIRY


def test_validity_in_the_links_form() -> None:
    """Absolute, relative or not at all."""
    until = NOW + timedelta(hours=4)
    assert validity(ValidityForm.ABSOLUTE, until, NOW) == "261122140000000+"
    assert validity(ValidityForm.RELATIVE, until, NOW) == "000000040000000R"
    assert validity(ValidityForm.RELATIVE, NOW - timedelta(hours=1), NOW) == "000000000000000R"
    assert validity(ValidityForm("none"), until, NOW) == ""


@pytest.mark.parametrize("seconds", [-1, 99 * 365 * 86_400])
def test_distance_out_of_range_is_our_fault(seconds: float) -> None:
    """Neither the past nor a century ahead."""
    with pytest.raises(LocalProtocolError):
        relative(seconds)


@pytest.mark.parametrize("moment", [datetime(2026, 1, 1), datetime(1999, 1, 1, tzinfo=UTC)])
def test_moment_that_cannot_be_written_is_our_fault(moment: datetime) -> None:
    """Without a zone, or of another century."""
    with pytest.raises(LocalProtocolError):
        absolute(moment)
