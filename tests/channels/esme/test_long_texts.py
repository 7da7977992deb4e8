"""Long texts that ESMEs submit in parts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.store.embedded import ConnectParameters
from protocols.smpp import Tag, Tlv, encode_submit_body
from protocols.smpp import status as s
from protocols.sms.encoding import Encoding
from protocols.sms.receipts import ReceiptState
from protocols.sms.segment import segments
from tests.channels.esme.stage import OTHER, PHONE, EsmeStage, esme_stage, eventually
from tests.channels.esme.test_submitting import nothing_left, sent
from tests.sandbox.esme import LONG, SHOP, Esme, receipt_in


def parts(
    text: str = LONG, reference: int = 7, *, source: str = SHOP, registered: int = 1
) -> list[bytes]:
    """The bodies of a text cut with a user data header."""
    return [
        encode_submit_body(
            source,
            PHONE,
            segment.payload,
            source_ton=1,
            dest_ton=1,
            esm_class=segment.esm_class,
            registered_delivery=registered,
        )
        for segment in segments(text, Encoding.GSM7, reference)
    ]


async def submit(esme: Esme, body: bytes) -> tuple[int, str]:
    """Submit one part, and return its answer's status and id."""
    count = len(esme.answers) + 1
    esme.connection.session.request(body, asyncio.get_running_loop().time())
    esme.connection.flush()
    answer = (await esme.answered(count))[-1]
    return answer.status, answer.message_id


async def test_parts_become_one_message_and_each_gets_its_receipt(stage: EsmeStage) -> None:
    """One after the other, each answered before the next is sent."""
    async with stage.esme() as esme:
        told = [await submit(esme, body) for body in parts()]
        assert [status for status, _ in told] == [s.ESME_ROK] * 3
        ids = [id_ for _, id_ in told]
        assert ids == [f"{ids[0][:13]}-{number}" for number in (1, 2, 3)]
        messages = await esme.delivered(3)
        assert sent(stage) == [LONG]
        assert {receipt_in(m).message_id for m in messages} == set(ids)
        assert {receipt_in(m).state for m in messages} == {ReceiptState.DELIVERED}
        assert await stage.count("message") == 1
        await eventually(lambda: stage_is_clean(stage))


async def stage_is_clean(stage: EsmeStage) -> bool:
    """Whether neither parts of texts that are not whole nor notes are left."""
    return not await open_parts(stage) and await nothing_left(stage)


async def open_parts(stage: EsmeStage) -> int:
    """Parts of texts that are not whole."""
    return await stage.count("esme_part WHERE done_epoch IS NULL")


async def test_parts_in_any_order_and_all_at_once(stage: EsmeStage) -> None:
    """Also mixed with those of another text."""
    async with stage.esme() as esme:
        session, now = esme.connection.session, asyncio.get_running_loop().time()
        mine, others = parts(), parts("Sample " * 40, reference=8)
        for body in (mine[2], others[1], mine[0], others[0], mine[1]):
            session.request(body, now)
        esme.connection.flush()
        answers = await esme.answered(5)
        assert {answer.status for answer in answers} == {s.ESME_ROK}
        await esme.delivered(5)
        assert sorted(sent(stage)) == sorted([LONG, "Sample " * 40])


async def test_parts_marked_by_parameters(stage: EsmeStage) -> None:
    """sar_msg_ref_num and its companions."""

    def marked(number: int, text: bytes) -> bytes:
        tlvs: list[Tlv] = [
            (Tag.SAR_MSG_REF_NUM, b"\x01\x02"),
            (Tag.SAR_TOTAL_SEGMENTS, b"\x02"),
            (Tag.SAR_SEGMENT_SEQNUM, bytes((number,))),
        ]
        return encode_submit_body(SHOP, PHONE, text, source_ton=1, dest_ton=1, tlvs=tlvs)

    async with stage.esme() as esme:
        assert (await submit(esme, marked(1, b"Your gown ")))[0] == s.ESME_ROK
        assert (await submit(esme, marked(2, b"is ready.")))[0] == s.ESME_ROK
        await stage.smsc.wait_for_count(1)
        assert sent(stage) == ["Your gown is ready."]


async def test_a_part_that_comes_twice_is_one(stage: EsmeStage) -> None:
    """On another bind, too: its answer names the same id."""
    first, second, third = parts()
    async with stage.esme() as esme, stage.esme() as other:
        told = await submit(esme, first)
        assert await submit(other, first) == told
        await submit(other, second)
        await submit(esme, third)
        await stage.smsc.wait_for_count(3)
        assert await stage.count("message") == 1
        assert sent(stage) == [LONG]


async def test_a_reference_that_comes_round_again_begins_a_new_text(stage: EsmeStage) -> None:
    """What is left of the older one is given up, and its ESME is told."""
    async with stage.esme() as esme:
        _, old = await submit(esme, parts("Sample " * 60)[0])
        for body in parts():
            assert (await submit(esme, body))[0] == s.ESME_ROK
        messages = await esme.delivered(4)
        told = {receipt_in(m).message_id: receipt_in(m).state for m in messages}
        assert told.pop(old) is ReceiptState.EXPIRED
        assert set(told.values()) == {ReceiptState.DELIVERED}
        assert sent(stage) == [LONG]


async def test_a_text_that_stays_incomplete_expires(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """The ESME hears of the parts that it got acknowledged."""
    async with esme_stage(database, tmp_path, {"reassembly_s": 0.1}) as stage:
        await stage.account()
        async with stage.esme() as esme:
            _, id_ = await submit(esme, parts()[1])
            await asyncio.sleep(0.15)
            assert stage.gateway.smpp is not None
            await stage.gateway.smpp._long_texts.sweep()
            (message,) = await esme.delivered(1)
            assert receipt_in(message).message_id == id_
            assert receipt_in(message).state is ReceiptState.EXPIRED
            await eventually(lambda: stage_is_clean(stage))
            assert stage.smsc.submits == 0


async def test_a_part_that_could_never_be_sent_is_refused_at_once(stage: EsmeStage) -> None:
    """Not when the rest has come."""
    async with stage.esme() as esme:
        assert (await submit(esme, parts(source=OTHER)[0]))[0] == s.ESME_RINVSRCADR
        assert await stage.count("esme_part") == 0


async def test_a_whole_that_is_refused_is_told_for_every_part(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """The last part by its answer, the others by receipts."""
    async with esme_stage(database, tmp_path) as stage:
        await stage.account()
        bodies = parts("Sample text that is far too long. " * 60)
        async with stage.esme() as esme:
            told = [await submit(esme, body) for body in bodies]
            assert [status for status, _ in told[:-1]] == [s.ESME_ROK] * (len(bodies) - 1)
            assert told[-1][0] == s.ESME_RINVMSGLEN
            messages = await esme.delivered(len(bodies) - 1)
            assert {receipt_in(m).state for m in messages} == {ReceiptState.REJECTED}
            assert {receipt_in(m).message_id for m in messages} == {id_ for _, id_ in told[:-1]}
            await eventually(lambda: stage_is_clean(stage))


async def test_a_part_whose_answer_died_with_the_process_is_known_again(stage: EsmeStage) -> None:
    """Once, under the id that it had; the phone gets the text once."""
    bodies = parts()
    async with stage.esme() as esme:
        told = [await submit(esme, body) for body in bodies]
        await eventually(lambda: is_finished(stage))
    await stage.gateway.stop()
    await stage.start()
    async with stage.esme() as esme:
        for body, before in zip(reversed(bodies), reversed(told), strict=True):
            assert await submit(esme, body) == before
        assert not await open_parts(stage)
        again = [await submit(esme, body) for body in bodies]
        assert not set(again) & set(told), "a second repetition is a text of its own"
        await eventually(lambda: has_messages(stage, 2))


async def test_the_same_text_twice_is_two_texts(stage: EsmeStage) -> None:
    """With the same reference, too, once the first is accepted."""
    async with stage.esme() as esme:
        first = [await submit(esme, body) for body in parts()]
        await eventually(lambda: is_finished(stage))
        second = [await submit(esme, body) for body in parts()]
        assert not set(first) & set(second)
        await eventually(lambda: has_messages(stage, 2))
        messages = await esme.delivered(6)
        assert {receipt_in(m).state for m in messages} == {ReceiptState.DELIVERED}


async def test_parts_of_accepted_texts_take_no_room(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """The bound is on those that wait for others; in time they are forgotten."""
    async with esme_stage(database, tmp_path, {"parts_max": 6, "copies_s": 0.1}) as stage:
        await stage.account()
        async with stage.esme() as esme:
            for reference in range(6):
                told = [await submit(esme, body) for body in parts(reference=reference)]
                assert {status for status, _ in told} == {s.ESME_ROK}
                await eventually(lambda: has_no_open_parts(stage))
        await asyncio.sleep(0.15)
        assert stage.gateway.smpp is not None
        await stage.gateway.smpp._long_texts.sweep()
        assert not await stage.count("esme_part")


async def is_finished(stage: EsmeStage) -> bool:
    """Whether all parts there are belong to accepted texts."""
    return await stage.count("esme_part") > 0 and not await open_parts(stage)


async def has_no_open_parts(stage: EsmeStage) -> bool:
    """Whether no part waits for others."""
    return not await open_parts(stage)


async def has_messages(stage: EsmeStage, count: int) -> bool:
    """Whether so many were accepted."""
    return await stage.count("message") == count
