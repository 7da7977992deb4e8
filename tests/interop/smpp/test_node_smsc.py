"""We bind to node-smpp's SMSC."""

from __future__ import annotations

import json

import pytest

from protocols.smpp.status import ESME_RTHROTTLED
from tests.interop.matrix import covers
from tests.interop.smpp import suite as case
from tests.interop.smpp import texts
from tests.interop.smpp.node import Told, parts_of, text_of, udh_parts, whole
from tests.interop.smpp.site import PHONE, Site
from tests.interop.smpp.smsc import Smsc, from_phone, in_spanish, receipt
from tests.interop.smpp.suite import NODE_SMSC
from tests.interop.waiting import eventually

SHOP = "sample"


def sent(site: Site, smsc: Smsc, link: str, text: str, count: int = 1) -> tuple[str, list[Told]]:
    """Send a text by a link: its id, and the PDUs that node-smpp decoded."""
    with smsc.arriving(site.numbers[SHOP, link], count) as pdus:
        id_ = site.send(SHOP, link, text)
    return id_, pdus


@covers(NODE_SMSC, case.BIND_TRX)
def test_binds_as_transceiver(site: Site, smsc: Smsc) -> None:
    """node-smpp sees one bind_transceiver of interface version 3.4 with the account's name."""
    session = smsc.session("node")
    (bind,) = session.seen("bind_transceiver")
    assert (bind["system_id"], bind["password"], bind["interface_version"]) == (
        "node", "secret", 0x34,
    )  # fmt: skip
    eventually(lambda: site.binds("node") == ["up"], "the link is up")


@covers(NODE_SMSC, case.BIND_TX, case.BIND_RX)
def test_binds_as_a_pair(site: Site, smsc: Smsc) -> None:
    """Texts leave by the transmitter, and receipts come by the receiver."""
    sending = smsc.session("node-pair", "transmitter")
    receiving = smsc.session("node-pair", "receiver")
    id_, (pdu,) = sent(site, smsc, "node-pair", texts.unique("By two sessions."))
    assert sending.seen("submit_sm") == [pdu]
    message_id = smsc.node.taken(sending, pdu)
    told = receiving.send("deliver_sm", **receipt(message_id, "DELIVRD", 2))
    assert told["command_status"] == 0
    site.until_status(SHOP, id_, "delivered")


@covers(NODE_SMSC, case.WRONG_PASSWORD)
def test_a_refused_bind_is_shown(site: Site, smsc: Smsc) -> None:
    """node-smpp refuses the bind of a wrong password; operators read its words, and the link
    tries again."""
    smsc.session("node-wrong")

    def look() -> bool:
        (bind,) = json.loads(site.command("link", "show", "node-wrong", "--json"))["binds"]
        return bind["state"] != "up" and "ESME_RBINDFAIL" in (bind["error"] or "")

    eventually(look, "the link says why it is down")
    smsc.node.bound("node-wrong", after=len(smsc.node.events))  # it tries again


@covers(NODE_SMSC, case.TLS)
def test_texts_over_tls(site: Site, smsc: Smsc) -> None:
    """The link verifies node-smpp's certificate, and texts go through."""
    _, (pdu,) = sent(site, smsc, "node-tls", text := texts.unique("Safely."))
    assert text_of(pdu) == text
    smsc.session("node-tls")


@covers(NODE_SMSC, case.MT)
def test_a_short_text(site: Site, smsc: Smsc) -> None:
    """node-smpp decodes the very text, its characters of the extension table included."""
    id_, (pdu,) = sent(site, smsc, "node", text := texts.unique(texts.SHORT))
    assert (text_of(pdu), pdu["data_coding"]) == (text, 0)
    assert pdu["destination_addr"] == PHONE.removeprefix("+")
    assert (pdu["dest_addr_ton"], pdu["dest_addr_npi"], pdu["registered_delivery"]) == (1, 1, 1)
    message_id = smsc.node.taken(smsc.session("node"), pdu)
    found = site.until_status(SHOP, id_, "submitted")
    assert found["parts"][0]["carrier_id"] == message_id


@covers(NODE_SMSC, case.MT_GSM)
def test_a_long_text(site: Site, smsc: Smsc) -> None:
    """node-smpp reads the header of each part, and the parts make the very text."""
    text = texts.unique(texts.LONG)
    _, pdus = sent(site, smsc, "node", text, 3)
    assert whole(pdus) == text
    assert {pdu["data_coding"] for pdu in pdus} == {0}


@covers(NODE_SMSC, case.MT_EMOJI)
def test_a_long_text_with_emoji(site: Site, smsc: Smsc) -> None:
    """Each part is whole by itself in UCS-2, and the parts make the very text."""
    text = texts.unique(texts.EMOJI)
    _, pdus = sent(site, smsc, "node", text, 4)
    assert whole(pdus) == text
    assert {pdu["data_coding"] for pdu in pdus} == {8}
    for pdu in pdus:
        text_of(pdu).encode("utf-8")  # no half of a surrogate pair


@covers(NODE_SMSC, case.MT_SAR)
def test_a_long_text_by_sar(site: Site, smsc: Smsc) -> None:
    """node-smpp reads number and total from sar_* parameters; there is no header."""
    text = texts.unique(texts.LONG)
    _, pdus = sent(site, smsc, "node-sar", text, 3)
    assert whole(pdus) == text
    assert all("udh" not in pdu["short_message"] for pdu in pdus)


@covers(NODE_SMSC, case.MT_PAYLOAD)
def test_a_long_text_in_one_payload(site: Site, smsc: Smsc) -> None:
    """node-smpp gets a long text, and one with emoji, whole in message_payload."""
    for long in (texts.LONG, texts.EMOJI):
        _, (pdu,) = sent(site, smsc, "node-payload", text := texts.unique(long))
        assert text_of(pdu) == text
        assert parts_of(pdu) is None


@pytest.mark.parametrize("coding", [0, 1, 3, 8], ids=["default", "ia5", "latin1", "ucs2"])
@covers(NODE_SMSC, case.MO)
def test_a_text_from_a_phone(site: Site, smsc: Smsc, coding: int) -> None:
    """What node-smpp encodes by itself, in each of its alphabets, reaches the shop unharmed."""
    answer = texts.ANSWER if coding != 3 else texts.ANSWER.replace("\u20ac", "\u00a3")
    text = texts.unique(answer)
    told = smsc.session("node").send(
        "deliver_sm",
        **from_phone(site.numbers[SHOP, "node"]), data_coding=coding, short_message=text
    )
    assert told["command_status"] == 0
    reply = site.until_text(SHOP, text)
    assert (reply["from"], reply["to"]) == (PHONE, site.numbers[SHOP, "node"])


@pytest.mark.parametrize("order", ["in order", "last first"])
@covers(NODE_SMSC, case.MO_UDH)
def test_a_long_text_from_a_phone(site: Site, smsc: Smsc, order: str) -> None:
    """Parts that node-smpp makes with headers become one text, in whatever order they come."""
    session = smsc.session("node")
    for text, size, coding in (
        (texts.unique(texts.LONG), 140, 0),
        (texts.unique(texts.EMOJI), 60, 8),
    ):
        parts = udh_parts(text, size, coding, reference=len(order) + coding)
        for part in parts if order == "in order" else reversed(parts):
            told = session.send("deliver_sm", **from_phone(site.numbers[SHOP, "node"]), **part)
            assert told["command_status"] == 0
        reply = site.until_text(SHOP, text)
        assert reply["segments"] == len(parts)


@covers(NODE_SMSC, case.MO_SAR)
def test_a_long_text_from_a_phone_by_sar(site: Site, smsc: Smsc) -> None:
    """The same with sar_* parameters."""
    text = texts.unique(texts.LONG)
    cut = [text[at : at + 150] for at in range(0, len(text), 150)]
    for number, part in enumerate(cut, 1):
        told = smsc.session("node").send(
            "deliver_sm", **from_phone(site.numbers[SHOP, "node"]),
            data_coding=0, short_message=part, sar_msg_ref_num=4711,
            sar_total_segments=len(cut), sar_segment_seqnum=number,
        )  # fmt: skip
        assert told["command_status"] == 0
    site.until_text(SHOP, text)


@covers(NODE_SMSC, case.MO_PAYLOAD)
def test_a_long_text_from_a_phone_in_one_payload(site: Site, smsc: Smsc) -> None:
    """The same in message_payload."""
    for long, coding in ((texts.LONG, 0), (texts.EMOJI, 8)):
        text = texts.unique(long)
        told = smsc.session("node").send(
            "deliver_sm",
            **from_phone(site.numbers[SHOP, "node"]),
            data_coding=coding,
            message_payload=text,
        )
        assert told["command_status"] == 0
        site.until_text(SHOP, text)


@covers(NODE_SMSC, case.DATA_SM)
def test_a_text_by_data_sm(site: Site, smsc: Smsc) -> None:
    """node-smpp's data_sm is answered by data_sm_resp, and its text reaches the shop."""
    text = texts.unique(texts.ANSWER)
    told = smsc.session("node").send(
        "data_sm", **from_phone(site.numbers[SHOP, "node"]), data_coding=0, message_payload=text
    )
    assert (told["command"], told["command_status"]) == ("data_sm_resp", 0)
    site.until_text(SHOP, text)


@pytest.mark.parametrize(
    ("stat", "state", "error", "status"),
    [
        pytest.param("DELIVRD", 2, 0, "delivered", marks=covers(NODE_SMSC, case.DELIVERED)),
        pytest.param("UNDELIV", 5, 17, "undelivered", marks=covers(NODE_SMSC, case.UNDELIVERED)),
        pytest.param("EXPIRED", 3, 27, "undelivered", marks=covers(NODE_SMSC, case.UNDELIVERED)),
    ],
)
def test_receipts(
    site: Site, smsc: Smsc, stat: str, state: int, error: int, status: str
) -> None:
    """node-smpp's receipt finds its message, and is answered only with ESME_ROK."""
    id_, (pdu,) = sent(site, smsc, "node", texts.unique("What becomes of it?"))
    session = smsc.session("node")
    message_id = smsc.node.taken(session, pdu)
    told = session.send("deliver_sm", **receipt(message_id, stat, state, error))
    assert told["command_status"] == 0
    found = site.until_status(SHOP, id_, status)
    assert not error or f"{error:03}" in found["reason"]


@covers(NODE_SMSC, case.SPANISH)
def test_a_national_language(site: Site, smsc: Smsc) -> None:
    """node-smpp reads our header and decodes by Spanish's table, and we do the same with its own;
    on a link that is not set so the text would take UCS-2."""
    _, (pdu,) = sent(site, smsc, "node-es", texts.SPANISH)
    assert (text_of(pdu), pdu["data_coding"]) == (texts.SPANISH, 0)
    number = site.numbers[SHOP, "node"]
    told = smsc.session("node").send(
        "deliver_sm", **from_phone(number), **in_spanish(text := texts.SPANISH + " \u00d3")
    )
    assert told["command_status"] == 0
    site.until_text(SHOP, text)


@covers(NODE_SMSC, case.MANY)
def test_many_texts(site: Site, smsc: Smsc) -> None:
    """Each arrives once, and each of as many receipts at once finds its message."""
    wanted = texts.many("smsc")
    with smsc.arriving(site.numbers[SHOP, "node"], len(wanted)) as pdus:
        ids = site.send_all(SHOP, "node", wanted)
    session = smsc.session("node")
    receipts = [receipt(smsc.node.taken(session, pdu), "DELIVRD", 2) for pdu in pdus]
    answers = session.send_all("deliver_sm", receipts)
    assert {answer["command_status"] for answer in answers} == {0}
    for id_ in ids:
        site.until_status(SHOP, id_, "delivered")
    assert sorted(smsc.texts(pdus)) == sorted(wanted)


@covers(NODE_SMSC, case.THROTTLED)
def test_throttling(site: Site, smsc: Smsc) -> None:
    """Twice refused for the load, a text is sent a third time after pauses, the same each time."""
    smsc.node.refuse("submit_sm", ESME_RTHROTTLED, ESME_RTHROTTLED)
    text = texts.unique("Slowly, please.")
    id_, pdus = sent(site, smsc, "node", text, 3)
    assert [text_of(pdu) for pdu in pdus] == [text] * 3
    site.until_status(SHOP, id_, "submitted")
    kinds = [each["kind"] for each in site.timeline(SHOP, id_)]
    assert kinds.count("throttled") == 2


@covers(NODE_SMSC, case.ENQUIRE_BY_US, case.ENQUIRE_BY_PEER)
def test_enquire_link(site: Site, smsc: Smsc) -> None:
    """A quiet session is asked by us, and answers when it is asked."""
    session = smsc.session("node")
    session.until("enquire_link", count=2)
    told = session.send("enquire_link")
    assert (told["command"], told["command_status"]) == ("enquire_link_resp", 0)


@covers(NODE_SMSC, case.UNBIND_BY_US, case.UNBIND_BY_PEER)
def test_unbind(site: Site, smsc: Smsc) -> None:
    """Told to rest, a link unbinds; started again it binds, and answers node-smpp's own unbind and
    binds anew."""
    node = smsc.node
    session = smsc.session("node-rest")
    site.command("link", "stop", "node-rest")
    session.until("unbind")
    session.until_closed()
    after = len(node.events)
    site.command("link", "start", "node-rest")
    second = node.bound("node-rest", after=after)
    after = len(node.events)
    told = second.send("unbind")
    assert (told["command"], told["command_status"]) == ("unbind_resp", 0)
    third = node.bound("node-rest", after=after)
    assert len({session.label, second.label, third.label}) == 3
