"""Two bridged legs under anything that their owner and their peers may do, in any order."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from protocols.audio.g711 import Law
from protocols.errors import LocalProtocolError
from protocols.rtp import dtmf, rtcp
from protocols.rtp.clip import Clip
from protocols.rtp.events import DigitsSent, MediaEvent, PlaybackEnded
from protocols.rtp.leg import Leg, bridge, unbridge
from protocols.rtp.packet import RtpPacket, is_rtcp, parse
from protocols.rtp.parameters import Direction, MediaParameters
from protocols.rtp.rtcp import Bye, ReceiverReport
from protocols.rtp.wheel import PERIODS, TICK_S, Wheel
from tests.protocols.rtp.legs import AUDIO, NETWORKS, OURS, PARAMETERS, PEER, key, voice

MOVED: Final = ("192.0.2.3", 5000)
KEY_TYPES: Final = frozenset({96, 101})
AGREEMENTS: Final = st.builds(
    lambda ptime_ms, law, dtmf_type, direction, remote, is_mux: replace(
        PARAMETERS,
        ptime_ms=ptime_ms,
        law=law,
        payload_type=law.payload_type,
        dtmf_payload_type=dtmf_type,
        direction=direction,
        remote=remote,
        is_rtcp_mux=is_mux,
    ),
    st.sampled_from(sorted(PERIODS)),
    st.sampled_from(Law),
    st.sampled_from([None, 96]),
    st.sampled_from([Direction.SENDRECV, *Direction]),
    st.sampled_from([PEER, PEER, MOVED, None]),
    st.booleans(),
)
STEPS: Final = st.one_of(
    st.tuples(st.just("agree"), AGREEMENTS),
    st.tuples(st.just("play"), st.integers(0, 900)),
    st.tuples(st.just("stop"), st.none()),
    st.tuples(st.just("press"), st.text("019*#D", min_size=1, max_size=3)),
    st.tuples(st.just("stream"), st.integers(0, 0xFFFF)),
    st.tuples(st.just("speak"), st.integers(1, 12)),
    st.tuples(st.just("key"), st.sampled_from("0123456789")),
    st.tuples(st.just("noise"), st.none()),
    st.tuples(st.just("bye"), st.none()),
    st.tuples(st.just("part"), st.booleans()),
    st.tuples(st.just("fill"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 30)),
    st.tuples(st.just("stall"), st.integers(1, 100)),
)


class Side:
    """A leg and its peer."""

    def __init__(self, seed: int, wheel: Wheel) -> None:
        self.seed = seed
        self.wheel = wheel
        self.sent: list[bytes] = []
        self.events: list[MediaEvent] = []
        self.clips = self.presses = 0
        self.ssrc = seed * 1000
        self.number = 0
        self.frames = 0
        self.period = 0
        self.leg = Leg(
            *OURS,
            NETWORKS,
            self.events.append,
            transmit=self.sent.append,
            transmit_rtcp=lambda _: None,
            random=Random(seed),  # noqa: S311
        )
        self.leg.add_tap(self._take)
        self.agree(PARAMETERS, 0.0)

    def _take(self, frame: bytes) -> None:
        assert len(frame) == 160
        self.frames += 1

    def agree(self, parameters: MediaParameters, now: float) -> None:
        self.leg.start(parameters, now)
        if self.period != PERIODS[parameters.ptime_ms]:
            self.period = PERIODS[parameters.ptime_ms]
            self.wheel.add(self.seed, self.period, self.leg.turn)

    def hear(self, data: bytes, now: float) -> None:
        self.leg.receive(data, self.leg.destination or PEER, now)

    def do(self, what: str, value: object, now: float) -> None:
        match what, value:
            case "agree", MediaParameters() as parameters:
                self.agree(parameters, now)
            case "play", int(size):
                self.leg.play(Clip(AUDIO[:size]), token=self.clips)
                self.clips += 1
            case "stop", _:
                self.leg.stop_playing()
            case "press", str(digits):
                self.leg.send_digits(digits, duration_ms=60, gap_ms=40)
                self.presses += 1
            case "stream", int(number):
                self.ssrc += 1
                self.number = number
            case "speak", int(count):
                for _ in range(count):
                    self.hear(voice(self.number, ssrc=self.ssrc), now)
                    self.number += 1
            case "key", str(digit):
                self.hear(key(digit, self.number & 0xFFFF, self.number * 160, ssrc=self.ssrc), now)
                self.number += 1
            case "noise", _:
                self.hear(voice(self.number, ssrc=self.ssrc, payload_type=13), now)
                self.number += 1
            case "bye", _:
                data = rtcp.build(ReceiverReport(self.ssrc), Bye((self.ssrc,)))
                self.hear(data, now)
                self.leg.receive_rtcp(data, PEER, now)
            case "fill", bool(fills):
                self.leg.fills_silence = fills

    @property
    def packets(self) -> list[RtpPacket]:
        return [parse(each) for each in self.sent if not is_rtcp(each)]


@given(st.lists(st.tuples(st.booleans(), STEPS), max_size=40))
def test_whatever_happens_what_leaves_is_one_sound_stream(
    steps: list[tuple[bool, tuple[str, object]]],
) -> None:
    """No number twice, timestamps in the order of numbers, no sound over sound, all clips and keys
    told once ended, a frame for every 20 ms, and no fault."""
    wheel, listening = Wheel(0.0), Wheel(0.0)
    sides = Side(1, wheel), Side(2, wheel)
    for side in sides:
        listening.add(side.seed, 4, lambda _, leg=side.leg: leg.pull())
    tick = 0
    for is_second, (what, value) in steps:
        side = sides[is_second]
        now = tick * TICK_S
        try:
            if what == "part":
                unbridge(side.leg)
                if value:
                    bridge(*(each.leg for each in sides))
            else:
                side.do(what, value, now)
        except LocalProtocolError:
            assert what == "press"
        if what == "stall" and isinstance(value, int):
            tick += value
        for _ in range(value if what == "wait" and isinstance(value, int) else 4):
            tick += 1
            wheel.run(tick * TICK_S)
            listening.run(tick * TICK_S)
            for each in sides:
                each.leg.check(tick * TICK_S)
    for side in sides:
        check_stream(side.packets)
        side.leg.farewell(tick * TICK_S)
        ended = [each.token for each in side.events if isinstance(each, PlaybackEnded)]
        assert ended == list(range(side.clips))
        assert sum(isinstance(each, DigitsSent) for each in side.events) <= side.presses


def check_stream(packets: list[RtpPacket]) -> None:
    numbers = [each.sequence for each in packets]
    assert len(set(numbers)) == len(numbers)
    assert len({each.ssrc for each in packets}) <= 1
    if not packets:
        return
    ordered = sorted(packets, key=lambda each: (each.sequence - numbers[0]) & 0xFFFF)
    for before, after in zip(ordered, ordered[1:], strict=False):
        step = (after.timestamp - before.timestamp) & 0xFFFFFFFF
        assert step < 1 << 31
        if not {before.payload_type, after.payload_type} & KEY_TYPES:
            assert step >= len(before.payload)
    for each in packets:
        if each.payload_type in KEY_TYPES:
            assert dtmf.parse(each.payload).event < 16
