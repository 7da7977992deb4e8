"""Peers that are not ours, TLS, carriers that bind to us, and ESMEs that we dial."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.gsm

from config.links import LinkSettings
from config.settings import SmsSettings
from gateway.store.embedded import ConnectParameters
from gateway.store.numbers import assign_number
from protocols.smpp import (
    BindKind,
    BindRefused,
    Bound,
    Event,
    Outbind,
    Role,
    Session,
    commands,
    encode_submit_body,
)
from protocols.smpp import status as s
from protocols.smpp.connection import SmppConnection, connect, listen
from protocols.smpp.events import Outbound
from protocols.smpp.states import TAKES
from tests.channels.certificates import Authority
from tests.channels.esme.stage import DEADLINE_S, PHONE, EsmeStage, esme_stage, eventually
from tests.channels.esme.test_submitting import ask, nothing_left, sent, submission
from tests.sandbox.esme import LONG, SHOP, Esme, open_esme, receipt_in


def foreign_conversation(port: int, password: str) -> dict[str, Any]:
    """smpplib binds, submits a short and a long text, and takes their receipts."""
    client = smpplib.client.Client("127.0.0.1", port, timeout=10, allow_unknown_opt_params=True)
    found: dict[str, Any] = {"ids": [], "statuses": [], "receipts": []}

    def answered(pdu: Any) -> None:
        found["statuses"].append(pdu.status)
        found["ids"].append(pdu.message_id.decode())

    def received(pdu: Any) -> int:
        found["receipts"].append(pdu.receipted_message_id)
        return 0

    client.set_message_sent_handler(answered)
    client.set_message_received_handler(received)
    client.connect()
    client.bind_transceiver(system_id="pos", password=password)
    wanted = 0
    for text in ("Your gown is ready.", LONG):
        parts, coding, esm_class = smpplib.gsm.make_parts(text)
        for part in parts:
            client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_INTL,
                source_addr=SHOP.lstrip("+"),
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                destination_addr=PHONE.lstrip("+"),
                short_message=part,
                data_coding=coding,
                esm_class=esm_class,
                registered_delivery=True,
            )
            wanted += 1
    while len(found["receipts"]) < wanted or len(found["ids"]) < wanted:
        client.read_once()
    client.unbind()
    client.disconnect()
    return found


async def test_smpplib_sends_and_hears(stage: EsmeStage) -> None:
    """A program that knows nothing of ours: short, long, receipts, unbind."""
    password = stage.passwords["pos"]
    async with asyncio.timeout(DEADLINE_S):
        found = await asyncio.to_thread(foreign_conversation, stage.port, password)
    assert set(found["statuses"]) == {0}
    told = {receipt.decode().rstrip("\0") for receipt in found["receipts"]}
    assert told == set(found["ids"])
    assert sent(stage) == ["Your gown is ready.", LONG]
    await eventually(lambda: nothing_left(stage))


async def test_tls_binds_too(database: ConnectParameters, tmp_path: Path) -> None:
    """With a certificate, which is read again when asked for; plain bytes are hung up on."""
    authority = Authority(tmp_path, "authority")
    cert, key = authority.sign("localhost")
    settings = {
        "listen": "",
        "tls_listen": "127.0.0.1:0",
        "tls_cert": cert,
        "tls_key": key,
    }
    async with esme_stage(database, tmp_path / "data", settings) as stage:
        password = await stage.account()
        assert stage.gateway.smpp is not None
        stage.gateway.smpp.reload_certificates()
        context = ssl.create_default_context(cafile=str(authority.file))
        early: list[Event] = []
        connection = await connect(
            "127.0.0.1",
            stage.port,
            Session(Role.ESME),
            early.extend,
            ssl=context,
            server_hostname="localhost",
        )
        esme = Esme(connection)
        connection.on_events = esme.on_events
        async with esme:
            assert isinstance(await esme.bind("pos", password), Bound)
            assert (await ask(esme, submission())).status == s.ESME_ROK
        async with await open_esme(stage.port) as plain:
            now = asyncio.get_running_loop().time()
            plain.connection.session.bind(BindKind.TRANSCEIVER, "pos", password, now)
            plain.connection.flush()
            await plain.ended()


@pytest.fixture
async def carrier_stage(database: ConnectParameters, tmp_path: Path) -> Any:
    """A gateway whose link `inward` is opened by the carrier, as account `carrier`."""
    links = (LinkSettings(name="inward", kind="smpp-server", binds=1),)
    async with esme_stage(database, tmp_path, links=links) as made:
        await made.account("carrier", link="inward", binds=4)
        await made.account()
        yield made


async def test_a_carrier_that_binds_gets_what_its_route_sends(carrier_stage: EsmeStage) -> None:
    """Texts of a number that is assigned to its link go out as deliver_sm; what it submits is a
    text from a phone."""
    stage = carrier_stage
    number = "+12125550177"
    await stage.store.run(
        lambda c: assign_number(c, number, "sample", "inward", "smpp-server", SmsSettings())
    )
    async with stage.esme("carrier") as carrier, stage.esme() as esme:
        await eventually(lambda: stage.gateway._directory.number(number) is not None)
        answer = await ask(esme, submission(source=number))
        assert answer.status == s.ESME_ROK
        (message,) = await carrier.delivered(1)
        assert message.command_id == commands.DELIVER_SM
        assert message.payload == submission().payload
        body = encode_submit_body(PHONE, number, b"On my way!", source_ton=1, dest_ton=1)
        carrier.connection.session.request(body, asyncio.get_running_loop().time())
        carrier.connection.flush()
        assert (await carrier.answered(1))[0].status == s.ESME_ROK
        rows = await stage.store.fetch("SELECT number, phone, body FROM reply")
        assert [tuple(row) for row in rows] == [(number, PHONE, "On my way!")]


async def test_a_carrier_binds_no_more_than_its_link_has(carrier_stage: EsmeStage) -> None:
    """And not at all to a link that is not there."""
    stage = carrier_stage
    async with stage.esme("carrier"), await open_esme(stage.port) as second:
        told = await second.bind("carrier", stage.passwords["carrier"])
        assert told == BindRefused(s.ESME_RALYBND)
    await stage.account("lost", link="nowhere")
    async with await open_esme(stage.port) as esme:
        assert await esme.bind("lost", stage.passwords["lost"]) == BindRefused(s.ESME_RBINDFAIL)


async def test_an_esme_without_a_bind_is_dialled(
    stage: EsmeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets an outbind that names us, binds on that connection, and gets what waits."""
    dialled: list[Esme] = []
    asked: list[Outbind] = []

    def answer(esme: Esme, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Outbound):
                asked.append(event.request)
                now = asyncio.get_running_loop().time()
                session = esme.connection.session
                session.bind(BindKind.RECEIVER, "far", stage.passwords["far"], now)
                esme.connection.flush()
        esme.on_events(events)

    def factory() -> SmppConnection:
        session = Session(Role.ESME, takes=TAKES[Role.ESME] | {commands.OUTBIND})
        connection = SmppConnection(session, lambda _: None)
        esme = Esme(connection)
        connection.on_events = lambda events: answer(esme, events)
        dialled.append(esme)
        return connection

    listener = await listen("127.0.0.1", 0, factory)
    try:
        await stage.account("far", outbind=f"127.0.0.1:{listener.port}")
        async with stage.esme("far", BindKind.TRANSMITTER) as esme:
            sent_ = await ask(esme, submission())
        server = stage.gateway.smpp
        assert server is not None
        account = server.accounts.named("far")
        assert account is not None
        await server._outbinder.dial(account)
        await eventually(lambda: any(each.messages for each in dialled))
        (message,) = [message for each in dialled for message in each.messages]
        assert receipt_in(message).message_id == sent_.message_id
        assert asked[0].system_id == "gateway"
    finally:
        listener.close()
        await listener.wait_closed()
        for each in dialled:
            each.connection.close("the test is over")


@pytest.mark.parametrize("host", ["a..example", "nowhere.invalid"])
async def test_an_esme_that_cannot_be_dialled_harms_nobody(stage: EsmeStage, host: str) -> None:
    """Not even one whose host no name server could be asked for."""
    await stage.account("far", outbind=f"{host}:2775")
    server = stage.gateway.smpp
    assert server is not None
    account = server.accounts.named("far")
    assert account is not None
    await server._outbinder.dial(account)
    async with stage.esme() as esme:
        assert (await ask(esme, submission())).status == s.ESME_ROK
