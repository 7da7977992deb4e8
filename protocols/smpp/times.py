"""Times as SMPP writes them: `YYMMDDhhmmsstnnp`, absolute or relative (SMPP v3.4 section 7.1.1).

t is tenths of a second; nn with p = + or - is the distance of the local time from UTC in quarters
of an hour; with p = R all of it is a distance from now.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final

from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.smpp import status

_TIME: Final = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([+\-R])", re.ASCII)
_MINUTE_S: Final = 60
_HOUR_S: Final = 60 * _MINUTE_S
_DAY_S: Final = 24 * _HOUR_S
_MONTH_S: Final = 30 * _DAY_S
_YEAR_S: Final = 365 * _DAY_S
_QUARTER: Final = timedelta(minutes=15)
_MAX_QUARTERS: Final = 48
_MAX_RELATIVE_S: Final = 99 * _YEAR_S


class ValidityForm(StrEnum):
    """How a link wants validity_period."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    NONE = "none"
    """Not at all: the carrier's own default holds."""


def absolute(moment: datetime) -> str:
    """The moment as an absolute time, in UTC. `moment` must know its zone and lie within 2000 to
    2099; else LocalProtocolError."""
    if moment.tzinfo is None:
        raise LocalProtocolError("a time without a zone is no moment")
    utc = moment.astimezone(UTC)
    if not 2000 <= utc.year <= 2099:
        raise LocalProtocolError(f"the year {utc.year} is not within 2000 to 2099")
    return f"{utc:%y%m%d%H%M%S}{utc.microsecond // 100_000}00+"


def relative(seconds: float) -> str:
    """A distance from now, in years of 365 days, months of 30 days, days, hours, minutes and
    seconds, rounded up to a second. Raises LocalProtocolError if negative or 99 years and more."""
    left = int(-(-seconds // 1))
    if not 0 <= left < _MAX_RELATIVE_S:
        raise LocalProtocolError(f"{seconds:g} s is no distance of less than 99 years")
    fields = []
    for unit in (_YEAR_S, _MONTH_S, _DAY_S, _HOUR_S, _MINUTE_S):
        count, left = divmod(left, unit)
        fields.append(count)
    return "".join(f"{count:02}" for count in (*fields, left)) + "000R"


def validity(form: ValidityForm, until: datetime, now: datetime) -> str:
    """validity_period for a message that is of no use after `until`; empty for `NONE`."""
    if form is ValidityForm.NONE:
        return ""
    if form is ValidityForm.ABSOLUTE:
        return absolute(until)
    return relative(max(0.0, (until - now).total_seconds()))


def parse(text: str, now: datetime, *, fault: int = status.ESME_RINVEXPIRY) -> datetime | None:
    """The moment that `text` means, with its zone; None when it is empty. `now` must know its zone.

    Relative months and years are those of the calendar of `relative`. Raises RemoteProtocolError,
    with `fault` as the command_status to answer, for anything else.
    """
    if not text:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise RemoteProtocolError("the time is not of the form YYMMDDhhmmsstnnp", fault)
    year, month, day, hour, minute, second, tenths, quarters = map(int, match.groups()[:8])
    sign = match[9]
    try:
        if sign == "R":
            days = 365 * year + 30 * month + day
            return now + timedelta(days=days, hours=hour, minutes=minute, seconds=second)
        if quarters > _MAX_QUARTERS:
            raise ValueError
        distance = quarters * _QUARTER if sign == "+" else -quarters * _QUARTER
        return datetime(
            2000 + year, month, day, hour, minute, second, tenths * 100_000, timezone(distance)
        )
    except (ValueError, OverflowError):
        raise RemoteProtocolError("the time has a field out of its limits", fault) from None
