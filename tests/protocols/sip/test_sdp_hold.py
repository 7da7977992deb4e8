"""Hold and resume in all the forms that peers write."""

from __future__ import annotations

import pytest

from protocols.rtp.parameters import Direction
from protocols.sip.sdp import parse
from tests.protocols.sip.test_sdp_offer import audio_of, body, other, side


@pytest.mark.parametrize(
    ("theirs", "answered"),
    [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ],
)
def test_hold_is_answered_in_kind(theirs: str, answered: str) -> None:
    """What they do not take we do not send."""
    answer, agreed = side().answer(body(f"audio 5000 RTP/AVP 0|{theirs}"))
    assert agreed is not None and agreed.direction.value == answered
    assert audio_of(answer)[1][-1] == answered
    assert agreed.is_sending is (theirs in ("sendrecv", "recvonly"))


def test_hold_and_resume() -> None:
    """A hold of ours silences both ends, a resume brings both back; o= counts."""
    one, two = side(), other()
    answer, _ = two.answer(one.offer())
    one.take_answer(answer)
    one.confirm()
    held, theirs = two.answer(one.offer(Direction.SENDONLY))
    ours = one.take_answer(held)
    one.confirm()
    assert ours is not None and theirs is not None
    assert (ours.is_sending, ours.is_receiving) == (True, False)
    assert (theirs.is_sending, theirs.is_receiving) == (False, True)
    resumed, theirs = two.answer(one.offer())
    ours = one.take_answer(resumed)
    assert ours is not None and ours.direction is Direction.SENDRECV
    assert parse(resumed).origin.version == 2


def test_a_repeated_description_keeps_its_version() -> None:
    """o= counts changes only (RFC 3264 section 8)."""
    one = side()
    versions = [parse(one.offer(each)).origin.version for each in [Direction.SENDRECV] * 2]
    assert versions == [0, 0]
    assert parse(one.offer(Direction.INACTIVE)).origin.version == 1


def test_old_hold() -> None:
    """c=0.0.0.0 means that nothing may be sent; coming back from it works."""
    one = side()
    _, agreed = one.answer(body("audio 5000 RTP/AVP 0", address="0.0.0.0"))  # noqa: S104
    assert agreed is not None and agreed.remote is None
    assert not agreed.is_sending and agreed.is_receiving
    _, agreed = one.answer(body("audio 5000 RTP/AVP 0"))
    assert agreed is not None and agreed.is_sending


@pytest.mark.parametrize("address", ["::", "0:0:0:0:0:0:0:0", "host.Invalid", "invalid"])
def test_old_hold_without_ipv4(address: str) -> None:
    """The unspecified address, or a name that can never exist: nothing is sent, and nothing is
    refused."""
    offer = body("audio 5000 RTP/AVP 0", address="192.0.2.2")
    offer = offer.replace(b"c=IN IP4 192.0.2.2", f"c=IN IP6 {address}".encode())
    _, agreed = side().answer(offer)
    assert agreed is not None and agreed.remote is None and not agreed.is_sending


@pytest.mark.parametrize("blank", [" ", "\t", "  "])
def test_blanks_at_the_end_of_an_attribute_do_not_hide_it(blank: str) -> None:
    """A hold is a hold, and keys are keys."""
    _, agreed = side().answer(body(f"audio 5000 RTP/AVP 0|inactive{blank}|rtcp-mux{blank}"))
    assert agreed is not None
    assert agreed.direction is Direction.INACTIVE and agreed.is_rtcp_mux


def test_the_session_may_hold_the_direction() -> None:
    """A direction above all media counts where the medium has none."""
    offer = body("audio 5000 RTP/AVP 0").replace(b"t=0 0", b"t=0 0\r\na=inactive")
    _, agreed = side().answer(offer)
    assert agreed is not None and agreed.direction is Direction.INACTIVE
