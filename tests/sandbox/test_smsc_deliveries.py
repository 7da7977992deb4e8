"""What the simulated SMSC sends: texts of people and receipts by hand, and what becomes of them."""

from __future__ import annotations

import asyncio

import pytest

from gateway.sandbox.smsc import SandboxSmsc
from protocols.smpp import BindKind, Unbound, encode_submit_body
from protocols.smpp import status as s
from protocols.sms.receipts import ReceiptState
from tests.sandbox.esme import LONG, SHOP, Esme, bound_esme, phone, receipt_in, text_in


async def test_person_writes(smsc: SandboxSmsc, esme: Esme) -> None:
    """An MO arrives with its addresses, and its answer's status is told."""
    assert await smsc.deliver("+12125550123", SHOP, "On my way 🎉") == [s.ESME_ROK]
    [message] = esme.messages
    assert (message.source, message.dest) == ("+12125550123", SHOP)
    assert text_in([message]) == "On my way 🎉"
    assert smsc.deliveries == 1


async def test_person_writes_at_length(smsc: SandboxSmsc, esme: Esme) -> None:
    """A long MO comes in segments; with the same reference the same PDUs come again."""
    for _ in range(2):
        statuses = await smsc.deliver("+12125550123", SHOP, LONG, reference=9)
        assert statuses == [s.ESME_ROK] * 3
    assert text_in(esme.messages[:3]) == LONG
    payloads = [message.payload for message in esme.messages]
    assert payloads[:3] == payloads[3:]


async def test_refused_for_now(smsc: SandboxSmsc, esme: Esme) -> None:
    """A deliver_sm that is refused for now goes out again; with one try its status is told."""
    esme.answer_status = [s.ESME_RX_T_APPN, s.ESME_RX_T_APPN]
    assert await smsc.deliver("+12125550123", SHOP, "Hello") == [s.ESME_ROK]
    assert len(esme.messages) == 3
    esme.answer_status = [s.ESME_RX_T_APPN]
    assert await smsc.deliver("+12125550123", SHOP, "Hello", tries=1) == [s.ESME_RX_T_APPN]


async def test_refused_for_good(smsc: SandboxSmsc, esme: Esme) -> None:
    """A deliver_sm that is refused for good is given up."""
    esme.answer_status = [s.ESME_RX_P_APPN]
    assert await smsc.deliver("+12125550123", SHOP, "Hello") == [s.ESME_RX_P_APPN]
    assert len(esme.messages) == 1


async def test_lost_before_its_answer(smsc: SandboxSmsc, esme: Esme) -> None:
    """What a lost session did not answer goes out on the next one; with one try it is given up."""
    esme.is_answering = False
    twice = asyncio.create_task(smsc.deliver("+12125550123", SHOP, "Hello"))
    once = asyncio.create_task(smsc.deliver("+12125550123", SHOP, "Bye", tries=1))
    await esme.delivered(2)
    smsc.drop_all()
    assert await once == [None]
    async with await bound_esme(smsc.port) as again:
        assert await twice == [s.ESME_ROK]
        assert text_in(again.messages) == "Hello"


async def test_waiting_for_a_receiver(smsc: SandboxSmsc) -> None:
    """Receipts wait while no session of the account receives."""
    async with await bound_esme(smsc.port, BindKind.TRANSMITTER) as sender:
        answer = await sender.send(phone("0115"))
        async with await bound_esme(smsc.port, BindKind.RECEIVER) as receiver:
            [message] = await receiver.delivered(1)
            assert receipt_in(message).message_id == answer.message_id


async def test_window_of_deliveries(esme: Esme) -> None:
    """No more deliver_sm are under way than the window allows; the rest follow the answers."""
    esme.is_answering = False
    for n in range(60):
        esme.post(phone("0100"), f"text {n}")
    messages = await esme.delivered(50)
    await esme.answered(60)
    assert len(messages) == len(esme.messages) == 50
    for message in messages:
        esme.connection.session.respond(message)
    esme.connection.flush()
    assert len(await esme.delivered(60)) == 60


@pytest.mark.parametrize(
    ("has_text", "has_parameters"), [(True, True), (True, False), (False, True)]
)
@pytest.mark.parametrize("is_hex", [False, True])
async def test_receipt_by_hand(
    smsc: SandboxSmsc, esme: Esme, has_text: bool, has_parameters: bool, is_hex: bool
) -> None:
    """A receipt can be sent by hand in each form: text, parameters, decimal, hexadecimal."""
    answer = await esme.send(phone("0111"))
    status = await smsc.receipt(
        answer.message_id,
        ReceiptState.REJECTED,
        error="042",
        has_text=has_text,
        has_parameters=has_parameters,
        is_hex=is_hex,
    )
    [message] = esme.messages
    receipt = receipt_in(message)
    assert status == s.ESME_ROK
    assert int(receipt.message_id or "", 16 if is_hex else 10) == int(answer.message_id)
    assert receipt.state is ReceiptState.REJECTED
    assert receipt.error is not None and int(receipt.error) == 42
    assert (bool(message.payload), bool(message.tlvs)) == (has_text, has_parameters)


async def test_receipt_for_nothing(smsc: SandboxSmsc) -> None:
    """A receipt by hand needs a text that was taken."""
    with pytest.raises(KeyError):
        await smsc.receipt("12")


async def test_any_pdu_on_one_session(smsc: SandboxSmsc, esme: Esme) -> None:
    """Any deliver_sm can be sent, on a session of one's choice."""
    async with await bound_esme(smsc.port) as other:
        body = encode_submit_body("+12125550123", SHOP, b"Hi", data_coding=3)
        assert await smsc.deliver_body(body, session=smsc.sessions[1]) == s.ESME_ROK
        assert esme.messages == []
        assert other.messages[0].data_coding == 3


async def test_stop(smsc: SandboxSmsc, esme: Esme) -> None:
    """An SMSC that stops ends its sessions and keeps what it got."""
    await esme.send(phone("0100"))
    await smsc.stop()
    await esme.ended()
    assert smsc.texts() == ["Your gown is ready."]
    assert not any(isinstance(event, Unbound) for event in esme.log)
