"""Encrypted legs: keys, wraps, and what is no packet of theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.rtp import rtcp
from protocols.rtp.clip import Clip
from protocols.rtp.events import (
    MediaStarted,
)
from protocols.rtp.packet import RtpError
from protocols.rtp.parameters import SrtpKeys
from protocols.rtp.rtcp import Bye, ReceiverReport
from protocols.rtp.srtp import SUITES, SrtpContext
from tests.protocols.rtp.legs import AUDIO, PARAMETERS, PEER, Bench, keys, voice

# Sending ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES)
def test_a_secret_call(suite: str) -> None:
    """Only who has the keys is heard; what leaves is unreadable; RTCP is secret too."""
    ours, theirs = keys(suite)
    bench, peer = Bench(keys=ours), SrtpContext(theirs)
    bench.leg.play(Clip(AUDIO))
    bench.hear(voice(0))
    assert bench.events == []
    data = peer.protect(voice(0))
    bench.hear(data)
    bench.hear(data)
    bench.hear(data[:-1] + bytes([data[-1] ^ 1]))
    assert bench.events == [MediaStarted(PEER)]
    assert bench.leg.statistics().malformed == 3
    bench.run(400)
    assert AUDIO[:160] not in bench.sent[0]
    assert peer.unprotect(bench.sent[0])[12:] == AUDIO[:160]
    rtcp.parse(peer.unprotect_rtcp(bench.rtcp[0]))
    bench.leg.receive_rtcp(rtcp.build(ReceiverReport(9), Bye((9,))), PEER, bench.now)
    assert bench.leg.statistics().malformed == 4


def test_keys_outlive_a_re_invite() -> None:
    """A new key of the peer does not reset the way that kept its own."""
    suite = next(iter(SUITES))
    ours, theirs = keys(suite)
    bench, peer = Bench(keys=ours), SrtpContext(theirs)
    bench.run(3)
    fresh = bytes(30)
    bench.leg.update(replace(PARAMETERS, keys=replace(ours, receive=fresh)), bench.now)
    peer = SrtpContext(replace(theirs, send=fresh), peer)
    bench.run(3)
    for each in bench.sent:
        peer.unprotect(each)
    bench.hear(peer.protect(voice(0)))
    assert bench.events == [MediaStarted(PEER)]


@pytest.mark.parametrize("seed", range(20))
def test_an_encrypted_stream_begins_low(seed: int) -> None:
    """A peer that misses our first packets, while it has no key yet, must not miss a wrap of the
    numbers: it could decrypt nothing after it (RFC 3711 section 3.3.1)."""
    bench = Bench(seed=seed, keys=keys(next(iter(SUITES)))[0])
    bench.run(1)
    assert bench.packets[0].sequence < 0x8000


def test_many_streams_of_one_key_do_not_slow_a_call() -> None:
    """A peer with the key that changes its SSRC with every packet leaves nothing behind."""
    suite = next(iter(SUITES))
    ours, theirs = keys(suite)
    receiver = SrtpContext(ours)
    for ssrc in range(100):
        receiver.unprotect(SrtpContext(theirs).protect(voice(0, ssrc=ssrc)))
    assert receiver.streams <= 16
    peer = SrtpContext(theirs)
    packet = peer.protect(voice(1, ssrc=99))
    assert receiver.unprotect(packet) == voice(1, ssrc=99)
    with pytest.raises(RtpError):
        receiver.unprotect(packet)


@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 3)), max_size=12))
def test_no_datagram_raises_where_all_is_encrypted(datagrams: list[tuple[bytes, int]]) -> None:
    """Short ones, mangled ones and copies, on either port, before and after the source is known."""
    ours, theirs = keys(next(iter(SUITES)))
    peer = SrtpContext(theirs)
    bench = Bench(keys=ours)
    for n, (data, kind) in enumerate(datagrams):
        whole = peer.protect(voice(n))
        report = peer.protect_rtcp(rtcp.build(ReceiverReport(9)))
        for each in (data, whole[: len(data)], whole, whole, whole + data, report[: len(data)]):
            if kind & 1:
                bench.hear(each)
            if kind & 2:
                bench.leg.receive_rtcp(each, PEER, bench.now)
    bench.run(3)
    assert bench.leg.statistics().received <= len(datagrams)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("cycles", [0, 1, 3])
@pytest.mark.parametrize("resets", [False, True])
def test_a_new_key_in_a_long_call(suite: str, cycles: int, resets: bool) -> None:
    """The numbers have wrapped before; a new key does not reset how often (RFC 3711 section 3.3.1),
    and many peers reset it all the same: both are heard, copies and mangled packets are not."""
    ours, theirs = keys(suite)
    bench, peer = Bench(keys=ours), SrtpContext(theirs)
    last = cycles * 0x10000 + 40
    for n in [*range(0, last, 0x2000), *range(last - 20, last)]:
        bench.hear(peer.protect(voice(n)))
    bench.listen()
    before = bench.leg.statistics()
    fresh = replace(theirs, send=bytes(30))
    bench.leg.update(replace(PARAMETERS, keys=replace(ours, receive=bytes(30))), bench.now)
    peer = SrtpContext(fresh)
    for n in range(0, 0 if resets else last, 0x2000):
        peer.protect(voice(n))
    for n in range(last, last + 10):
        data = peer.protect(voice(n))
        bench.hear(data[:-1] + bytes([data[-1] ^ 1]))
        bench.hear(data)
        bench.hear(data)
    after = bench.leg.statistics()
    assert after.received - before.received == 10
    assert after.malformed - before.malformed == 20


def test_a_wrap_is_decrypted() -> None:
    """Through loss and reordering around it, and through a re-INVITE that changes nothing."""
    ours, theirs = keys(next(iter(SUITES)))
    bench, peer = Bench(keys=ours), SrtpContext(theirs)
    sent = [(n, peer.protect(voice(n))) for n in range(0xFFF0, 0x10010)]
    order = [n for n in range(len(sent)) if n % 5]
    order[11], order[13] = order[13], order[11]
    for place in order:
        bench.hear(sent[place][1])
        bench.leg.update(replace(PARAMETERS, keys=ours), bench.now)
    assert bench.leg.statistics().received == len(order)


def test_keys_must_fit() -> None:
    """Unknown suites and short keys are refused before anything changes."""
    short = replace(keys(next(iter(SUITES)))[0], send=b"")
    for bad in (SrtpKeys("NULL", bytes(30), bytes(30)), short):
        bench = Bench()
        with pytest.raises(LocalProtocolError):
            bench.leg.update(replace(PARAMETERS, keys=bad), bench.now)
        assert bench.leg.parameters == PARAMETERS
