"""Binds are cut and carriers misbehave under load."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from gateway.model import State
from protocols.smpp import encode_submit_body
from protocols.smpp import status as s
from tests.crash.load import WINDOW, Load, judge, repeats, seeded, segment_of
from tests.crash.stage import ROUNDS, Stage, eventually, number_of, staged

pytestmark = pytest.mark.crash


async def test_twenty_cuts_lose_nothing_and_repeat_only_what_had_no_answer() -> None:
    """Binds cut in mid-window under load cost at most a window of repeats each.

    They cost no text, and no marketing text goes twice.
    """
    chance = seeded()
    async with staged() as stage:
        smsc = stage.smsc
        load = Load(stage, chance)
        process = await stage.start()
        load.begin(process.url)
        for _ in range(ROUNDS):
            smsc.behaviour.response_delay_s = chance.choice((0, 0.005, 0.02))
            await smsc.wait_until(lambda: bool(smsc.sessions))
            if chance.random() < 0.5:
                smsc.behaviour.cut_after = chance.randrange(1, 60)
                await smsc.wait_until(lambda: smsc.behaviour.cut_after is None)
            else:
                count = smsc.submits + chance.randrange(1, 60)
                await smsc.wait_for_count(count)
                smsc.drop_all()
        await load.end()
        smsc.behaviour.response_delay_s = 0
        await stage.drained()
        await stage.receipted()
        assert await process.stop() == 0
        again = repeats(smsc.received)
        by_session = [one.session for _, one in again]
        most = max((by_session.count(session) for session in set(by_session)), default=0)
        print(f"{smsc.submits} segments, {len(again)} again, at most {most} of one bind")
        assert most <= WINDOW
        await judge(load)


async def test_a_response_timer_that_runs_out_is_a_bind_cut() -> None:
    """A carrier that answers no more loses the bind when the response timer has run out.

    Transactional texts go again on the next bind, marketing texts stay in doubt.
    """
    async with staged(response_s=2.0) as stage:  # more than a busy machine keeps us waiting
        smsc = stage.smsc
        load = Load(stage, seeded())
        process = await stage.start()
        smsc.behaviour.is_silent = True
        await load.post(process.url, 12)
        await smsc.wait_until(lambda: bool(smsc.sessions))
        first = smsc.sessions[0].number
        await smsc.wait_until(lambda: any(p.number != first for p in smsc.sessions))
        smsc.behaviour.is_silent = False
        await stage.drained()
        await judge(load)
        doubt = {row["body"][1:7] for row in await stage.fetch(
            "SELECT m.body FROM status s JOIN message m ON m.id = s.id WHERE s.state = $1",
            State.IN_DOUBT,
        )}  # fmt: skip
        silent = {segment_of(one)[0] for one in smsc.received if one.status is None}
        assert doubt == {f"{n:06d}" for n in silent if load.posts[n].is_marketing}
        await process.stop()


async def test_what_is_queued_waits_for_the_carrier_and_goes_in_order_of_rank() -> None:
    """While the carrier is down texts wait, and expire; when it is back they go in order.

    Transactional ones go before marketing, the shops in turn, first come first served in a shop.
    """
    async with staged(shops=("sample", "other"), window=1) as stage:
        smsc = stage.smsc
        smsc.stop_listening()
        process = await stage.start()
        soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
        names = []
        for category in ("marketing", "transactional"):
            for shop in ("sample", "other"):
                for n in range(4):
                    text = f"{category} {shop} {n}"
                    status, _ = await stage.client.post(
                        process.url, shop, text=text, category=category
                    )
                    assert status == 202
                    names.append(text)
        _, told = await stage.client.post(process.url, text="too late", expires_at=soon)

        async def is_expired() -> bool:
            _, message = await stage.client.get(process.url, f"/v1/messages/{told['id']}")
            return message["status"] == "expired"

        await eventually(is_expired, "a text whose validity passed while it waited expires")
        await smsc.listen_again()
        await smsc.wait_for_count(len(names))
        came = [one.text for one in smsc.received]
        assert "too late" not in came
        assert sorted(came) == sorted(names)
        categories = [text.split()[0] for text in came]
        assert categories == ["transactional"] * 8 + ["marketing"] * 8
        for lane in (came[:8], came[8:]):
            shops = [text.split()[1] for text in lane]
            assert all(
                set(pair) == {"sample", "other"}
                for pair in zip(shops[::2], shops[1::2], strict=True)
            )
            for shop in ("sample", "other"):
                mine = [text.split()[2] for text in lane if text.split()[1] == shop]
                assert mine == ["0", "1", "2", "3"]
        await process.stop()


async def _down(stage: Stage) -> None:
    """The sick carrier is not there."""
    stage.links["sick"].stop_listening()
    stage.links["sick"].drop_all()


async def _slow(stage: Stage) -> None:
    """The sick carrier takes longer than the test for an answer."""
    stage.links["sick"].behaviour.response_delay_s = 3600


async def _throttling(stage: Stage) -> None:
    """The sick carrier throttles everything."""
    stage.links["sick"].behaviour.submit_status = s.ESME_RTHROTTLED


async def _silent(stage: Stage) -> None:
    """The sick carrier answers nothing."""
    stage.links["sick"].behaviour.is_silent = True


async def _refusing(stage: Stage) -> None:
    """The sick carrier refuses to be bound."""
    stage.links["sick"].behaviour.bind_status = s.ESME_RBINDFAIL
    stage.links["sick"].drop_all()


@pytest.mark.parametrize("befalls", [_down, _slow, _throttling, _silent, _refusing])
async def test_a_sick_carrier_costs_only_its_own_route(
    befalls: Callable[[Stage], Awaitable[None]],
) -> None:
    """Whatever is wrong with one carrier, the other's texts go out and get their receipts.

    Those of the sick one wait.
    """
    async with staged(links=("sick", "well")) as stage:
        sick, well = stage.links["sick"], stage.links["well"]
        process = await stage.start()
        await well.wait_until(lambda: bool(well.sessions))
        await sick.wait_until(lambda: bool(sick.sessions))
        await befalls(stage)
        sender = {"sick": number_of(0, 0), "well": number_of(0, 1)}
        for n in range(50):
            for link in ("sick", "well"):
                status, _ = await stage.client.post(
                    process.url, text=f"{link} {n}", **{"from": sender[link]}
                )
                assert status == 202
        await well.wait_until(lambda: well.deliveries >= 50)
        assert sorted(well.texts()) == sorted(f"well {n}" for n in range(50))
        rows = await stage.fetch("SELECT count(*) AS left FROM message m WHERE NOT EXISTS"
                                 " (SELECT FROM status s WHERE s.id = m.id)")  # fmt: skip
        assert rows[0]["left"] == 50
        await process.kill()


async def test_a_babbling_carrier_costs_only_its_own_route() -> None:
    """Stray responses, unknown commands and receipts for nobody hold up no other link.

    The babbler's own texts go out too.
    """
    async with staged(links=("sick", "well")) as stage:
        sick, well = stage.links["sick"], stage.links["well"]
        process = await stage.start()
        await sick.wait_until(lambda: bool(sick.sessions))
        await well.wait_until(lambda: bool(well.sessions))
        babble = asyncio.create_task(_babble(stage))
        sender = {"sick": number_of(0, 0), "well": number_of(0, 1)}
        for n in range(50):
            for link in ("sick", "well"):
                status, _ = await stage.client.post(
                    process.url, text=f"{link} {n}", **{"from": sender[link]}
                )
                assert status == 202
        await well.wait_until(lambda: well.deliveries >= 50)
        assert not babble.done()
        babble.cancel()
        await sick.wait_until(lambda: len(sick.texts()) >= 50)
        assert [p.number for p in sick.sessions] == [1], "the bind was not worth ending"
        await process.kill()


async def _babble(stage: Stage) -> None:
    """Write as much as the socket takes, for ever."""
    transport = stage.links["sick"].sessions[0]._transport
    assert transport is not None
    chunk = b"".join(
        [
            *(_pdu(0x80000004, 0x700000 + n, b"stray\0") for n in range(100)),
            *(_pdu(0x00000777, n + 1, b"unknown") for n in range(20)),
            *(_pdu(0x00000005, n + 1, b"\xff" * 40) for n in range(20)),
            *(_pdu(0x80000000, 0, b"") for _ in range(20)),
            *(_pdu(0x00000005, n + 1, _RECEIPT) for n in range(5)),
        ]
    )
    while not transport.is_closing():
        if transport.get_write_buffer_size() < 1 << 16:
            transport.write(chunk)
        await asyncio.sleep(0.001)


def _pdu(command: int, sequence: int, body: bytes) -> bytes:
    return struct.pack(">4I", 16 + len(body), command, 0, sequence) + body


_RECEIPT = encode_submit_body(
    "12125550100",
    "12125550170",
    b"id:4711 sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000",
    esm_class=4,
)
"""A receipt for a message that nobody sent."""
