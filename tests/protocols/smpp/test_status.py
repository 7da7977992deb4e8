"""Names of status codes and tags, and what a status means for a message."""

from __future__ import annotations

import pytest

from protocols.smpp import Disposition, Tag, command_name, describe, disposition, tag_name, tlv
from protocols.smpp import commands as c
from protocols.smpp import status as s


def test_every_status_has_a_sentence() -> None:
    """No code of the standards is shown as a bare name."""
    assert set(s.NAMES) == set(s.SENTENCES)
    assert all(describe(code) == f"{name}: {s.SENTENCES[code]}" for code, name in s.NAMES.items())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x0E, "ESME_RINVPASWD: the password is wrong"),
        (0x58, "ESME_RTHROTTLED: the peer's limit on messages per second is exceeded"),
        (0x450, "0x00000450: a code of the peer's own"),
        (0x4FF, "0x000004FF: a code of the peer's own"),
        (0x500, "0x00000500: a code the standard does not know"),
        (0xFFFFFFFF, "0xFFFFFFFF: a code the standard does not know"),
    ],
)
def test_status_in_words(code: int, words: str) -> None:
    """Every number a peer can send has a description."""
    assert describe(code) == words


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (s.ESME_ROK, Disposition.ACCEPTED),
        (s.ESME_RTHROTTLED, Disposition.THROTTLE),
        (s.ESME_RMSGQFUL, Disposition.THROTTLE),
        (s.ESME_RSYSERR, Disposition.RETRY),
        (s.ESME_RX_T_APPN, Disposition.RETRY),
        (s.ESME_RSUBMITFAIL, Disposition.RETRY),
        (s.ESME_RINVDSTADR, Disposition.FAIL),
        (0x450, Disposition.FAIL),
        (0xDEADBEEF, Disposition.FAIL),
    ],
)
def test_status_decides_what_becomes_of_a_message(code: int, expected: Disposition) -> None:
    """Throttling slows the link, passing faults are retried, all else is final."""
    assert disposition(code) is expected


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        (0x001E, "receipted_message_id"),
        (0x0424, "message_payload"),
        (0x1401, "vendor tag 0x1401"),
        (0x9999, "tag 0x9999"),
    ],
)
def test_tags_have_names(tag: int, name: str) -> None:
    """A standard tag is shown by name, others by number."""
    assert tag_name(tag) == name


def test_optional_parameters_are_looked_up() -> None:
    """First value, all values, number and text of optional parameters; None where there is none."""
    found = [
        (int(Tag.SAR_MSG_REF_NUM), b"\x01\x02"),
        (0x1400, b"a"),
        (0x1400, b"b"),
        (int(Tag.RECEIPTED_MESSAGE_ID), b"7f00a1\0"),
        (int(Tag.MESSAGE_STATE), b""),
    ]
    assert tlv.first(found, 0x1400) == b"a"
    assert tlv.every(found, 0x1400) == [b"a", b"b"]
    assert tlv.integer(found, Tag.SAR_MSG_REF_NUM) == 0x0102
    assert tlv.integer(found, Tag.MESSAGE_STATE) is None
    assert tlv.text(found, Tag.RECEIPTED_MESSAGE_ID) == "7f00a1"
    assert tlv.text([(Tag.RECEIPTED_MESSAGE_ID, b"7f00a1")], Tag.RECEIPTED_MESSAGE_ID) == "7f00a1"
    assert tlv.first(found, Tag.MESSAGE_PAYLOAD) is None
    assert tlv.text(found, Tag.MESSAGE_PAYLOAD) is None
    assert tlv.integer(found, Tag.MESSAGE_PAYLOAD) is None


def test_commands_have_names() -> None:
    """A command is shown by the standard's name, others by number."""
    assert command_name(c.SUBMIT_SM) == "submit_sm"
    assert command_name(c.GENERIC_NACK) == "generic_nack"
    assert command_name(0x00010200) == "command 0x00010200"
