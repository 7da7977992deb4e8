"""What shops' ESMEs submit, and what they are told of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from protocols.smpp import (
    CancelSm,
    DestAddress,
    DistributionList,
    Message,
    Operation,
    QuerySm,
    QuerySmResponse,
    ReplaceSm,
    SubmitMulti,
    Tag,
    commands,
    encode_submit_body,
    times,
)
from protocols.smpp import status as s
from protocols.sms.receipts import ReceiptState
from tests.channels.esme.stage import OTHER, PHONE, EsmeStage, eventually
from tests.sandbox.esme import LONG, SHOP, Esme, phone, receipt_in

TEXT = "Your gown is ready."


def submission(**fields: Any) -> Message:
    """A submit_sm that would be accepted."""
    plain: dict[str, Any] = {
        "source": SHOP,
        "source_ton": 1,
        "dest": PHONE,
        "dest_ton": 1,
        "payload": TEXT.encode(),
        "registered_delivery": 1,
    }
    return Message(**(plain | fields))


async def ask(esme: Esme, request: Message | Operation) -> Any:
    """Send a request, and return its answer."""
    count = len(esme.answers) + 1
    esme.connection.session.request(request, asyncio.get_running_loop().time())
    esme.connection.flush()
    return (await esme.answered(count))[-1]


def sent(stage: EsmeStage, to: str = PHONE) -> list[str]:
    """The texts that the carrier got for a phone."""
    return stage.smsc.texts(to.lstrip("+"))


async def test_a_text_is_sent_and_its_receipt_comes_back(stage: EsmeStage) -> None:
    """The submit_sm_resp names an id, the carrier gets the text, the receipt names the id."""
    async with stage.esme() as esme:
        answer = await ask(esme, submission())
        assert answer.status == s.ESME_ROK
        assert len(answer.message_id) == 13
        (message,) = await esme.delivered(1)
        assert sent(stage) == [TEXT]
        receipt = receipt_in(message)
        assert receipt.message_id == answer.message_id
        assert receipt.state is ReceiptState.DELIVERED
        assert (message.source, message.dest) == (PHONE, SHOP)
        assert message.payload.startswith(b"id:" + answer.message_id.encode() + b" sub:001 ")
        assert dict(message.tlvs)[Tag.MESSAGE_STATE] == b"\x02"
        await eventually(lambda: nothing_left(stage))


async def nothing_left(stage: EsmeStage) -> bool:
    """Whether nothing is kept for any ESME."""
    return not await stage.count("esme_text") and not await stage.count("esme_outbox")


WISHES = [
    ("0110", 1, [ReceiptState.UNDELIVERABLE]),
    ("0110", 2, [ReceiptState.UNDELIVERABLE]),
    ("0113", 1, [ReceiptState.UNDELIVERABLE]),
    ("0120", 1, [ReceiptState.UNDELIVERABLE]),
    ("0123", 0x11, [ReceiptState.ENROUTE, ReceiptState.DELIVERED]),
    ("0123", 1, [ReceiptState.DELIVERED]),
]
"""What becomes of a text, the receipts asked for, and those that come."""


async def test_receipts_tell_what_was_asked_for(stage: EsmeStage) -> None:
    """Final ones, failures alone, and notifications on the way."""
    count = 0
    async with stage.esme() as esme:
        for magic, registered, states in WISHES:
            await ask(esme, submission(dest=phone(magic), registered_delivery=registered))
            messages = (await esme.delivered(count + len(states)))[count:]
            count += len(states)
            assert [receipt_in(message).state for message in messages] == states


async def test_an_error_of_the_network_is_passed_on(stage: EsmeStage) -> None:
    """In the text and as a parameter."""
    async with stage.esme() as esme:
        await ask(esme, submission(dest=phone("0120")))
        (message,) = await esme.delivered(1)
        assert b" err:027 " in message.payload
        assert dict(message.tlvs)[Tag.NETWORK_ERROR_CODE] == b"\x03\x00\x1b"


async def test_who_asks_for_no_receipt_gets_none(stage: EsmeStage) -> None:
    """Nor for successes, when failures alone are asked for."""
    async with stage.esme() as esme:
        await ask(esme, submission(registered_delivery=0, payload=b"one"))
        await ask(esme, submission(registered_delivery=2, payload=b"two"))
        await ask(esme, submission(payload=b"three"))
        messages = await esme.delivered(1)
        assert receipt_in(messages[0]).message_id == esme.answers[2].message_id
        await eventually(lambda: nothing_left(stage))
        assert len(esme.messages) == 1


async def test_answers_come_in_the_order_of_submission(stage: EsmeStage) -> None:
    """Whatever each of them says."""
    async with stage.esme() as esme:
        session, now = esme.connection.session, asyncio.get_running_loop().time()
        for number in range(60):
            source = OTHER if number % 3 == 2 else SHOP
            body = encode_submit_body(source, PHONE, b"text %d" % number, source_ton=1, dest_ton=1)
            session.request(body, now, number)
        esme.connection.flush()
        answers = await esme.answered(60)
        assert [answer.context for answer in answers] == list(range(60))
        refused = [a.context for a in answers if a.status == s.ESME_RINVSRCADR]
        assert refused == list(range(2, 60, 3))


FAULTY: list[tuple[dict[str, Any], int]] = [
    ({"source": OTHER}, s.ESME_RINVSRCADR),
    ({"source": "SAMPLE", "source_ton": 5}, s.ESME_RINVSRCADR),
    ({"dest": "12"}, s.ESME_RINVDSTADR),
    ({"dest": ""}, s.ESME_RINVDSTADR),
    ({"dest": "+442079460000"}, s.ESME_RINVDSTADR),
    ({"payload": b""}, s.ESME_RINVMSGLEN),
    ({"payload": b"   "}, s.ESME_RINVMSGLEN),
    ({"data_coding": 4}, s.ESME_RINVDCS),
    ({"data_coding": 0xF5}, s.ESME_RINVDCS),
    ({"esm_class": 0x08}, s.ESME_RINVESMCLASS),
    ({"replace_if_present": 1}, s.ESME_RINVREPFLAG),
    ({"default_id": 3}, s.ESME_RINVDFTMSGID),
    ({"validity": "never"}, s.ESME_RINVEXPIRY),
    ({"validity": "200101000000000+"}, s.ESME_RINVEXPIRY),
    ({"schedule": "soon"}, s.ESME_RINVSCHED),
    ({"schedule": "990101000000000+"}, s.ESME_RINVSCHED),
]
"""What is wrong with a submission, and how it is refused."""


async def test_what_cannot_be_sent_is_refused_in_the_words_of_smpp(stage: EsmeStage) -> None:
    """Each fault has its command_status; nothing is stored."""
    async with stage.esme() as esme:
        for fields, status in FAULTY:
            told = (await ask(esme, submission(**fields))).status
            assert (fields, s.status_name(told)) == (fields, s.status_name(status))
        assert await stage.count("message") == 0
        await eventually(lambda: nothing_left(stage))


CODINGS = [
    (0, b"Sample \x00 gown", "Sample @ gown"),
    (1, b"Sample [1]", "Sample [1]"),
    (3, "Caf\xe9 \xa3".encode("latin-1"), "Caf\xe9 \xa3"),
    (8, "Schl\u00fcssel \U0001f457".encode("utf-16-be"), "Schl\u00fcssel \U0001f457"),
    (0xF1, b"class one", "class one"),
]
"""data_coding, octets, and what they mean."""


async def test_every_coding_of_texts_is_read(stage: EsmeStage) -> None:
    """The phone gets what was meant."""
    async with stage.esme() as esme:
        for coding, payload, _ in CODINGS:
            answer = await ask(esme, submission(data_coding=coding, payload=payload))
            assert answer.status == s.ESME_ROK
        await stage.smsc.wait_for_count(len(CODINGS))
        assert sorted(sent(stage)) == sorted(text for _, _, text in CODINGS)


async def test_data_sm_and_message_payload_are_texts_too(stage: EsmeStage) -> None:
    """A text in the parameter message_payload may be long."""
    payload = [(int(Tag.MESSAGE_PAYLOAD), LONG.encode())]
    async with stage.esme() as esme:
        for command in (commands.DATA_SM, commands.SUBMIT_SM):
            message = submission(command_id=command, payload=b"", tlvs=payload)
            assert (await ask(esme, message)).status == s.ESME_ROK
        await esme.delivered(2)
        assert sent(stage) == [LONG.strip()] * 2 or sent(stage) == [LONG] * 2


async def test_a_source_left_empty_is_the_shops_number(stage: EsmeStage) -> None:
    """As when a request names no sender."""
    async with stage.esme() as esme:
        assert (await ask(esme, submission(source="", source_ton=0))).status == s.ESME_ROK
        (message,) = await esme.delivered(1)
        assert message.dest == SHOP.lstrip("+")


async def test_numbers_are_read_in_every_form(stage: EsmeStage) -> None:
    """International and national; the receipt names them as the ESME wrote them."""
    forms = [(1, SHOP[1:], PHONE[1:]), (2, SHOP[2:], PHONE[2:]), (0, SHOP[2:], PHONE[1:])]
    async with stage.esme() as esme:
        for n, (ton, source, dest) in enumerate(forms, 1):
            message = submission(source=source, source_ton=ton, dest=dest, dest_ton=ton)
            assert (await ask(esme, message)).status == s.ESME_ROK
            told = (await esme.delivered(n))[-1]
            assert (told.source, told.dest) == (dest, source)
        assert sent(stage) == [TEXT] * 3


async def test_a_scheduled_text_waits_and_can_be_canceled(stage: EsmeStage) -> None:
    """Its receipt then says so; a second time it cannot."""
    later = times.absolute(datetime.now(UTC) + timedelta(hours=1))
    async with stage.esme() as esme:
        answer = await ask(esme, submission(schedule=later))
        assert answer.status == s.ESME_ROK
        assert await stage.count("later") == 1
        queried = await ask(esme, QuerySm(message_id=answer.message_id, source=SHOP))
        assert isinstance(queried.pdu, QuerySmResponse)
        assert queried.pdu.message_state == ReceiptState.ENROUTE
        canceled = await ask(esme, CancelSm(message_id=answer.message_id, source=SHOP))
        assert canceled.status == s.ESME_ROK
        (told,) = await esme.delivered(1)
        assert receipt_in(told).state is ReceiptState.DELETED
        again = await ask(esme, CancelSm(message_id=answer.message_id, source=SHOP))
        assert again.status == s.ESME_RCANCELFAIL


async def test_query_tells_the_final_state_and_its_time(stage: EsmeStage) -> None:
    """Once it is known."""
    async with stage.esme() as esme:
        answer = await ask(esme, submission())
        await esme.delivered(1)
        told = (await ask(esme, QuerySm(message_id=answer.message_id))).pdu
        assert isinstance(told, QuerySmResponse)
        assert told.message_state == ReceiptState.DELIVERED
        assert times.parse(told.final_date, datetime.now(UTC)) is not None


async def test_a_text_that_was_accepted_is_never_replaced(stage: EsmeStage) -> None:
    """Cancel it, and submit another."""
    async with stage.esme() as esme:
        answer = await ask(esme, submission())
        replaced = await ask(
            esme, ReplaceSm(message_id=answer.message_id, source=SHOP, payload=b"No.")
        )
        assert replaced.status == s.ESME_RREPLACEFAIL


async def test_an_esme_sees_its_own_shops_messages_alone(stage: EsmeStage) -> None:
    """Neither query nor cancel tell whether another shop's message exists."""
    await stage.account("rival", shop="other")
    later = times.absolute(datetime.now(UTC) + timedelta(hours=1))
    async with stage.esme() as esme, stage.esme("rival") as rival:
        answer = await ask(esme, submission(schedule=later))
        for request in (QuerySm(message_id=answer.message_id), CancelSm(message_id="0" * 13)):
            assert (await ask(rival, request)).status == s.ESME_RINVMSGID
        assert (await ask(rival, CancelSm(message_id=answer.message_id))).status == s.ESME_RINVMSGID
        assert (await ask(rival, submission())).status == s.ESME_RINVSRCADR
        assert await stage.count("later") == 1


async def test_several_recipients_are_several_messages_under_one_id(stage: EsmeStage) -> None:
    """Those refused are named with their reasons; the others' receipts name the id."""
    dests: list[DestAddress | DistributionList] = [
        DestAddress(1, 1, PHONE),
        DestAddress(1, 1, "12"),
        DistributionList("brides"),
        DestAddress(1, 1, phone("0106")),
    ]
    message = SubmitMulti(
        source=SHOP, source_ton=1, dests=dests, payload=TEXT.encode(), registered_delivery=1
    )
    async with stage.esme() as esme:
        answer = await ask(esme, message)
        assert answer.status == s.ESME_ROK
        refused = [(one.address, one.status) for one in answer.pdu.unsuccess]
        assert refused == [("12", s.ESME_RINVDSTADR), ("brides", s.ESME_RINVDLNAME)]
        messages = await esme.delivered(2)
        assert {receipt_in(m).message_id for m in messages} == {answer.message_id}
        assert {m.source for m in messages} == {PHONE, phone("0106")}


async def test_nobody_who_said_no_is_texted(stage: EsmeStage) -> None:
    """The text is accepted, and its receipt says that it was rejected."""
    await stage.store.fetch(
        "INSERT INTO contact (shop, phone, sms_alerts) "
        "SELECT id, $1, 'no sms' FROM shop WHERE code = 'sample'",
        PHONE,
    )
    async with stage.esme() as esme:
        answer = await ask(esme, submission())
        assert answer.status == s.ESME_ROK
        (told,) = await esme.delivered(1)
        assert receipt_in(told).state is ReceiptState.REJECTED
        assert stage.smsc.submits == 0


async def test_categories_follow_the_account_and_the_service_type(stage: EsmeStage) -> None:
    """A marketing account may still send alerts by saying so."""
    await stage.account("blast", category="marketing")
    async with stage.esme("blast") as esme:
        for service_type in ("", "TXN", "MKT", "CMT"):
            payload = service_type.encode() or b"-"
            await ask(esme, submission(service_type=service_type, payload=payload))
    rows = await stage.store.fetch("SELECT body, category FROM message")
    assert {row["body"]: row["category"] for row in rows} == {"-": 2, "TXN": 1, "MKT": 2, "CMT": 2}


async def test_more_than_the_rate_is_throttled(stage: EsmeStage) -> None:
    """And accepted later."""
    await stage.account("slow", rate=2.0)
    async with stage.esme("slow") as esme:
        told = [(await ask(esme, submission())).status for _ in range(4)]
        assert told[:2] == [s.ESME_ROK, s.ESME_ROK]
        assert s.ESME_RTHROTTLED in told[2:]


async def test_an_esme_that_asks_too_much_is_in_nobodys_way(
    stage: EsmeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its questions beyond some are throttled; others are answered."""
    await stage.account("rival", shop="other")
    assert stage.gateway.smpp is not None
    database, goes_on = stage.gateway.smpp._operations._database, asyncio.Event()
    read = database.read

    async def slow(work: Any) -> Any:
        await goes_on.wait()
        return await read(work)

    async with stage.esme() as esme, stage.esme("rival") as rival:
        answer = await ask(rival, submission(source=OTHER))
        monkeypatch.setattr(database, "read", slow)
        now = asyncio.get_running_loop().time()
        for _ in range(90):
            esme.connection.session.request(QuerySm(message_id=answer.message_id), now)
        esme.connection.flush()
        throttled = await esme.answered(70)
        assert {each.status for each in throttled} == {s.ESME_RTHROTTLED}
        asked = asyncio.ensure_future(ask(rival, QuerySm(message_id=answer.message_id)))
        await asyncio.sleep(0)
        goes_on.set()
        assert (await asked).status == s.ESME_ROK
        assert {each.status for each in (await esme.answered(90))[70:]} == {s.ESME_RINVMSGID}


async def test_many_recipients_of_one_are_in_nobodys_way(stage: EsmeStage) -> None:
    """Who submits one text behind thousands of another does not wait for the last of them."""
    await stage.account("rival", shop="other")
    dests: list[DestAddress | DistributionList] = [
        DestAddress(1, 1, f"+1212555{2_000 + n}") for n in range(250)
    ]
    message = SubmitMulti(source=SHOP, source_ton=1, dests=dests, payload=TEXT.encode())
    async with stage.esme() as esme, stage.esme("rival") as rival:
        now = asyncio.get_running_loop().time()
        for _ in range(20):
            esme.connection.session.request(message, now)
        esme.connection.flush()
        await esme.answered(1)
        assert (await ask(rival, submission(source=OTHER))).status == s.ESME_ROK
        assert len(esme.answers) < 20
        assert {answer.status for answer in await esme.answered(20)} == {s.ESME_ROK}
