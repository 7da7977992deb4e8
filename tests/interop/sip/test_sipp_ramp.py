"""Five hundred calls in a row and at once, each way."""

from __future__ import annotations

import asyncio
from pathlib import Path

from protocols.rtp.clip import Clip
from protocols.sip.call import Call
from protocols.sip.events import Answered, EndCause, Ended, Event, IncomingCall, Rejected
from protocols.sip.flow import Transport
from tests.interop.matrix import covers
from tests.interop.sip import suite
from tests.interop.sip.agent import Agent, Line, agent, at
from tests.interop.sip.sipp import ANSWERED, INVITED, answer, asks, audio, pause, recv, sipp
from tests.interop.sip.suite import SIPP_CALLED, SIPP_CALLING

CALLS = 500
RATE = 50
CLIP = Clip(b"\x20" * 8000)


class _Talk:
    """Every call of one agent has media of its own, and gives it back when it ends."""

    def __init__(self, ours: Agent) -> None:
        self.ours = ours
        self.lines: dict[str, Line] = {}
        self.causes: list[EndCause] = []
        self.all_over = asyncio.Event()
        self.most = 0
        self.silent = 0
        ours.on_event = self.told

    def told(self, event: Event) -> None:
        if isinstance(event, Answered):
            self._speak(self.lines[event.call.id].take(event.body), event.call)
        elif isinstance(event, IncomingCall):
            line = self.lines[event.call.id] = Line.of(self.ours)
            event.call.answer(self.ours.now, line.answer(event.body))
            self._speak(None, event.call)
        elif isinstance(event, Ended | Rejected):
            line = self.lines.pop(event.call.id)
            self.silent += not line.close().received
            self.causes.append(event.cause)
            if len(self.causes) == CALLS:
                self.all_over.set()

    def _speak(self, _: object, call: Call) -> None:
        self.lines[call.id].leg.play(CLIP)
        self.most = max(self.most, len(self.lines))

    def dial(self, port: int) -> Call:
        """One more call."""
        line = Line.of(self.ours)
        call = self.ours.invite(at(port), line.offer())
        self.lines[call.id] = line
        return call

    def is_clean(self) -> bool:
        """Whether nothing is left of all of them."""
        return not self.lines and not self.ours.ua.calls and self.ours.ports.taken == 0


@covers(SIPP_CALLED, suite.RAMP)
async def test_five_hundred_calls_to_the_peer(folder: Path) -> None:
    """All are answered, heard from and ended by us; SIPp counts none that failed."""
    steps = (
        INVITED, answer(180), ANSWERED, recv("ACK"), recv("BYE"), answer(200, is_new=False)
    )  # fmt: skip
    async with agent() as ours, sipp(
        folder, *steps, calls=CALLS, options=["-rtp_echo"], is_traced=False
    ) as peer:  # fmt: skip
        talk = _Talk(ours)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number in range(CALLS):
            call = talk.dial(peer.port)
            loop.call_later(1.5, ours.do, call.hang_up)
            await asyncio.sleep(max(begun + (number + 1) / RATE - loop.time(), 0.0))
        await asyncio.wait_for(talk.all_over.wait(), 40)
        await peer.finish()
        assert talk.causes == [EndCause.LOCAL] * CALLS
        assert talk.is_clean()
        assert peer.statistics["SuccessfulCall(C)"] == str(CALLS)
        assert peer.statistics["FailedCall(C)"] == "0"
        assert talk.most > RATE


@covers(SIPP_CALLING, suite.RAMP)
async def test_five_hundred_calls_from_the_peer(folder: Path) -> None:
    """All are answered and ended by SIPp, which counts none that failed."""
    steps = (
        asks("INVITE", 1, body=audio(), is_first=True), recv(100, optional=True),
        recv(200, rrs=True), asks("ACK", 1), pause(1500), asks("BYE", 2), recv(200),
    )  # fmt: skip
    async with agent() as ours:
        talk = _Talk(ours)
        async with sipp(
            folder, *steps, target=ours.ports_of[Transport.UDP], calls=CALLS, is_traced=False,
            options=["-rtp_echo", "-r", str(RATE), "-l", "200"],
        ) as peer:  # fmt: skip
            await asyncio.wait_for(talk.all_over.wait(), 40)
            await peer.finish()
            assert talk.causes == [EndCause.REMOTE] * CALLS
            assert talk.is_clean()
            assert peer.statistics["SuccessfulCall(C)"] == str(CALLS)
            assert peer.statistics["FailedCall(C)"] == "0"
            assert talk.most > RATE
