"""We call SIPp over a link that loses, doubles and reorders what the test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.sip.events import Answered, EndCause, Ended, Progress
from tests.interop.matrix import covers
from tests.interop.sip import suite
from tests.interop.sip.agent import HOST, agent, at
from tests.interop.sip.lossy import Link, lossy
from tests.interop.sip.sipp import ANSWERED, INVITED, answer, recv, sipp
from tests.interop.sip.suite import SIPP_CALLED

# The call stays known for a while, so that what is repeated is answered.
TAKEN = (
    INVITED, answer(180), ANSWERED, recv("ACK"), recv("BYE"), answer(200, is_new=False),
    '<timewait milliseconds="1200"/>',
)  # fmt: skip


async def _whole_call(folder: Path, link: Link) -> tuple[list[str], list[str]]:
    """A call over the link; what SIPp received and what it sent, by name."""
    async with agent() as ours, sipp(folder, *TAKEN, contact_port=link.near) as peer:
        link.peer = HOST, peer.port
        call, _ = await ours.talk(at(link.near))
        await link.until("ACK")
        assert (await ours.hang_up(call)).cause is EndCause.LOCAL
        await peer.finish()
        assert len([each for each in ours.heard.all if isinstance(each, Answered)]) == 1
        assert len([each for each in ours.heard.all if isinstance(each, Ended)]) == 1
        came = [each.name for each in peer.messages if each.is_received]
        return came, [each.name for each in peer.messages if not each.is_received]


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param("INVITE", marks=covers(SIPP_CALLED, suite.LOST_INVITE)),
        pytest.param("BYE", marks=covers(SIPP_CALLED, suite.LOST_BYE)),
    ],
)
async def test_a_lost_request_is_sent_again(folder: Path, lost: str) -> None:
    """The request goes out again, the same to the octet, and SIPp takes part in one whole call."""
    async with lossy(lost={lost: 1}) as link:
        came, _ = await _whole_call(folder, link)
        assert came == ["INVITE", "ACK", "BYE"]
        first, second = link.saw(lost)
        assert (first.copies, second.copies) == (0, 1)
        assert first.data == second.data


@covers(SIPP_CALLED, suite.LOST_200)
async def test_a_lost_answer_is_waited_for(folder: Path) -> None:
    """SIPp says its 200 again; the call is answered once and acknowledged once."""
    async with lossy(lost={"200 INVITE": 1}) as link:
        came, said = await _whole_call(folder, link)
        assert said.count("200 INVITE") == 2
        assert came == ["INVITE", "ACK", "BYE"]


@covers(SIPP_CALLED, suite.LOST_ACK)
async def test_a_lost_ack_is_given_again(folder: Path) -> None:
    """SIPp, without its ACK, says 200 again and gets the same ACK again."""
    async with lossy(lost={"ACK": 1}) as link:
        async with agent() as ours, sipp(folder, *TAKEN, contact_port=link.near) as peer:
            link.peer = HOST, peer.port
            call, _ = await ours.talk(at(link.near))
            await link.until("ACK", 2)
            await ours.hang_up(call)
            await peer.finish()
            assert len(peer.sent("200 INVITE")) == 2
            assert len(peer.got("ACK")) == 1
            assert len([each for each in ours.heard.all if isinstance(each, Answered)]) == 1
        first, second = link.saw("ACK")
        assert (first.copies, second.copies) == (0, 1)
        assert first.data == second.data


@covers(SIPP_CALLED, suite.LOST_BYE)
async def test_a_lost_answer_to_the_bye_is_asked_for_again(folder: Path) -> None:
    """Without a 200 the BYE goes out again; SIPp answers it again, and the call ends once."""
    async with lossy(lost={"200 BYE": 1}) as link:
        came, said = await _whole_call(folder, link)
        assert came.count("BYE") == 2
        assert said.count("200 BYE") == 2


@covers(SIPP_CALLED, suite.DUPLICATED)
async def test_everything_twice_is_one_call(folder: Path) -> None:
    """With every message doubled both ways there is one call, one answer and one end."""
    async with lossy(copies=2) as link:
        came, _ = await _whole_call(folder, link)
        assert came.count("INVITE") == 2
        assert came.count("BYE") == 2
        assert all(each.copies == 2 for each in link.passed)


@covers(SIPP_CALLED, suite.REORDERED)
async def test_a_late_180_changes_nothing(folder: Path) -> None:
    """A 180 that comes after the 200 is not told, and the call stands."""
    async with (
        lossy(kept={"180 INVITE": "200 INVITE"}) as link,
        agent() as ours,
        sipp(folder, *TAKEN, contact_port=link.near) as peer,
    ):
        link.peer = HOST, peer.port
        call, _ = await ours.talk(at(link.near))
        await ours.hang_up(call)
        await peer.finish()
        assert not any(isinstance(each, Progress) for each in ours.heard.all)
        assert [each.name for each in peer.messages if each.is_received] == ["INVITE", "ACK", "BYE"]
