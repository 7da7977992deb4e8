"""A foreign ESME (smpplib) against our SMSC role, over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.exceptions

from protocols.smpp import Answered, Closed, Message, Received, Tag, Unbound
from protocols.smpp import commands as c
from tests.protocols.smpp.peers import listening

RECEIPT = (
    b"id:%b sub:001 dlvrd:001 submit date:2611220900 done date:2611220901 stat:DELIVRD err:000"
)


def foreign(port: int) -> Any:
    client = smpplib.client.Client("127.0.0.1", port, timeout=10, allow_unknown_opt_params=True)
    client.connect()
    return client


def submit(port: int, got: list[Any]) -> None:
    """The whole life of a foreign client, in a thread of its own: it blocks."""
    client = foreign(port)
    client.set_message_sent_handler(lambda pdu: got.append(pdu))
    client.set_message_received_handler(lambda pdu: got.append(pdu) or 0)
    client.bind_transceiver(system_id="lab", password="lab")
    client.send_message(
        source_addr_ton=smpplib.consts.SMPP_TON_INTL,
        source_addr="12125550100",
        dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
        destination_addr="12125550123",
        short_message=b"Your gown is ready",
        registered_delivery=True,
    )
    while len(got) < 2:
        client.read_once()
    client.unbind()
    client.disconnect()


async def test_foreign_esme_sends_a_message_and_takes_its_receipt() -> None:
    """Bind, submit_sm, its response, a receipt by deliver_sm, unbind."""
    got: list[Any] = []
    async with listening() as smsc:
        running = asyncio.create_task(asyncio.to_thread(submit, smsc.port, got))
        received = await smsc.until(lambda event: isinstance(event, Received))
        assert isinstance(received, Received)
        assert received.message.payload == b"Your gown is ready"
        assert (received.message.dest, received.message.registered_delivery) == ("12125550123", 1)
        message_id = b"id-%d" % received.message.sequence
        receipt = Message(
            c.DELIVER_SM,
            source="12125550123",
            dest="12125550100",
            esm_class=4,
            payload=RECEIPT % message_id,
            tlvs=[(Tag.RECEIPTED_MESSAGE_ID, message_id + b"\0"), (Tag.MESSAGE_STATE, b"\x02")],
        )
        connection = smsc.connections[0]
        connection.session.request(receipt, asyncio.get_running_loop().time(), "receipt")
        connection.flush()
        answered = await smsc.until(lambda event: isinstance(event, Answered))
        assert isinstance(answered, Answered)
        assert (answered.context, answered.status) == ("receipt", 0)
        assert await smsc.until(lambda event: isinstance(event, Unbound)) == Unbound()
        assert isinstance(await smsc.until(lambda event: isinstance(event, Closed)), Closed)
        await running
    response, delivery = got
    assert response.message_id == message_id
    assert delivery.short_message == RECEIPT % message_id
    assert delivery.receipted_message_id == message_id
    assert delivery.message_state == 2


def refused(port: int) -> None:
    client = foreign(port)
    try:
        client.bind_transceiver(system_id="lab", password="wrong")
    finally:
        client.disconnect()


async def test_foreign_esme_with_a_wrong_password_is_refused() -> None:
    """The foreign client sees ESME_RINVPASWD."""
    async with listening() as smsc:
        with pytest.raises(smpplib.exceptions.PDUError, match="14"):
            await asyncio.to_thread(refused, smsc.port)
