"""RFC 4475: accepted or refused as it says; docs/sip-torture.md shows the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.sip.core import Config
from protocols.sip.endpoint import UserAgent
from protocols.sip.errors import SipError
from protocols.sip.events import IncomingCall
from protocols.sip.flow import Hop, Transport
from protocols.sip.parser import parse, split
from tests.protocols.sip.network import CountedRandomness
from tests.protocols.sip.torture.messages import INTMETH, MESSAGES, WSINV, Torture, table

DOCS = Path(__file__).parents[4] / "docs" / "sip-torture.md"


def named(torture: Torture) -> str:
    return torture.name


@pytest.mark.parametrize("torture", MESSAGES, ids=named)
def test_the_parser_takes_what_is_valid(torture: Torture) -> None:
    if torture.is_read:
        assert parse(torture.data).encode()
    else:
        with pytest.raises(SipError):
            parse(torture.data)


@pytest.mark.parametrize("torture", MESSAGES, ids=named)
def test_the_user_agent_answers_as_the_table_says(torture: Torture) -> None:
    agent = UserAgent(Config(), CountedRandomness("t"))
    agent.set_local(Transport.UDP, "192.0.2.200", 5060)
    events = agent.receive(torture.data, Hop(Transport.UDP, "192.0.2.9", 5060), 1.0)
    for event in events:
        assert isinstance(event, IncomingCall)
        event.call.ring(1.0)
    starts = [split(out.data).start for out in agent.data_to_send()]
    codes = [int(start.split(" ")[1]) for start in starts]
    assert [code for code in codes if code != 100] == ([torture.code] if torture.code else [])


def test_there_are_all_49() -> None:
    assert len({torture.name for torture in MESSAGES}) == len(MESSAGES) == 49


def test_the_tortuous_invite_is_understood() -> None:
    message = parse(WSINV)
    assert message.from_.name == 'J Rosenberg \\"'
    assert (message.to.tag, message.cseq.number) == ("1918181833n", 9)
    assert message.via.host == "192.0.2.2"
    assert [contact.params for contact in message.contacts] == [
        {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    ]
    assert message.headers.get("Newfangledheader") == "newfangled value continued newfangled value"


def test_a_quoted_nul_goes_no_further_than_the_parser() -> None:
    assert b"\0" not in parse(INTMETH).encode()


def test_a_contact_with_a_bare_question_mark_is_refused() -> None:
    (torture,) = [each for each in MESSAGES if each.name == "regbadct"]
    with pytest.raises(SipError):
        _ = parse(torture.data).contacts


def test_the_documented_table_is_this_one() -> None:
    assert table() in DOCS.read_text()
