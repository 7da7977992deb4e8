"""Bytes no sound peer sends, against codec and session."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocols.smpp import (
    MAX_PDU_BYTES,
    Answered,
    Bare,
    BindRequested,
    Closed,
    Event,
    PduError,
    Received,
    Role,
    Session,
    State,
    decode,
    encode,
    frames,
)
from protocols.smpp import commands as c
from tests.protocols.smpp.corpus import MALFORMED, STORED, WELL_FORMED
from tests.protocols.smpp.sessions import BODY, ENQUIRE, bound_pair, pdu_of

MUTATIONS = 50_000
SEED = 20261122
HARMLESS = {c.UNBIND, c.UNBIND_RESP}


def mutated(count: int, *, is_framed: bool) -> Iterator[bytes]:
    """Stored PDUs with octets changed, cut, doubled, put in or left out; the same every time. With
    `is_framed` command_length is set right afterwards."""
    rng = random.Random(SEED)  # noqa: S311
    stored = list((WELL_FORMED | MALFORMED).values())
    for _ in range(count):
        octets = bytearray(rng.choice(stored))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(4, max(5, len(octets)))
            match rng.randrange(6):
                case 0:
                    octets[at : at + 1] = bytes([rng.randrange(256)])
                case 1:
                    octets[at : at + 1] = bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF))])
                case 2:
                    del octets[at:]
                case 3:
                    del octets[at : at + rng.randint(1, 8)]
                case 4:
                    octets[at:at] = rng.randbytes(rng.randint(1, 300))
                case 5:
                    octets += octets[at:]
        octets += bytes(max(0, 16 - len(octets)))
        if is_framed:
            octets[:4] = len(octets).to_bytes(4, "big")
        elif rng.random() < 0.3:
            octets[:4] = rng.randbytes(4)
        yield bytes(octets)


def test_codec_lets_only_its_own_error_escape() -> None:
    """Each of 50,000 mutated PDUs is read or refused with PduError, and what was read by a codec
    for known fields is written again without loss."""
    read = refused = 0
    for octets in mutated(MUTATIONS, is_framed=True):
        try:
            pdu = decode(octets)
        except PduError as fault:
            assert not fault.is_framing_lost
            assert fault.status_hint
            refused += 1
        else:
            assert pdu.command_id == int.from_bytes(octets[4:8], "big")
            read += 1
    assert read + refused == MUTATIONS
    assert min(read, refused) > MUTATIONS / 10


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_an_error(octets: bytes) -> None:
    """Bytes of no structure at all: PduError is all that escapes."""
    try:
        found, rest = frames(octets)
        for frame in found:
            decode(frame)
    except PduError:
        return
    assert b"".join(found) + rest == octets


@pytest.mark.parametrize("role", Role)
def test_session_survives_mutated_pdus(role: Role) -> None:
    """With the framing intact a session takes 50,000 mutated PDUs, still answers enquire_link, and
    holds no more than its bounds. Only a peer that unbinds ends it."""
    session = bound_pair()[0 if role is Role.ESME else 1]
    session.data_to_send()
    starts = 1
    tracemalloc.start()
    try:
        for number, octets in enumerate(mutated(MUTATIONS, is_framed=True)):
            if session.state is not State.BOUND_TRX:
                session = bound_pair()[0 if role is Role.ESME else 1]
                session.data_to_send()
                starts += 1
            if number % 10 == 0 and session.room:
                session.request(BODY, float(number))
            events = session.receive_data(octets, float(number))
            command = int.from_bytes(octets[4:8], "big")
            assert session.state is State.BOUND_TRX or command in HARMLESS
            if session.state is State.BOUND_TRX:
                session.data_to_send()
                assert session.receive_data(ENQUIRE, float(number)) == []
                assert session.data_to_send() == encode(Bare(c.ENQUIRE_LINK_RESP, 0, 99))
            for event in events:
                if isinstance(event, Received) and number % 2:
                    session.respond(event.message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024 * 1024
    assert starts < MUTATIONS / 10


def test_session_raises_nothing_when_the_framing_is_lost() -> None:
    """Mutated lengths too: the session goes on or ends with one Closed, and raises nothing."""
    _, session = bound_pair()
    ended = 0
    for number, octets in enumerate(mutated(MUTATIONS, is_framed=False)):
        events = session.receive_data(octets, float(number))
        session.data_to_send()
        assert sum(isinstance(event, Closed) for event in events) == (session.state is State.CLOSED)
        assert len(session._buffer) <= MAX_PDU_BYTES
        if session.state is not State.BOUND_TRX:
            _, session = bound_pair()
            ended += 1
    assert ended > 100


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([*STORED.values()])), max_size=8))
def test_stream_has_the_same_effect_in_any_pieces(pieces: list[bytes]) -> None:
    """Octet by octet or whole, a session of either role does the same with any stream."""
    stream = b"".join(pieces)
    for index in (0, 1):
        whole, split = bound_pair()[index], bound_pair()[index]
        whole.data_to_send()
        split.data_to_send()
        at_once = whole.receive_data(stream, 1.0)
        in_pieces: list[Event] = []
        for i in range(len(stream)):
            in_pieces += split.receive_data(stream[i : i + 1], 1.0)
        assert in_pieces == at_once
        assert split.data_to_send() == whole.data_to_send()


class Conversation(RuleBasedStateMachine):
    """An ESME and an SMSC that do whatever they may, on a wire that may stop at any octet."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sides = (Session(Role.ESME, window=5), Session(Role.SMSC, window=5))
        self.wires = [b"", b""]
        self.asked: list[BindRequested] = []
        self.received: tuple[list[Received], list[Received]] = ([], [])
        self.closed = [0, 0]
        self.sent: tuple[list[int], list[int]] = ([], [])
        self.finished: tuple[list[object], list[object]] = ([], [])
        for side in self.sides:
            side.connected(0.0)
        self.sides[0].bind(c.BindKind.TRANSCEIVER, "lab", "lab", 0.0)

    def note(self, index: int, events: list[Event]) -> None:
        for event in events:
            assert not self.closed[index]
            if isinstance(event, BindRequested):
                self.asked.append(event)
            elif isinstance(event, Received):
                self.received[index].append(event)
            elif isinstance(event, Answered):
                self.finished[index].append(event.context)
            elif isinstance(event, Closed):
                self.closed[index] += 1
                self.finished[index].extend(event.unanswered)

    @rule(index=st.integers(0, 1), share=st.floats(0, 1))
    def carry(self, index: int, share: float) -> None:
        self.wires[index] += self.sides[index].data_to_send()
        size = round(len(self.wires[index]) * share)
        data, self.wires[index] = self.wires[index][:size], self.wires[index][size:]
        self.note(1 - index, self.sides[1 - index].receive_data(data, self.now))

    @precondition(lambda self: self.asked)
    @rule()
    def accept(self) -> None:
        self.sides[1].accept_bind(self.asked.pop().request, "smsc")

    @rule(index=st.integers(0, 1))
    def request(self, index: int) -> None:
        if self.sides[index].room:
            context = len(self.sent[index])
            self.sent[index].append(context)
            self.sides[index].request(BODY, self.now, context)

    @rule(index=st.integers(0, 1), which=st.integers(0, 9), status=st.sampled_from([0, 8, 0x58]))
    def respond(self, index: int, which: int, status: int) -> None:
        if self.received[index]:
            event = self.received[index].pop(which % len(self.received[index]))
            self.sides[index].respond(event.message, status, "7f00a1")

    @rule(index=st.integers(0, 1))
    def unbind(self, index: int) -> None:
        if self.sides[index].state is State.BOUND_TRX:
            self.sides[index].unbind(self.now)

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for index, side in enumerate(self.sides):
            self.note(index, side.handle_timer(self.now))

    @rule(index=st.integers(0, 1), octets=st.sampled_from([*WELL_FORMED.values()]))
    def babble(self, index: int, octets: bytes) -> None:
        if not self.wires[index]:
            pdu = decode(octets)
            pdu.sequence = 0x70000000
            self.note(index, self.sides[index].receive_data(encode(pdu), self.now))

    @invariant()
    def nothing_is_lost_or_told_twice(self) -> None:
        for index, side in enumerate(self.sides):
            assert len(self.finished[index]) == len(set(self.finished[index]))
            assert len(self.finished[index]) + side.pending == len(self.sent[index])
            assert self.closed[index] == (side.state is State.CLOSED)
            assert 0 <= side.pending <= 5
            due = side.next_timer()
            assert due is None or side.state is not State.CLOSED


Conversation.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestConversation = Conversation.TestCase


def test_every_state_survives_every_stored_pdu() -> None:
    """A stored PDU of any kind, in any order, behind any other."""
    for first in STORED.values():
        for role in Role:
            session = Session(role)
            session.connected(0.0)
            session.receive_data(first + b"".join(STORED.values()), 1.0)
            session.receive_data(encode(pdu_of(c.SUBMIT_SM)), 2.0)
            session.receive_eof(3.0)
            assert session.state is State.CLOSED
