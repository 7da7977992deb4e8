"""SMPP links that we open, over real sockets: binds, pairs, losses, terms."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateway.model import Cause, EventKind
from gateway.sandbox.smsc import SandboxSmsc
from protocols.smpp import Bind, BindKind, decode
from protocols.smpp import status as s
from tests.channels.smpp_stage import LINK, message, stage, states

LONG = "Your gown is ready for pickup, and so are the dresses of all your bridesmaids. " * 5


async def test_messages_go_out_and_receipts_come_in(smsc: SandboxSmsc) -> None:
    """What the carrier accepted is told with its id, and its receipt comes by the same link."""
    async with stage(smsc) as one:
        one.send(message(1), message(2))
        await one.books.until(lambda: len(one.books.receipts) == 2)
        assert one.books.sent_ids == [1, 2]
        assert {receipt.message_id for receipt in one.books.receipts} <= set(one.books.carriers)
    assert smsc.unbinds == 1, "a link that is drained unbinds"
    (began, first), (ended, last) = one.books.sessions
    assert (began, ended, first) == ("began", "clean", last)


@pytest.mark.parametrize("binds", [2, 4])
async def test_messages_are_spread_over_all_binds(smsc: SandboxSmsc, binds: int) -> None:
    """By their room: none waits while another has."""
    async with stage(smsc, binds=binds, window=10) as one:
        smsc.behaviour.is_silent = True
        one.send(*(message(id_) for id_ in range(10 * binds)))
        await smsc.wait_until(lambda: smsc.submits == 10 * binds)
        by_session = Counter(submitted.session for submitted in smsc.received)
        assert sorted(by_session.values()) == [10] * binds
        assert one.link.room() == 0
        assert len(smsc.sessions) == binds


async def test_all_segments_of_a_message_take_one_bind(smsc: SandboxSmsc) -> None:
    """Carriers put a long text together from what one bind brings."""
    async with stage(smsc, binds=3) as one:
        one.send(*(message(id_, to=f"+1212555010{id_}", text=LONG) for id_ in range(6)))
        await smsc.wait_until(lambda: smsc.submits == 18)
        for dest in {submitted.dest for submitted in smsc.received}:
            assert len({each.session for each in smsc.received if each.dest == dest}) == 1


async def test_a_cut_bind_leaves_the_others_at_work(smsc: SandboxSmsc) -> None:
    """What it had sent is in doubt, what it had not goes back, and it alone is bound again."""
    async with stage(smsc, binds=2, window=5) as one:
        smsc.behaviour.is_silent = True
        one.send(*(message(id_) for id_ in range(10)))
        await smsc.wait_until(lambda: smsc.submits == 10)
        first, second = smsc.sessions
        one.send(message(10), message(11))
        first.cut()
        await one.books.until(lambda: len(one.books.losses) == 5)
        assert {cause for *_, cause in one.books.losses} == {Cause.CUT}
        assert one.books.returned_ids, "what waited for the bind that is gone"
        assert one.link.is_usable()
        await one.books.until(lambda: len(smsc.sessions) == 2)
        assert second in smsc.sessions, "the other was left alone"
        await one.is_up()


async def test_an_answer_that_never_comes_ends_the_bind(smsc: SandboxSmsc) -> None:
    """The response timer runs out: the segment is in doubt for that cause."""
    async with stage(smsc, response_s=0.05) as one:
        smsc.behaviour.is_silent = True
        one.send(message(1))
        await one.books.until(lambda: one.books.losses == [(1, 0, Cause.TIMEOUT)])


async def test_a_peer_that_answers_nothing_any_more_is_found_out() -> None:
    """Half-open: enquire_link has no answer in time, and the link dials again."""
    connections: list[asyncio.StreamWriter] = []
    dialled = asyncio.Queue[int]()

    async def bind_and_fall_silent(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connections.append(writer)
        await reader.readexactly(16)
        dialled.put_nowait(len(connections))
        body = b"sample\0"
        header = (16 + len(body)).to_bytes(4) + (0x80000009).to_bytes(4) + bytes(4)
        writer.write(header + (1).to_bytes(4) + body)

    server = await asyncio.start_server(bind_and_fall_silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    smsc = SandboxSmsc()
    async with stage(
        smsc, is_up=False, port=port, enquire_s=0.02, response_s=0.02
    ) as one:
        async with asyncio.timeout(20):
            while await dialled.get() < 2:
                pass
        errors = [error for _, error in one.binds[0].figures.errors]
        assert any("enquire_link" in error for error in errors), errors
    for writer in connections:
        writer.close()
    server.close()


async def test_a_bind_that_is_refused_says_why(smsc: SandboxSmsc) -> None:
    """In words, with the time of the next try."""
    async with stage(smsc, is_up=False, password="wrong") as one:
        await one.books.until(lambda: smsc.connections > 2)
        await one.shows("down")
        (report,) = one.link.reports()
        assert report.state.error == "ESME_RINVPASWD: the password is wrong"
        assert report.state.next_try is not None
        assert not one.link.is_usable()


@pytest.mark.parametrize(("version", "told"), [("3.4", 0x34), ("5.0", 0x50)])
async def test_a_link_asks_for_the_version_of_its_settings(
    smsc: SandboxSmsc, version: str, told: int
) -> None:
    """The carrier of the sandbox knows 3.4 alone: both are then spoken as that."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.read(200))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, stage(smsc, is_up=False, port=port, version=version):
        async with asyncio.timeout(20):
            pdu = decode(await asked.get())
    assert isinstance(pdu, Bind)
    assert pdu.interface_version == told
    async with stage(smsc, version=version) as one:
        await one.shows("up")


async def test_what_the_store_has_not_heard_of_leaves_less_room(smsc: SandboxSmsc) -> None:
    """Nothing is taken that could be in doubt beyond the window, until the store has caught up."""
    async with stage(smsc, window=10) as one:
        one.books.unsettled[LINK] = 5
        assert one.link.room() == 6
        one.books.unsettled[LINK] = 21
        assert one.link.room() == 0
        rooms = one.rooms
        one.books.unsettled[LINK] = 0
        one.books.watchers[LINK]()
        assert one.rooms > rooms
        assert one.link.room() == 10


async def test_a_congested_carrier_is_sent_less_until_it_is_not(smsc: SandboxSmsc) -> None:
    """By its own word, without a single refusal; ops see the word."""
    smsc.behaviour.congestion = 95
    async with stage(smsc, version="5.0", window=8) as one:
        one.send(*(message(n) for n in range(8)))
        await one.books.until(lambda: len(one.books.sent_ids) == 8)
        assert one.link.room() < 8
        (report,) = one.link.reports()
        assert report.figures["load"] == 95
        smsc.behaviour.congestion = 20
        for n in range(8, 40, 4):
            one.send(*(message(n + each) for each in range(4)))
            await one.books.until(lambda n=n: len(one.books.sent_ids) == n + 4)
        assert one.link.room() >= 8
        assert not one.books.again_ids


# Pairs --------------------------------------------------------------------------------------------


async def test_a_pair_sends_by_one_and_receives_by_the_other(smsc: SandboxSmsc) -> None:
    """Together they are one bind."""
    async with stage(smsc, bind="pair") as one:
        assert {peer.kind for peer in smsc.sessions} == {BindKind.TRANSMITTER, BindKind.RECEIVER}
        one.send(message(1, to="+12125550114"))
        await one.books.until(lambda: bool(one.books.texts and one.books.receipts))
        assert len(list(one.link.reports())) == 1


@pytest.mark.parametrize("kind", [BindKind.TRANSMITTER, BindKind.RECEIVER])
async def test_a_lost_half_alone_is_bound_again(smsc: SandboxSmsc, kind: BindKind) -> None:
    """Sending stops only without the transmitter."""
    async with stage(smsc, bind="pair") as one:
        lost, kept = sorted(smsc.sessions, key=lambda peer: peer.kind is not kind)
        smsc.behaviour.bind_status = s.ESME_RBINDFAIL
        lost.cut()
        await one.books.until(lambda: bool(one.binds[0].state.error))
        assert one.link.is_usable() is (kind is BindKind.RECEIVER)
        assert smsc.sessions == [kept]
        smsc.behaviour.bind_status = 0
        await one.books.until(lambda: len(smsc.sessions) == 2)
        await one.books.until(lambda: one.binds[0].state.error is None)
        assert kept in smsc.sessions
        one.send(message(1))
        await one.books.until(lambda: one.books.sent_ids == [1])


# Leases -------------------------------------------------------------------------------------------


async def test_without_a_lease_nothing_is_dialled(smsc: SandboxSmsc) -> None:
    """Another node has the bind: that one reports it."""
    async with stage(smsc, is_up=False, binds=2) as one:
        for lease in one.leases:
            lease.is_free = False
        await one.books.until(lambda: {bind.state.state for bind in one.binds} == {"standby"})
        assert list(one.link.reports()) == []
        assert smsc.connections == 0


async def test_a_lease_that_was_not_renewed_stops_the_sending(smsc: SandboxSmsc) -> None:
    """Until it is: what is in hand may be another's by now."""
    async with stage(smsc) as one:
        one.leases[0].is_fresh = False
        assert not one.link.is_usable()
        assert one.link.room() == 0
        one.send(message(1))
        assert smsc.submits == 0
        one.leases[0].is_fresh = True
        await one.books.until(lambda: one.books.sent_ids == [1])


async def test_a_lease_taken_by_another_ends_the_bind(smsc: SandboxSmsc) -> None:
    """At once."""
    async with stage(smsc, binds=2) as one:
        one.leases[1].is_free = one.leases[1].is_mine = False
        one.leases[1].on_lost()
        await one.books.until(lambda: len(smsc.sessions) == 1)
        await one.is_up(1)


async def test_a_bind_too_many_goes_to_another_node_in_good_order(smsc: SandboxSmsc) -> None:
    """Answers that are due come first, then it unbinds and lets go of its lease."""
    smsc.behaviour.response_delay_s = 0.05
    async with stage(smsc, binds=2, window=4) as one:
        one.send(*(message(id_) for id_ in range(8)))
        one.leases[1].is_free = False
        one.leases[1].on_surplus()
        await one.books.until(lambda: one.leases[1].releases == 1)
        assert smsc.unbinds == 1
        await one.books.until(lambda: len(one.books.sent_ids) == 8)
        assert not one.books.losses
        assert len(smsc.sessions) == 1


# Refusals -----------------------------------------------------------------------------------------


async def test_the_links_own_trouble_is_tried_elsewhere(smsc: SandboxSmsc) -> None:
    """The message names the link to avoid, the link goes on."""
    async with stage(smsc) as one:
        smsc.behaviour.submit_status = s.ESME_RSYSERR
        one.send(message(1))
        await one.books.until(lambda: bool(one.books.again_ids))
        ((id_, kind, error, avoid),) = one.books.again_ids
        assert (id_, kind, avoid) == (1, EventKind.RETRIED, LINK)
        assert error.startswith("ESME_RSYSERR")
        assert one.link.is_usable()


async def test_trouble_with_the_account_takes_the_link_out_of_use(smsc: SandboxSmsc) -> None:
    """No message fails for it; after the pause one is tried, and the link is back."""
    async with stage(smsc, suspend_min_s=0.2, suspend_max_s=0.2, window=4) as one:
        smsc.behaviour.submit_status = s.ESME_RPROHIBITED
        one.send(*(message(id_) for id_ in range(8)))
        await one.shows("suspended")
        await one.books.until(lambda: len(one.books.again_ids) + len(one.books.returned_ids) == 8)
        (report,) = one.link.reports()
        assert report.state.error == "ESME_RPROHIBITED: the account may not use this operation"
        assert report.state.next_try is not None
        assert not one.link.is_usable()
        assert one.link.room() == 0
        assert {avoid for *_, avoid in one.books.again_ids} == {LINK}
        assert not one.books.refusals
        smsc.behaviour.submit_status = 0
        await one.is_up()
        assert one.link.room() == 1, "one is tried before all"
        one.send(message(9))
        await one.books.until(lambda: one.books.sent_ids == [9])


async def test_what_comes_while_a_link_rests_goes_back_at_once(smsc: SandboxSmsc) -> None:
    """A claim that was under way when the carrier refused the account: another link may send it."""
    async with stage(smsc, suspend_min_s=60.0, suspend_max_s=60.0) as one:
        smsc.behaviour.submit_status = s.ESME_RPROHIBITED
        one.send(message(1))
        await one.shows("suspended")
        one.send(message(2), message(3))
        assert one.books.returned_ids == [2, 3]
        assert one.binds[0].segments_waiting == 0


@pytest.mark.parametrize(
    ("meaning", "status"), [("fail", s.ESME_RSYSERR), ("retry", 0x0450), ("suspend", 0x0450)]
)
async def test_the_settings_say_what_a_status_means(
    smsc: SandboxSmsc, meaning: str, status: int
) -> None:
    """A carrier's own numbers too."""
    table = {"ESME_RSYSERR": "fail", "0x0400-0x04FF": meaning}
    async with stage(smsc, statuses=table) as one:
        smsc.behaviour.submit_status = status
        one.send(message(1))
        await one.books.until(lambda: bool(one.books.refusals or one.books.again_ids))
        assert bool(one.books.refusals) is (meaning == "fail")
        assert one.link.is_usable() is (meaning != "suspend")


async def test_throttling_pauses_all_binds(smsc: SandboxSmsc) -> None:
    """A carrier's limit is the account's."""
    async with stage(smsc, binds=2) as one:
        one.send(message(1, to="+12125550112"))
        await one.books.until(lambda: bool(one.books.again_ids))
        assert states(one.link) == {"throttled": 2}
        assert one.link.room() == 0


# Stopping -----------------------------------------------------------------------------------------


async def test_a_stopped_link_rests_until_it_is_started(smsc: SandboxSmsc) -> None:
    """What is given to it meanwhile goes back; nothing is dialled."""
    smsc.behaviour.response_delay_s = 0.05
    async with stage(smsc, binds=2) as one:
        one.send(message(1))
        await one.link.stop()
        assert one.books.sent_ids == [1], "answers that are due are waited for"
        await one.shows("stopped")
        assert (one.link.room(), one.link.is_usable()) == (0, False)
        one.send(message(2))
        assert one.books.returned_ids == [2]
        assert smsc.unbinds == 2
        one.link.start()
        await one.is_up()
        one.send(message(3))
        await one.books.until(lambda: one.books.sent_ids == [1, 3])


async def test_a_peer_that_stops_reading_is_given_up(smsc: SandboxSmsc) -> None:
    """What it was sent is in doubt, what found no room on the wire goes back."""
    sink: list[asyncio.StreamWriter] = []

    async def bind_and_read_no_more(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        sink.append(writer)
        await reader.readexactly(16)
        body = b"sample\0"
        header = (16 + len(body)).to_bytes(4) + (0x80000009).to_bytes(4) + bytes(4)
        writer.write(header + (1).to_bytes(4) + body)
        writer.transport.pause_reading()  # type: ignore[attr-defined]

    server = await asyncio.start_server(bind_and_read_no_more, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with stage(smsc, port=port, window=10_000, response_s=0.3) as one:
        one.send(*(message(id_, text=LONG) for id_ in range(9_000)))
        await one.books.until(lambda: len(one.books.losses) + len(one.books.returned_ids) >= 9_000)
        assert one.books.losses
        assert {cause for *_, cause in one.books.losses} == {Cause.TIMEOUT}
    for writer in sink:
        writer.transport.abort()
    server.close()


async def test_a_bind_that_carries_nothing_for_long_is_opened_anew(smsc: SandboxSmsc) -> None:
    """Where the settings ask for it: enquire_link alone keeps it no longer."""
    async with stage(smsc, inactivity_s=0.05, enquire_s=0.01) as one:
        await one.books.until(lambda: smsc.unbinds > 0 and smsc.connections > 1)
        await one.is_up()
