"""What a command_status means on a link."""

from __future__ import annotations

import pytest

from gateway.channels.dispositions import Treatment, Treatments, read_statuses
from protocols.smpp import status as s


@pytest.mark.parametrize(
    ("status", "treatment"),
    [
        (s.ESME_RTHROTTLED, Treatment.THROTTLE),
        (s.ESME_RSYSERR, Treatment.RETRY),
        (s.ESME_RINVDSTADR, Treatment.FAIL),
        (s.ESME_RPROHIBITED, Treatment.SUSPEND),
        (s.ESME_RINVSYSID, Treatment.SUSPEND),
        (0x0499, Treatment.FAIL),
    ],
)
def test_the_standard_holds_where_nothing_is_said(status: int, treatment: Treatment) -> None:
    """Load, the carrier's trouble, the message, the account."""
    assert Treatments({}).of(status) is treatment


def test_the_narrowest_key_holds() -> None:
    """A range for all, and one status that is otherwise."""
    table = Treatments({"0x0400-0x04FF": "retry", "0x0450": "suspend", "ESME_RSYSERR": "fail"})
    assert table.of(0x0449) is Treatment.RETRY
    assert table.of(0x0450) is Treatment.SUSPEND
    assert table.of(s.ESME_RSYSERR) is Treatment.FAIL


@pytest.mark.parametrize("text", ["ESME_RNOSUCH", "0x10-0x01", "0x0", "1 to 2", "0x1FFFFFFFF"])
def test_what_names_no_status_is_refused(text: str) -> None:
    """Before a link uses the table."""
    with pytest.raises(ValueError, match="command_status"):
        read_statuses(text)
