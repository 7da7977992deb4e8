"""What each command_status of a submit_sm_resp means on a link: the standard's sense, unless the
link's settings say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from protocols.smpp import Disposition, disposition
from protocols.smpp import status as s


class Treatment(StrEnum):
    """What is done about a refusal."""

    RETRY = "retry"
    """The link's own trouble: send it again later, by another link if there is one."""
    THROTTLE = "throttle"
    """The message is sound, the carrier wants fewer of them: slow down, send it again."""
    FAIL = "fail"
    """The recipient's or the message's fault: it fails for good."""
    SUSPEND = "suspend"
    """The account's fault, which every message would meet: the link rests, nothing fails."""


SUSPENDING: Final = frozenset(
    {
        s.ESME_RBINDFAIL,
        s.ESME_RINVPASWD,
        s.ESME_RINVSYSID,
        s.ESME_RINVSYSTYP,
        s.ESME_RSERTYPUNAUTH,
        s.ESME_RPROHIBITED,
    }
)
"""Statuses that speak of the account and of no message."""

_STANDARD: Final = {
    Disposition.RETRY: Treatment.RETRY,
    Disposition.THROTTLE: Treatment.THROTTLE,
    Disposition.FAIL: Treatment.FAIL,
}
_BY_NAME: Final = {name: value for value, name in s.NAMES.items()}
_STATUS_MAX: Final = 0xFFFF_FFFF


def read_statuses(text: str) -> range:
    """The statuses that a key of a table names: `ESME_RSUBMITFAIL`, `0x0400` or `0x0400-0x04FF`.

    Raises ValueError with words for the operator.
    """
    if text in _BY_NAME:
        value = _BY_NAME[text]
        return range(value, value + 1)
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        low = int(first, 16) if first.lower().startswith("0x") else int(first)
        high = int(last, 16 if last.lower().startswith("0x") else 10) if dash else low
    except ValueError:
        raise ValueError(f"{text!r} names no command_status") from None
    if not 0 < low <= high <= _STATUS_MAX:
        raise ValueError(f"{text!r} is no range of command_status from 0x1 up")
    return range(low, high + 1)


class Treatments:
    """The table of one link."""

    __slots__ = ("_known", "_ranges")

    def __init__(self, table: Mapping[str, str]) -> None:
        """`table`: keys as `read_statuses` takes them; of several that fit, the narrowest holds."""
        found = [(read_statuses(key), Treatment(value)) for key, value in table.items()]
        self._ranges = sorted(found, key=lambda each: len(each[0]))
        self._known: dict[int, Treatment] = {}

    def of(self, status: int) -> Treatment:
        """What to do about a status other than 0."""
        known = self._known.get(status)
        if known is None:
            known = self._find(status)
            if status in s.NAMES:  # a bound on what strangers can make us remember
                self._known[status] = known
        return known

    def _find(self, status: int) -> Treatment:
        for statuses, treatment in self._ranges:
            if status in statuses:
                return treatment
        if status in SUSPENDING:
            return Treatment.SUSPEND
        return _STANDARD[disposition(status)]
