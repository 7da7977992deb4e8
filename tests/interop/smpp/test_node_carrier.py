"""node-smpp binds to us as a carrier does: its session serves a link of kind smpp-server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from protocols.smpp.status import (
    ESME_RALYBND,
    ESME_RINVPASWD,
    ESME_RMSGQFUL,
    ESME_ROK,
    ESME_RTHROTTLED,
)
from tests.channels.certificates import Authority
from tests.interop.matrix import covers
from tests.interop.smpp import suite as case
from tests.interop.smpp import texts
from tests.interop.smpp.node import Node, Session, Told, parts_of, text_of, udh_parts, whole
from tests.interop.smpp.site import PHONE, Site
from tests.interop.smpp.smsc import from_phone, in_spanish, receipt
from tests.interop.smpp.suite import NODE_CARRIER
from tests.interop.waiting import eventually

SHOP = "sample"
LINK = "carrier"


def bind(
    site: Site,
    node: Node,
    link: str = LINK,
    kind: str = "transceiver",
    authority: Authority | None = None,
) -> Session:
    """A session that the link has taken."""
    tls = None if authority is None else {"ca": authority.file}
    port = site.ports[0 if tls is None else 1]
    return node.bind(port, link, site.passwords[link], kind, tls, is_carrier=True)


@pytest.fixture
def carrier(site: Site, node: Node) -> Iterator[Session]:
    """A transceiver of the carrier."""
    session = bind(site, node)
    yield session
    session.send("unbind")
    session.until_closed()


def sent(site: Site, carrier: Session, text: str, count: int = 1, link: str = LINK) -> list[Told]:
    """Send a text by the link: the PDUs that node-smpp decoded."""
    before = len(carrier.seen("deliver_sm"))
    site.send(SHOP, link, text)
    return carrier.until("deliver_sm", count=before + count)[before:]


def last_id(site: Site) -> str:
    """Of the message sent last."""
    return str(site.messages(SHOP, limit=1)[0]["id"])


@covers(NODE_CARRIER, case.BIND_TRX)
def test_binds_as_transceiver(site: Site, node: Node, carrier: Session) -> None:
    """The link is up; a second bind, one more than agreed, is refused."""
    eventually(lambda: site.binds(LINK) == ["up"], "the link is up")
    second = node.connect(site.ports[0])
    told = second.send("bind_transceiver", system_id=LINK, password=site.passwords[LINK])
    assert told["command_status"] == ESME_RALYBND


@covers(NODE_CARRIER, case.BIND_TX, case.BIND_RX)
def test_binds_as_transmitter_and_receiver(site: Site, node: Node) -> None:
    """Our texts go out by its receiver, its receipts come in by its transmitter."""
    receiving = bind(site, node, kind="receiver")
    sending = bind(site, node, kind="transmitter")
    (pdu,) = sent(site, receiving, text := texts.unique("By two."))
    assert text_of(pdu) == text
    id_ = last_id(site)
    fields = receipt(node.taken(receiving, pdu), "DELIVRD", 2)
    told = sending.send("submit_sm", **from_phone(site.numbers[SHOP, LINK]), **fields)
    assert told["command_status"] == ESME_ROK
    site.until_status(SHOP, id_, "delivered")
    for session in (sending, receiving):
        session.send("unbind")
        session.until_closed()


@covers(NODE_CARRIER, case.WRONG_PASSWORD)
def test_a_wrong_password(site: Site, node: Node) -> None:
    """node-smpp reads ESME_RINVPASWD."""
    session = node.connect(site.ports[0])
    told = session.send("bind_transceiver", system_id=LINK, password="mistaken")
    assert told["command_status"] == ESME_RINVPASWD


@covers(NODE_CARRIER, case.TLS)
def test_texts_over_tls(site: Site, node: Node, authority: Authority) -> None:
    """The link's texts go out by a session over TLS."""
    carrier = bind(site, node, authority=authority)
    (pdu,) = sent(site, carrier, text := texts.unique("Safely."))
    assert text_of(pdu) == text
    carrier.send("unbind")
    carrier.until_closed()


@covers(NODE_CARRIER, case.MT)
def test_a_short_text(site: Site, carrier: Session) -> None:
    """node-smpp decodes the very text, and its id is kept for the receipt."""
    (pdu,) = sent(site, carrier, text := texts.unique(texts.SHORT))
    assert (text_of(pdu), pdu["destination_addr"]) == (text, PHONE[1:])
    message_id = carrier.node.taken(carrier, pdu)
    found = site.until_status(SHOP, last_id(site), "submitted")
    assert found["parts"][0]["carrier_id"] == message_id


@pytest.mark.parametrize(
    ("long", "count", "link"),
    [
        pytest.param(texts.LONG, 3, LINK, marks=covers(NODE_CARRIER, case.MT_GSM)),
        pytest.param(texts.EMOJI, 4, LINK, marks=covers(NODE_CARRIER, case.MT_EMOJI)),
        pytest.param(texts.LONG, 3, "carrier-sar", marks=covers(NODE_CARRIER, case.MT_SAR)),
    ],
)
def test_a_long_text(site: Site, node: Node, long: str, count: int, link: str) -> None:
    """node-smpp reads headers or parameters, and the parts make the very text."""
    carrier = bind(site, node, link)
    text = texts.unique(long)
    pdus = sent(site, carrier, text, count, link)
    assert whole(pdus) == text
    assert all(("sar_msg_ref_num" in pdu) == (link != LINK) for pdu in pdus)
    carrier.send("unbind")
    carrier.until_closed()


@covers(NODE_CARRIER, case.MT_PAYLOAD)
def test_a_long_text_in_one_payload(site: Site, node: Node) -> None:
    """node-smpp gets it whole."""
    carrier = bind(site, node, "carrier-payload")
    (pdu,) = sent(site, carrier, text := texts.unique(texts.EMOJI), 1, "carrier-payload")
    assert text_of(pdu) == text
    assert parts_of(pdu) is None
    carrier.send("unbind")


@covers(NODE_CARRIER, case.MO, case.DATA_SM)
@pytest.mark.parametrize("command", ["submit_sm", "data_sm"])
def test_a_text_from_a_phone(site: Site, carrier: Session, command: str) -> None:
    """The text reaches the shop; node-smpp reads that it was taken, and a message_id."""
    text = texts.unique(texts.ANSWER)
    name = "short_message" if command == "submit_sm" else "message_payload"
    fields = {name: text, "data_coding": 0}
    told = carrier.send(command, **from_phone(site.numbers[SHOP, LINK]), **fields)
    assert (told["command"], told["command_status"]) == (f"{command}_resp", ESME_ROK)
    assert told["message_id"]
    site.until_reply(SHOP, lambda each: each["text"] == text and each["from"] == PHONE)


@covers(NODE_CARRIER, case.MO_UDH)
def test_a_long_text_from_a_phone(site: Site, carrier: Session) -> None:
    """Parts with headers become one text."""
    text = texts.unique(texts.EMOJI)
    for part in udh_parts(text, 60, 8, reference=0x31):
        carrier.send("submit_sm", **from_phone(site.numbers[SHOP, LINK]), **part)
    site.until_text(SHOP, text)


@covers(NODE_CARRIER, case.MO_SAR, case.MO_PAYLOAD)
def test_a_long_text_from_a_phone_in_other_forms(site: Site, carrier: Session) -> None:
    """So do parts with sar_* parameters, and a text whole in message_payload is one."""
    addresses = from_phone(site.numbers[SHOP, LINK])
    text = texts.unique(texts.LONG)
    cut = [text[at : at + 150] for at in range(0, len(text), 150)]
    for place, part in enumerate(cut, 1):
        carrier.send(
            "submit_sm", **addresses, data_coding=0, short_message=part, sar_msg_ref_num=99,
            sar_total_segments=len(cut), sar_segment_seqnum=place,
        )  # fmt: skip
    site.until_text(SHOP, text)
    other = texts.unique(texts.LONG)
    carrier.send("submit_sm", **addresses, data_coding=0, message_payload=other)
    site.until_text(SHOP, other)


@pytest.mark.parametrize(
    ("stat", "state", "status"),
    [
        pytest.param("DELIVRD", 2, "delivered", marks=covers(NODE_CARRIER, case.DELIVERED)),
        pytest.param("UNDELIV", 5, "undelivered", marks=covers(NODE_CARRIER, case.UNDELIVERED)),
    ],
)
def test_receipts(site: Site, carrier: Session, stat: str, state: int, status: str) -> None:
    """A receipt that comes as submit_sm finds its message."""
    (pdu,) = sent(site, carrier, texts.unique("And?"))
    id_ = last_id(site)
    fields = receipt(carrier.node.taken(carrier, pdu), stat, state)
    told = carrier.send("submit_sm", **from_phone(site.numbers[SHOP, LINK]), **fields)
    assert told["command_status"] == ESME_ROK
    site.until_status(SHOP, id_, status)


@covers(NODE_CARRIER, case.SPANISH)
def test_a_national_language(site: Site, node: Node) -> None:
    """node-smpp decodes by Spanish's table, and so do we."""
    carrier = bind(site, node, "carrier-sar")
    (pdu,) = sent(site, carrier, texts.SPANISH, link="carrier-sar")
    assert (text_of(pdu), pdu["data_coding"]) == (texts.SPANISH, 0)
    number = site.numbers[SHOP, "carrier-sar"]
    text = texts.unique(texts.SPANISH)
    carrier.send("submit_sm", **from_phone(number), **in_spanish(text))
    site.until_text(SHOP, text)
    carrier.send("unbind")


@covers(NODE_CARRIER, case.MANY)
def test_many_texts(site: Site, carrier: Session) -> None:
    """Each arrives once; as many that it brings at once reach the shop once each."""
    wanted = texts.many("carrier")
    before = len(carrier.seen("deliver_sm"))
    site.send_all(SHOP, LINK, wanted)
    pdus = carrier.until("deliver_sm", before + len(wanted))[before:]
    assert sorted(text_of(pdu) for pdu in pdus) == sorted(wanted)
    addresses = from_phone(site.numbers[SHOP, LINK])
    answers = texts.many("answer", 100)
    carrier.send_all(
        "submit_sm", [addresses | {"short_message": text, "data_coding": 0} for text in answers]
    )
    for text in answers:
        site.until_text(SHOP, text)


@covers(NODE_CARRIER, case.OUTBIND)
def test_outbind(site: Site, node: Node) -> None:
    """We dial a carrier that listens; its bind on that connection serves the link."""
    link, after = "carrier-payload", len(node.events)
    site.command("esme", "set", link, "--outbind", f"127.0.0.1:{node.listen({})}")
    session = node.dialled(after)
    fields = {"system_id": link, "password": site.passwords[link]}
    assert session.send("bind_transceiver", **fields)["command_status"] == ESME_ROK
    (pdu,) = sent(site, session, text := texts.unique("By outbind."), link=link)
    assert text_of(pdu) == text
    site.command("esme", "set", link, "--outbind", "")
    session.send("unbind")


@pytest.mark.parametrize("status", [ESME_RTHROTTLED, ESME_RMSGQFUL], ids=["throttled", "full"])
@covers(NODE_CARRIER, case.THROTTLED)
def test_throttling(site: Site, carrier: Session, status: int) -> None:
    """Refused for the load, a text comes again after a pause."""
    carrier.node.refuse("deliver_sm", status)
    pdus = sent(site, carrier, text := texts.unique("Slowly."), 2)
    assert [text_of(pdu) for pdu in pdus] == [text] * 2
    site.until_status(SHOP, last_id(site), "submitted")


@covers(NODE_CARRIER, case.ENQUIRE_BY_US, case.ENQUIRE_BY_PEER)
def test_enquire_link(carrier: Session) -> None:
    """A quiet carrier is asked, and is answered when it asks."""
    carrier.until("enquire_link")
    assert carrier.send("enquire_link")["command"] == "enquire_link_resp"


@covers(NODE_CARRIER, case.UNBIND_BY_US, case.UNBIND_BY_PEER)
def test_unbind(site: Site, node: Node) -> None:
    """Told to rest, the link unbinds and lets nobody in; then it does again, and answers an
    unbind."""
    session = bind(site, node)
    site.command("link", "stop", LINK)
    session.until("unbind")
    session.until_closed()
    refused = node.connect(site.ports[0])
    told = refused.send("bind_transceiver", system_id=LINK, password=site.passwords[LINK])
    assert told["command_status"] != ESME_ROK
    site.command("link", "start", LINK)

    def again() -> Session | None:
        session = node.connect(site.ports[0], is_carrier=True)
        fields = {"system_id": LINK, "password": site.passwords[LINK]}
        is_bound = session.send("bind_transceiver", **fields)["command_status"] == ESME_ROK
        return session if is_bound else None

    session = eventually(again, "the link takes binds")
    assert session.send("unbind")["command"] == "unbind_resp"
    session.until_closed()
    shown = json.loads(site.command("link", "show", LINK, "--json"))
    assert not shown["is_stopped"]
