"""Receipts and texts wait for ESMEs, and come in order when they are there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.esme.deliveries import without_parameters
from gateway.store.embedded import ConnectParameters
from protocols.smpp import BindKind, Message, encode_submit_body
from protocols.smpp.status import ESME_ROK, ESME_RX_P_APPN, ESME_RX_T_APPN
from protocols.sms.reassembly import join, read
from tests.channels.esme.stage import PHONE, EsmeStage, esme_stage, eventually
from tests.channels.esme.test_submitting import ask, nothing_left, submission
from tests.sandbox.esme import SHOP, Esme, open_esme, phone, receipt_in


async def submit(stage: EsmeStage, count: int, **fields: Any) -> list[str]:
    """Submit texts by a transmitter, and return their ids once their receipts wait."""
    async with stage.esme(kind=BindKind.TRANSMITTER) as esme:
        ids = [
            (await ask(esme, submission(payload=b"text %d" % n, **fields))).message_id
            for n in range(count)
        ]
    await eventually(lambda: waits(stage, count))
    return ids


async def waits(stage: EsmeStage, count: int) -> bool:
    """Whether so much is in the outbox."""
    return await stage.count("esme_outbox") == count


def told(messages: list[Message]) -> list[str | None]:
    """The ids that receipts speak of."""
    return [receipt_in(message).message_id for message in messages]


async def test_receipts_wait_until_a_receiver_binds(stage: EsmeStage) -> None:
    """In order, each once."""
    ids = await submit(stage, 20)
    async with stage.esme(kind=BindKind.RECEIVER) as esme:
        messages = await esme.delivered(20)
        assert sorted(told(messages), key=str) == sorted(ids)
        await eventually(lambda: nothing_left(stage))
    async with stage.esme(kind=BindKind.RECEIVER) as esme:
        await ask_nothing(esme)
        assert not esme.messages


async def ask_nothing(esme: Esme) -> None:
    """Wait long enough that whatever waits would have come: a round trip after the first read."""
    await asyncio.sleep(0.3)


async def test_what_was_not_acknowledged_comes_again(stage: EsmeStage) -> None:
    """After a cut, and after a restart of the gateway."""
    ids = await submit(stage, 10)
    async with await open_esme(stage.port) as deaf:
        deaf.is_answering = False
        await deaf.bind("pos", stage.passwords["pos"], BindKind.RECEIVER)
        assert sorted(told(await deaf.delivered(10)), key=str) == sorted(ids)
    await stage.gateway.stop()
    await stage.start()
    async with stage.esme(kind=BindKind.RECEIVER) as esme:
        assert sorted(told(await esme.delivered(10)), key=str) == sorted(ids)
        await eventually(lambda: nothing_left(stage))


async def test_a_window_of_one_is_kept(stage: EsmeStage) -> None:
    """The next receipt waits for the answer to the last."""
    await stage.account("narrow", window=1)
    async with stage.esme("narrow") as esme:
        esme.is_answering = False
        for _ in range(3):
            await ask(esme, submission())
        await esme.delivered(1)
        await eventually(lambda: waits(stage, 3))
        await ask_nothing(esme)
        assert len(esme.messages) == 1
        esme.is_answering = True
        esme.connection.session.respond(esme.messages[0])
        esme.connection.flush()
        await esme.delivered(3)


async def test_receivers_of_an_account_share_the_load(stage: EsmeStage) -> None:
    """Nothing comes on both."""
    await stage.account("busy", binds=3)
    async with stage.esme("busy", BindKind.RECEIVER) as one, stage.esme("busy") as two:
        for _ in range(40):
            await ask(two, submission())
        await eventually(lambda: len(one.messages) + len(two.messages) >= 40)
        await eventually(lambda: nothing_left(stage))
        ids = told(one.messages) + told(two.messages)
        assert len(ids) == len(set(ids)) == 40
        assert one.messages and two.messages


async def test_the_rest_of_a_cut_bind_goes_to_the_other(stage: EsmeStage) -> None:
    """Without waiting for it to come back."""
    async with stage.esme(kind=BindKind.TRANSCEIVER) as living:
        async with stage.esme(kind=BindKind.RECEIVER) as deaf:
            deaf.is_answering = False
            ids = [(await ask(living, submission())).message_id for _ in range(10)]
            await eventually(lambda: len(living.messages) + len(deaf.messages) >= 10)
        await living.delivered(10)
        assert sorted(told(living.messages), key=str) == sorted(ids)


async def test_a_refusal_for_now_is_tried_again_and_one_for_good_is_not(
    stage: EsmeStage, monkeypatch: Any
) -> None:
    """Both are temporary for the others behind them."""
    monkeypatch.setattr("gateway.channels.esme.outbox._PAUSE_MIN_S", 0.05)
    ids = await submit(stage, 3)
    async with await open_esme(stage.port) as esme:
        esme.answer_status = [ESME_RX_P_APPN, ESME_RX_T_APPN]
        await esme.bind("pos", stage.passwords["pos"], BindKind.RECEIVER)
        messages = await esme.delivered(4)
        assert len(set(told(messages))) == 3
        assert set(told(messages)) == set(ids)
        await eventually(lambda: nothing_left(stage))


async def test_texts_to_the_shops_numbers_come_to_accounts_that_want_them(
    stage: EsmeStage,
) -> None:
    """Whole, in as many parts as they take; other accounts of the shop get none."""
    await stage.account("desk", has_replies=True)
    await stage.account("rival", shop="other", has_replies=True)
    text = "Thank you so much! " * 12
    async with stage.esme("desk") as desk, stage.esme() as plain, stage.esme("rival") as rival:
        assert await stage.smsc.deliver(PHONE, SHOP, "On my way!") == [ESME_ROK]
        await desk.delivered(1)
        await stage.smsc.deliver(PHONE, SHOP, text)
        short, *long = await desk.delivered(3)
        assert (short.source, short.dest) == (PHONE[1:], SHOP[1:])
        assert (short.source_ton, short.payload) == (1, b"On my way!")
        pieces = [read(m.payload, m.esm_class, m.data_coding, m.tlvs) for m in long]
        assert join(pieces).text == text
        await eventually(lambda: nothing_left(stage))
        assert not plain.messages and not rival.messages


async def test_an_outbox_is_bounded(database: ConnectParameters, tmp_path: Path) -> None:
    """The oldest go."""
    async with esme_stage(database, tmp_path, {"outbox_max": 5}) as stage:
        await stage.account()
        ids = await submit(stage, 12)
        assert stage.gateway.smpp is not None
        await stage.gateway.smpp._outbox.sweep()
        assert await waits(stage, 5)
        rows = await stage.store.fetch("SELECT id FROM esme_outbox ORDER BY id")
        assert len(ids) == 12 and len(rows) == 5


async def test_a_repeated_submission_after_a_cut_is_the_first_one(stage: EsmeStage) -> None:
    """The same id, and one text to the phone; a second repetition is a text of its own."""
    fields: dict[str, Any] = {"dest": phone("0105"), "payload": b"the very same"}
    async with stage.esme() as esme:
        first = await ask(esme, submission(**fields))
        esme.connection.close("cut without an unbind")
        await esme.ended()
    await eventually(lambda: has_binds(stage, 0))
    async with stage.esme() as esme:
        assert (await ask(esme, submission(**fields))).message_id == first.message_id
        assert (await ask(esme, submission(**fields))).message_id != first.message_id
    assert await stage.count("message") == 2


async def test_all_parts_of_a_text_come_on_the_same_bind(stage: EsmeStage) -> None:
    """Also while several binds of the account share what comes."""
    await stage.account("desk", has_replies=True)
    text = "Thank you so much! " * 24
    async with stage.esme("desk") as one, stage.esme("desk") as two:
        for _ in range(6):
            await stage.smsc.deliver(PHONE, SHOP, text)
        await eventually(lambda: nothing_left(stage))
        for esme in (one, two):
            assert esme.messages, "one bind has it all"
            parts = [read(m.payload, m.esm_class, m.data_coding, m.tlvs) for m in esme.messages]
            for group in {part.group for part in parts}:
                assert {part.number for part in parts if part.group == group} == {1, 2, 3}


async def test_a_bind_that_comes_takes_nothing_from_one_that_has_begun(stage: EsmeStage) -> None:
    """On another node, too: only when the first is gone does the second get what was left."""
    await stage.account("narrow", window=4, binds=3)
    async with stage.esme("narrow", BindKind.TRANSMITTER) as esme:
        ids = [(await ask(esme, submission())).message_id for _ in range(10)]
        await eventually(lambda: waits(stage, 10))
        first = stage.gateway
        await stage.start("two")
        try:
            async with await open_esme(stage.port) as deaf:
                deaf.is_answering = False
                await deaf.bind("narrow", stage.passwords["narrow"], BindKind.RECEIVER)
                await deaf.delivered(4)
                esme.connection.session.unbind(asyncio.get_running_loop().time())
                esme.connection.flush()
                await esme.ended()
                await eventually(lambda: has_binds(stage, 1))
                assert first.smpp is not None
                async with await open_esme(first.smpp.ports[0]) as late:
                    await late.bind("narrow", stage.passwords["narrow"], BindKind.RECEIVER)
                    await ask_nothing(late)
                    assert not late.messages
                    deaf.connection.close("the test says so")
                    await late.delivered(10)
                    assert sorted(told(late.messages), key=str) == sorted(ids)
        finally:
            await first.stop()


async def has_binds(stage: EsmeStage, count: int) -> bool:
    """Whether so many binds are counted."""
    return await stage.count("esme_bind") == count


async def test_an_older_esme_gets_no_optional_parameters(stage: EsmeStage) -> None:
    """One that binds with version 3.3: its receipts say all in their text."""
    (id_,) = await submit(stage, 1)
    async with await open_esme(stage.port) as esme:
        now = asyncio.get_running_loop().time()
        session = esme.connection.session
        password = stage.passwords["pos"]
        session.bind(BindKind.RECEIVER, "pos", password, now, interface_version=0x33)
        esme.connection.flush()
        (message,) = await esme.delivered(1)
        assert message.tlvs == []
        assert receipt_in(message).message_id == id_
        await eventually(lambda: nothing_left(stage))


@given(
    st.from_regex(r"[+0-9]{0,20}", fullmatch=True),
    st.from_regex(r"[0-9]{0,20}", fullmatch=True),
    st.binary(max_size=254),
    st.lists(st.tuples(st.integers(1, 0xFFFF), st.binary(max_size=20)), max_size=5),
)
def test_parameters_are_cut_off_and_nothing_else(
    source: str, dest: str, text: bytes, tlvs: list[tuple[int, bytes]]
) -> None:
    """Whatever the text holds."""
    whole = encode_submit_body(source, dest, text, source_ton=1, tlvs=tlvs)
    assert without_parameters(whole) == encode_submit_body(source, dest, text, source_ton=1)
