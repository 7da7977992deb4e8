"""The jitter buffer: what goes in early, late or never, and what is heard."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from protocols.rtp.clip import SILENT_FRAME
from protocols.rtp.jitter import JitterBuffer

QUIET = 0xFF
LIMIT_S = 0.2


@dataclass
class Packet:
    """The first half of packet `n` is its mark; the second is as loud as can be, which what stands
    in for a lost packet never is."""

    n: int
    at: float

    @property
    def payload(self) -> bytes:
        return marked(self.n)


def marked(n: int) -> bytes:
    return bytes([n % 100]) * 80 + bytes(80)


def play(packets: list[Packet], *, start: int = 0, frames: int = 200) -> list[tuple[float, bytes]]:
    """Give packets at their times and pull every 20 ms; what was heard, and when."""
    buffer = JitterBuffer(limit_s=LIMIT_S)
    waiting = sorted(packets, key=lambda each: each.at)
    newest = -1
    heard = []
    for frame in range(frames):
        now = frame * 0.02
        while waiting and waiting[0].at <= now:
            packet = waiting.pop(0)
            timestamp = (start + packet.n * 160) & 0xFFFFFFFF
            buffer.put(timestamp, packet.payload, is_newest=packet.n > newest)
            newest = max(newest, packet.n)
        heard.append((now, buffer.pull()))
    return heard


def numbers(heard: list[tuple[float, bytes]]) -> list[int]:
    """The marks of whole frames that were heard as they were sent, in order."""
    return [frame[0] for _, frame in heard if is_whole(frame)]


def is_whole(frame: bytes) -> bool:
    return frame == marked(frame[0])


def steady(count: int, **offsets: float) -> list[Packet]:
    return [Packet(n, n * 0.02 + offsets.get(f"p{n}", 0.0)) for n in range(count)]


def test_silence_before_the_first_packet() -> None:
    """Listeners have their frames from the start."""
    assert JitterBuffer().pull() == SILENT_FRAME


def test_a_steady_stream_is_heard_whole() -> None:
    """Every packet once, in order, within 60 ms."""
    heard = play(steady(90), frames=100)
    assert numbers(heard) == list(range(90))
    delays = [now - frame[0] * 0.02 for now, frame in heard if is_whole(frame)]
    assert max(delays) <= 0.061


def test_clock_wrap_is_nothing_special() -> None:
    """Timestamps may pass 2^32 in the middle of a call."""
    assert numbers(play(steady(60), start=0xFFFFFFFF - 3000, frames=80)) == list(range(60))


def test_reordered_packets_are_put_right() -> None:
    """A packet that comes 25 ms after its turn to leave is still in time."""
    assert numbers(play(steady(50, p10=0.025, p20=0.025), frames=70)) == list(range(50))


def test_a_lost_packet_is_faded_over() -> None:
    """A missing frame repeats the last one more quietly; silence follows if nothing comes."""
    heard = play([each for each in steady(60) if each.n < 40], frames=60)
    tail = [frame for _, frame in heard if not is_whole(frame)]
    faded = [each for each in tail if each != SILENT_FRAME]
    assert numbers(heard) == list(range(40))
    assert len(faded) == 3
    levels = [0x7F - frame[159] for frame in faded]
    assert levels == sorted(levels, reverse=True)


def test_silence_that_was_announced_is_no_loss() -> None:
    """After comfort noise or a key nothing is repeated."""
    buffer = JitterBuffer()
    buffer.put(0, bytes([5]) * 160, is_newest=True)
    assert [buffer.pull()[0] for _ in range(3)] == [QUIET, QUIET, 5]
    buffer.pause()
    assert buffer.pull() == SILENT_FRAME
    assert buffer.concealed == 0


def test_a_late_stream_is_not_thrown_away() -> None:
    """When the network gets slower, the delay grows and every packet is heard."""
    packets = [Packet(n, n * 0.02 + (0.1 if n >= 30 else 0.0)) for n in range(80)]
    assert numbers(play(packets, frames=120)) == list(range(80))


def test_the_delay_comes_back_down() -> None:
    """After a bad stretch the delay shrinks, a frame a second."""
    packets = [Packet(n, n * 0.02 + (0.1 if 30 <= n < 40 else 0.0)) for n in range(600)]
    heard = play(packets, frames=620)
    late = [now for now, frame in heard if frame == marked(599)][-1]
    assert late - 599 * 0.02 <= 0.08


def test_a_stall_keeps_the_newest() -> None:
    """What a network held back for half a second comes at once: the delay stays in its bound, and
    what is heard is what was said last."""
    packets = [Packet(n, 1.0 if 25 <= n < 50 else n * 0.02) for n in range(60)]
    heard = play(packets, frames=80)
    marks = numbers(heard)
    assert marks == sorted(marks)
    assert set(range(25)) | set(range(42, 60)) <= set(marks)


def test_a_jump_of_the_clock_is_followed() -> None:
    """Another stream behind the same number, or a silence that the timestamps do not show."""
    for jump in (90_000, -90_000, 1 << 31):
        buffer = JitterBuffer()
        heard = []
        for n in range(60):
            timestamp = (10_000 + n * 160 + (jump if n >= 30 else 0)) & 0xFFFFFFFF
            buffer.put(timestamp, marked(n), is_newest=True)
            heard.append((0.0, buffer.pull()))
        heard += [(0.0, buffer.pull()) for _ in range(10)]
        assert numbers(heard) == list(range(60))
        assert buffer.resets == 1


def test_silence_suppression() -> None:
    """Two words with a second between: both whole, silence between, nothing counted as lost."""
    packets = [Packet(n, n * 0.02) for n in (*range(20), *range(70, 90))]
    heard = play(packets, frames=110)
    assert numbers(heard) == [*range(20), *range(70, 90)]


def test_packets_of_other_lengths() -> None:
    """10, 30 and 60 ms a packet become frames of 20 ms, without a gap."""
    for size in (80, 240, 480, 100):
        buffer = JitterBuffer()
        audio = bytes(n % 97 for n in range(size * 40))
        heard = b""
        position = 0
        for frame in range(200):
            while position < len(audio) and position <= frame * 160:
                buffer.put(position, audio[position : position + size], is_newest=True)
                position += size
            heard += buffer.pull()
        assert audio in heard
        assert buffer.concealed <= 3


ARRIVALS = st.lists(
    st.tuples(st.floats(0, 0.5), st.booleans(), st.booleans()), min_size=1, max_size=90
)


@given(ARRIVALS, st.integers(0, 0xFFFFFFFF), st.sampled_from([0.02, 0.0195, 0.0205]))
def test_never_out_of_order_never_twice_never_too_late(
    arrivals: list[tuple[float, bool, bool]], start: int, period_s: float
) -> None:
    """Under any loss, delay and reordering, also with a clock a little off."""
    packets = [
        Packet(n, n * period_s + (delay if is_delayed else 0.0))
        for n, (delay, is_kept, is_delayed) in enumerate(arrivals)
        if is_kept
    ]
    came = {each.n: each.at for each in packets}
    marks = [
        (now, frame[0]) for now, frame in play(packets, start=start, frames=140) if is_whole(frame)
    ]
    order = [mark for _, mark in marks]
    assert order == sorted(set(order))
    assert set(order) <= set(came)
    assert all(now - came[mark] <= LIMIT_S + 0.041 for now, mark in marks)


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFFFFFF), st.binary(max_size=1400), st.booleans()), max_size=60
    )
)
def test_any_timestamps_and_sizes(packets: list[tuple[int, bytes, bool]]) -> None:
    """Whatever a peer numbers its packets: a frame is a frame, and the delay keeps its bound."""
    buffer = JitterBuffer(limit_s=LIMIT_S)
    for timestamp, payload, is_newest in packets:
        buffer.put(timestamp, payload, is_newest=is_newest)
        assert buffer.depth_s <= LIMIT_S
        assert len(buffer.pull()) == 160
