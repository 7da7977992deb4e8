"""What an operator sees of PDUs: everything but texts, phones and passwords."""

from __future__ import annotations

import pytest

from gateway.channels.trace import Trace, words
from gateway.sandbox.smsc import SandboxSmsc
from protocols.smpp import Bind, BindKind, Message, Tag, encode
from protocols.smpp import commands as c
from tests.channels.smpp_stage import message, stage

TEXT = b"The secret of the blue gown"


def a_message(**fields: object) -> Message:
    """A submit_sm."""
    known: dict[str, object] = {"sequence": 7, "source": "12125550199", "dest": "+12125550123"}
    return Message(**(known | fields))  # type: ignore[arg-type]


def test_texts_and_phones_are_masked() -> None:
    """Wherever a PDU has them."""
    line = words(encode(a_message(payload=TEXT)))
    assert line.startswith("submit_sm 7 ")
    assert f"text of {len(TEXT)} octets" in line
    assert "gown" not in line
    assert "5550123" not in line
    assert "5550199" not in line


@pytest.mark.parametrize(
    ("tag", "value", "shown"),
    [
        (Tag.MESSAGE_PAYLOAD, b"abc", "message_payload of 3 octets"),
        (Tag.SAR_TOTAL_SEGMENTS, b"\x03", "sar_total_segments=0x03"),
        (Tag.RECEIPTED_MESSAGE_ID, b"42\0", "receipted_message_id=42"),
        (0x1400, b"secret words", "0x1400 of 12 octets"),
    ],
)
def test_optional_parameters_are_named(tag: int, value: bytes, shown: str) -> None:
    """Short values as octets, long ones, which may be texts, by their length."""
    assert shown in words(encode(a_message(tlvs=[(tag, value)])))


def test_a_receipt_tells_its_id_and_state_only() -> None:
    """The text that it repeats stays hidden."""
    payload = b"id:42 sub:001 dlvrd:001 stat:DELIVRD err:000 text:The secret"
    line = words(encode(a_message(command_id=c.DELIVER_SM, esm_class=4, payload=payload)))
    assert line.endswith("receipt id=42 DELIVERED")
    assert "secret" not in line


def test_a_password_is_never_shown() -> None:
    """The system_id is."""
    bind = Bind(
        command_id=BindKind.TRANSCEIVER, sequence=1, system_id="lab", password="sesame"
    )
    line = words(encode(bind))
    assert "sesame" not in line
    assert "system_id=lab" in line


def test_control_characters_steer_no_terminal() -> None:
    """Nor do they break the line."""
    assert "\x1b" not in words(encode(a_message(service_type="\x1b[2J")))


async def test_a_trace_ends_and_leaves_no_trace(smsc: SandboxSmsc) -> None:
    """Sessions are as before; what is more than the rate is counted."""
    told: list[str] = []
    async with stage(smsc) as one:
        half = next(iter(one.binds[0].halves.values()))
        assert half.connection is not None
        session = half.connection.session
        trace = Trace("token", 60.0, 3, lambda token, lines: told.extend(lines))
        one.link.show_to(trace)
        one.send(*(message(id_) for id_ in range(10)))
        await one.books.until(lambda: len(one.books.receipts) == 10)
        trace.stop()
        assert half.connection.session is session
        assert sum("submit_sm" in line for line in told) == 3
        assert any("more PDUs were not shown" in line for line in told)
        assert told[-2:][0] == "the trace is over" or told[-1] == "the trace is over"
        one.send(message(11))
        await one.books.until(lambda: len(one.books.sent_ids) == 11)
