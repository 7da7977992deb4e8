"""node-smpp binds to our server as a shop's ESME. Its texts go out to node-smpp as SMSC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from protocols.smpp.status import ESME_RINVMSGID, ESME_RINVPASWD, ESME_ROK, ESME_RTHROTTLED
from tests.channels.certificates import Authority
from tests.interop.matrix import covers
from tests.interop.smpp import suite as case
from tests.interop.smpp import texts
from tests.interop.smpp.node import Node, Refused, Session, Told, text_of, udh_parts, whole
from tests.interop.smpp.site import PHONE, Site
from tests.interop.smpp.smsc import RECEIPT, Smsc, in_spanish, receipt
from tests.interop.smpp.suite import NODE_ESME
from tests.interop.waiting import eventually

SHOP = "node-esme"


@pytest.fixture(scope="module")
def esme(site: Site, node: Node) -> Iterator[Session]:
    """A transceiver of the shop's account."""
    session = bind(site, node)
    yield session
    session.send("unbind")


def bind(site: Site, node: Node, account: str = SHOP, kind: str = "transceiver") -> Session:
    """A bound session."""
    return node.bind(site.ports[0], account, site.passwords[account], kind)


def number(site: Site) -> str:
    """The shop's number."""
    return site.numbers[SHOP, "node"]


def to_phone(site: Site, to: str = PHONE) -> dict[str, Any]:
    """Addresses of a text to a phone."""
    return {
        "source_addr_ton": 1, "source_addr_npi": 1, "source_addr": number(site)[1:],
        "dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": to[1:],
    }  # fmt: skip


def submitted(site: Site, esme: Session, **fields: Any) -> str:
    """Submit a text; returns the message_id."""
    told = esme.send("submit_sm", **to_phone(site), **fields)
    assert told["command_status"] == ESME_ROK, told
    return str(told["message_id"])


def receipt_of(esme: Session, message_id: str) -> Told:
    """The receipt that node-smpp decoded."""
    (pdu,) = esme.until("deliver_sm", esm_class=RECEIPT, receipted_message_id=message_id)
    return pdu


@covers(NODE_ESME, case.BIND_TRX)
def test_binds_as_transceiver(site: Site, node: Node) -> None:
    """node-smpp reads our name in the answer, and operators see the bind."""
    session = node.connect(site.ports[0])
    told = session.send(
        "bind_transceiver", system_id=SHOP, password=site.passwords[SHOP], interface_version=0x34
    )
    assert (told["command_status"], told["system_id"]) == (ESME_ROK, "gateway")
    assert told["sc_interface_version"] == 0x34
    assert "transceiver" in site.command("esme", "show", SHOP)
    session.send("unbind")


@covers(NODE_ESME, case.BIND_TX, case.BIND_RX)
def test_binds_as_transmitter_and_receiver(site: Site, node: Node, smsc: Smsc) -> None:
    """What one session submits, the other hears about; the first hears nothing."""
    sending = bind(site, node, "node-esme-ends", "transmitter")
    receiving = bind(site, node, "node-esme-ends", "receiver")
    with smsc.arriving(number(site)) as pdus:
        message_id = submitted(site, sending, short_message="By two.", registered_delivery=1)
    smsc.report(pdus[0], "DELIVRD", 2)
    assert receipt_of(receiving, message_id)["message_state"] == 2
    assert sending.seen("deliver_sm") == []
    refused = receiving.send("submit_sm", **to_phone(site), short_message="No.")
    assert refused["command_status"] != ESME_ROK
    for session in (sending, receiving):
        session.send("unbind")


@covers(NODE_ESME, case.WRONG_PASSWORD)
def test_a_wrong_password(site: Site, node: Node) -> None:
    """node-smpp reads ESME_RINVPASWD, and the connection is closed. A wrong name is answered
    alike."""
    for account in (SHOP, "nobody"):
        session = node.connect(site.ports[0])
        told = session.send("bind_transceiver", system_id=account, password="mistaken")
        assert told["command_status"] == ESME_RINVPASWD
        session.until_closed()


@covers(NODE_ESME, case.TLS)
def test_texts_over_tls(site: Site, node: Node, smsc: Smsc, authority: Authority) -> None:
    """node-smpp verifies our certificate; one that it cannot trust it turns away."""
    session = node.bind(
        site.ports[1], SHOP, site.passwords[SHOP], tls={"ca": authority.file}
    )
    with smsc.arriving(number(site)) as pdus:
        submitted(site, session, short_message=(text := texts.unique("Safely.")))
    assert smsc.texts(pdus) == [text]
    session.send("unbind")
    with pytest.raises(Refused):
        node.connect(site.ports[1], tls={})


@pytest.mark.parametrize("coding", [None, 0, 3, 8], ids=["its own", "default", "latin1", "ucs2"])
@covers(NODE_ESME, case.MT)
def test_a_short_text(site: Site, esme: Session, smsc: Smsc, coding: int | None) -> None:
    """What node-smpp encodes, in each of its alphabets, arrives as the very text."""
    sample = texts.SHORT if coding != 3 else texts.SHORT.replace("\u20ac", "\u00a3")
    text = texts.unique(sample)
    fields = {} if coding is None else {"data_coding": coding}
    with smsc.arriving(number(site)) as pdus:
        message_id = submitted(site, esme, short_message=text, **fields)
    assert smsc.texts(pdus) == [text]
    assert pdus[0]["destination_addr"] == PHONE[1:]
    assert site.message(SHOP, f"msg_{message_id}")["text"] == text


@pytest.mark.parametrize(
    ("long", "size", "coding", "count"),
    [
        pytest.param(texts.LONG, 140, 0, 3, marks=covers(NODE_ESME, case.MT_GSM), id="gsm"),
        pytest.param(texts.EMOJI, 60, 8, 4, marks=covers(NODE_ESME, case.MT_EMOJI), id="emoji"),
    ],
)
def test_a_long_text(
    site: Site, esme: Session, smsc: Smsc, long: str, size: int, coding: int, count: int
) -> None:
    """The parts that node-smpp makes become one message, with a receipt for each part."""
    text = texts.unique(long)
    parts = udh_parts(text, size, coding)
    with smsc.arriving(number(site), count) as pdus:
        ids = [submitted(site, esme, **part, registered_delivery=1) for part in parts]
    assert whole(pdus) == text
    for pdu in pdus:
        smsc.report(pdu, "DELIVRD", 2)
    for message_id in ids:
        assert receipt_of(esme, message_id)["message_state"] == 2


@covers(NODE_ESME, case.MT_SAR)
def test_a_long_text_by_sar(site: Site, esme: Session, smsc: Smsc) -> None:
    """The same with sar_* parameters."""
    text = texts.unique(texts.LONG)
    cut = [text[at : at + 150] for at in range(0, len(text), 150)]
    with smsc.arriving(number(site), 3) as pdus:
        for place, part in enumerate(cut, 1):
            submitted(
                site, esme, data_coding=0, short_message=part, sar_msg_ref_num=77,
                sar_total_segments=len(cut), sar_segment_seqnum=place,
            )  # fmt: skip
    assert whole(pdus) == text


@pytest.mark.parametrize("command", ["submit_sm", "data_sm"])
@covers(NODE_ESME, case.MT_PAYLOAD)
def test_a_long_text_in_one_payload(
    site: Site, esme: Session, smsc: Smsc, command: str
) -> None:
    """node-smpp's message_payload, in a submit_sm or a data_sm, is cut by us."""
    for long, coding, count in ((texts.LONG, 0, 3), (texts.EMOJI, 8, 4)):
        text = texts.unique(long)
        with smsc.arriving(number(site), count) as pdus:
            told = esme.send(
                command, **to_phone(site), data_coding=coding, message_payload=text
            )
        assert told["command_status"] == ESME_ROK
        assert whole(pdus) == text


@covers(NODE_ESME, case.DATA_SM)
def test_data_sm(site: Site, esme: Session, smsc: Smsc) -> None:
    """node-smpp reads the message_id in our data_sm_resp, and gets a receipt for it."""
    text = texts.unique(texts.SHORT)
    with smsc.arriving(number(site)) as pdus:
        told = esme.send(
            "data_sm", **to_phone(site), data_coding=0, message_payload=text, registered_delivery=1
        )
    assert (told["command"], told["command_status"]) == ("data_sm_resp", ESME_ROK)
    assert smsc.texts(pdus) == [text]
    smsc.report(pdus[0], "DELIVRD", 2)
    receipt_of(esme, told["message_id"])


@covers(NODE_ESME, case.MO)
def test_a_text_from_a_phone(site: Site, esme: Session, smsc: Smsc) -> None:
    """node-smpp decodes what the phone sent, in the GSM alphabet or in UCS-2."""
    for sample in (texts.ANSWER, "Merci \U0001f60d"):
        smsc.text(number(site), text := texts.unique(sample))
        (pdu,) = esme.until("deliver_sm", short_message={"message": text})
        assert (pdu["source_addr"], pdu["destination_addr"]) == (
            PHONE[1:], number(site)[1:],
        )  # fmt: skip


@covers(NODE_ESME, case.MO_UDH)
def test_a_long_text_from_a_phone(site: Site, esme: Session, smsc: Smsc) -> None:
    """node-smpp reads our headers, and the parts make the very text."""
    for long, count in ((texts.LONG, 3), (texts.EMOJI, 4)):
        seen = len(esme.seen("deliver_sm"))
        smsc.text(number(site), text := texts.unique(long))
        assert whole(esme.until("deliver_sm", seen + count)[seen:]) == text


@covers(NODE_ESME, case.MO_UDH)
def test_a_long_text_for_two_binds(site: Site, node: Node, esme: Session, smsc: Smsc) -> None:
    """All parts of a text come by the same bind: another one may be another program."""
    other = bind(site, node)
    for _ in range(4):
        after = len(node.events)
        smsc.text(number(site), text := texts.unique(texts.LONG))
        found = node.events.until(
            lambda each: each.get("event") == "pdu" and each["pdu"]["command"] == "deliver_sm",
            "all parts",
            after=after,
            count=3,
        )
        assert len({each["session"] for each in found}) == 1
        assert whole(each["pdu"] for each in found) == text
    other.send("unbind")


@pytest.mark.parametrize(
    ("stat", "state", "error"),
    [
        pytest.param("DELIVRD", 2, 0, marks=covers(NODE_ESME, case.DELIVERED)),
        pytest.param("UNDELIV", 5, 17, marks=covers(NODE_ESME, case.UNDELIVERED)),
    ],
)
def test_receipts(
    site: Site, esme: Session, smsc: Smsc, stat: str, state: int, error: int
) -> None:
    """The carrier's word reaches the ESME, in text and parameters."""
    with smsc.arriving(number(site)) as pdus:
        message_id = submitted(
            site, esme, short_message=texts.unique("And?"), registered_delivery=1
        )
    smsc.report(pdus[0], stat, state, error)
    told = receipt_of(esme, message_id)
    assert told["message_state"] == state
    text = text_of(told)
    assert text.startswith(f"id:{message_id} sub:001 dlvrd:{int(state == 2):03}")
    assert f"stat:{stat} err:{error:03}" in text
    assert (told["source_addr"], told["destination_addr"]) == (PHONE[1:], number(site)[1:])


@covers(NODE_ESME, case.THROTTLED)
def test_throttling(site: Site, node: Node) -> None:
    """Beyond the account's rate node-smpp reads ESME_RTHROTTLED, and a little later is let in."""
    session = bind(site, node, "node-esme-slow")

    def submit() -> int:
        told = session.send("submit_sm", **to_phone(site), short_message=texts.unique("Quick."))
        return int(told["command_status"])

    statuses = {submit() for _ in range(10)}
    assert statuses == {ESME_ROK, ESME_RTHROTTLED}
    eventually(lambda: submit() == ESME_ROK, "the account may submit again")
    session.send("unbind")


@covers(NODE_ESME, case.ENQUIRE_BY_US, case.ENQUIRE_BY_PEER)
def test_enquire_link(esme: Session) -> None:
    """A quiet ESME is asked, and is answered when it asks."""
    esme.until("enquire_link", count=2)
    told = esme.send("enquire_link")
    assert (told["command"], told["command_status"]) == ("enquire_link_resp", ESME_ROK)


@covers(NODE_ESME, case.UNBIND_BY_US, case.UNBIND_BY_PEER)
def test_unbind(site: Site, node: Node) -> None:
    """An ESME's unbind is answered; one whose password changes is unbound."""
    session = bind(site, node, "node-esme-ends")
    told = session.send("unbind")
    assert (told["command"], told["command_status"]) == ("unbind_resp", ESME_ROK)
    session.until_closed()
    session = bind(site, node, "node-esme-ends")
    site.passwords["node-esme-ends"] = site.command("esme", "password", "node-esme-ends").strip()
    session.until("unbind")
    session.until_closed()
    bind(site, node, "node-esme-ends").send("unbind")


@covers(NODE_ESME, case.MULTI)
def test_submit_multi(site: Site, esme: Session, smsc: Smsc) -> None:
    """Two phones get the text; node-smpp reads which address was none."""
    text = texts.unique("To many.")
    dests = ["12125550101", "12125550102", "12"]
    with smsc.arriving(number(site), 2) as pdus:
        told = esme.send(
            "submit_multi", source_addr=number(site)[1:], source_addr_ton=1, source_addr_npi=1,
            dest_address=[
                {"dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": dest}
                for dest in dests
            ],
            data_coding=0, short_message=text,
        )  # fmt: skip
    assert (told["command_status"], bool(told["message_id"])) == (ESME_ROK, True)
    assert [each["destination_addr"] for each in told["unsuccess_sme"]] == ["12"]
    assert sorted(pdu["destination_addr"] for pdu in pdus) == dests[:2]
    assert smsc.texts(pdus) == [text] * 2


@covers(NODE_ESME, case.QUERY)
def test_query_sm(site: Site, esme: Session, smsc: Smsc) -> None:
    """node-smpp reads ENROUTE, then DELIVERED with its time; an unknown id is none."""
    with smsc.arriving(number(site)) as pdus:
        message_id = submitted(site, esme, short_message=texts.unique("Where is it?"))
    source = {"source_addr_ton": 1, "source_addr_npi": 1, "source_addr": number(site)[1:]}

    def query(id_: str) -> Told:
        return esme.send("query_sm", message_id=id_, **source)

    told = query(message_id)
    assert (told["command_status"], told["message_id"], told["message_state"]) == (0, message_id, 1)
    smsc.report(pdus[0], "DELIVRD", 2)
    told = eventually(
        lambda: found if (found := query(message_id))["message_state"] == 2 else None, "DELIVERED"
    )
    assert told["final_date"]
    assert query("0000000000000")["command_status"] == ESME_RINVMSGID


@covers(NODE_ESME, case.SPANISH)
def test_a_national_language(site: Site, esme: Session, smsc: Smsc) -> None:
    """What node-smpp encodes by Spanish's table arrives as the very text, in UCS-2 on a link that
    is not set for Spanish."""
    with smsc.arriving(number(site), 2) as pdus:
        submitted(site, esme, **in_spanish(texts.SPANISH))
    assert whole(pdus) == texts.SPANISH


@covers(NODE_ESME, case.MANY)
def test_many_texts(site: Site, esme: Session, smsc: Smsc) -> None:
    """Submitted without waiting for answers, each goes out once, and each has its receipt."""
    wanted = texts.many("esme")
    requests = [
        to_phone(site) | {"short_message": text, "data_coding": 0, "registered_delivery": 1}
        for text in wanted
    ]
    with smsc.arriving(number(site), len(wanted)) as pdus:
        answers = esme.send_all("submit_sm", requests)
    assert {answer["command_status"] for answer in answers} == {ESME_ROK}
    assert sorted(smsc.texts(pdus)) == sorted(wanted)
    session = smsc.session("node")
    smsc_ids = [smsc.node.taken(session, pdu) for pdu in pdus]
    session.send_all("deliver_sm", [receipt(id_, "DELIVRD", 2) for id_ in smsc_ids])
    for answer in answers:
        receipt_of(esme, answer["message_id"])


@covers(NODE_ESME, case.OUTBIND)
def test_outbind(site: Site, node: Node) -> None:
    """We dial an ESME that listens; node-smpp answers our outbind with a bind on the same
    connection."""
    account, after = "node-esme-slow", len(node.events)
    site.command("esme", "set", account, "--outbind", f"127.0.0.1:{node.listen({})}")
    session = node.dialled(after)
    (told,) = session.until("outbind")
    assert told["system_id"] == "gateway"
    answer = session.send("bind_receiver", system_id=account, password=site.passwords[account])
    assert answer["command_status"] == ESME_ROK
    assert "receiver" in site.command("esme", "show", account)
    site.command("esme", "set", account, "--outbind", "")
    session.send("unbind")


@covers(NODE_ESME, case.CANCEL)
def test_cancel_sm(site: Site, esme: Session) -> None:
    """A text that is to be sent later is called back once, and the ESME gets its receipt."""
    message_id = submitted(
        site, esme, short_message=texts.unique("Not today."), registered_delivery=1,
        schedule_delivery_time="000001000000000R",
    )  # fmt: skip

    def cancel() -> int:
        told = esme.send("cancel_sm", message_id=message_id, **to_phone(site))
        return int(told["command_status"])

    assert cancel() == ESME_ROK
    assert site.message(SHOP, f"msg_{message_id}")["status"] == "canceled"
    assert receipt_of(esme, message_id)["message_state"] == 4
    assert cancel() != ESME_ROK
