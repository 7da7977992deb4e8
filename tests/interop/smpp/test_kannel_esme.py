"""Kannel binds to our server as a shop's ESME: it submits, and gets texts and receipts from us."""

from __future__ import annotations

import pytest

from protocols.smpp.status import ESME_RTHROTTLED
from tests.interop.matrix import covers
from tests.interop.smpp import suite as case
from tests.interop.smpp import texts
from tests.interop.smpp.kannel import Kannel
from tests.interop.smpp.node import whole
from tests.interop.smpp.site import PHONE, Site
from tests.interop.smpp.smsc import Smsc, receipt
from tests.interop.smpp.suite import KANNEL_ESME

SHOP = "kannel"
_DELIVERED, _NOT_DELIVERED, _ACCEPTED = 1, 2, 8
"""What Kannel calls the receipts that it tells."""


def number(site: Site) -> str:
    """The shop's number."""
    return site.numbers[SHOP, "node"]


@covers(KANNEL_ESME, case.BIND_TRX)
def test_binds_as_transceiver(site: Site, boxes: Kannel) -> None:
    """Kannel is online, and has read our name and version."""
    boxes.until_status("esme", "online")
    (answer,) = boxes.until_pdus("esme", "bind_transceiver_resp", is_sent=False)
    assert answer.fields["system_id"] == '"gateway"'
    assert "transceiver" in site.command("esme", "show", SHOP)


@covers(KANNEL_ESME, case.BIND_TX, case.BIND_RX)
def test_binds_as_transmitter_and_receiver(site: Site, boxes: Kannel, smsc: Smsc) -> None:
    """What one connection submits, the other hears about."""
    for name in ("esme-tx", "esme-rx"):
        boxes.until_status(name, "online")
    before = len(boxes.pdus("esme-rx", "deliver_sm", is_sent=False))
    with smsc.arriving(number(site)) as pdus:
        boxes.send(
            "esme-tx", number(site), PHONE, "By two.", **boxes.receipts_for("by two")
        )
    smsc.report(pdus[0], "DELIVRD", 2)
    boxes.until_pdus("esme-rx", "deliver_sm", is_sent=False, count=before + 1)
    assert boxes.pdus("esme-tx", "deliver_sm", is_sent=False) == []


@covers(KANNEL_ESME, case.WRONG_PASSWORD)
def test_a_wrong_password(boxes: Kannel) -> None:
    """Kannel reads ESME_RINVPASWD, and gives the connection up."""
    (answer, *_) = boxes.until_pdus("esme-wrong", "bind_transceiver_resp", is_sent=False)
    assert answer.fields["command_status"].endswith("0x0000000e")
    assert not boxes.status("esme-wrong").startswith("online")


@covers(KANNEL_ESME, case.TLS)
def test_texts_over_tls(site: Site, boxes: Kannel, smsc: Smsc) -> None:
    """With use-ssl Kannel binds over TLS, and texts go through."""
    boxes.until_status("esme-tls", "online")
    with smsc.arriving(number(site)) as pdus:
        boxes.send("esme-tls", number(site), PHONE, text := texts.unique("Safely."))
    assert smsc.texts(pdus) == [text]


@covers(KANNEL_ESME, case.MT)
def test_a_short_text(site: Site, boxes: Kannel, smsc: Smsc) -> None:
    """What Kannel encodes, in the GSM alphabet or in UCS-2, arrives as the very text."""
    for sample, coding in ((texts.SHORT, 0), (texts.SHORT + " \u2728", 2)):
        text = texts.unique(sample[-60:])
        with smsc.arriving(number(site)) as pdus:
            boxes.send("esme", number(site), PHONE, text, coding=coding)
        assert smsc.texts(pdus) == [text]
        assert pdus[0]["destination_addr"] == PHONE[1:]


@pytest.mark.parametrize(
    ("long", "coding", "count"),
    [
        pytest.param(texts.LONG, 0, 3, marks=covers(KANNEL_ESME, case.MT_GSM), id="gsm"),
        pytest.param(texts.EMOJI, 2, 4, marks=covers(KANNEL_ESME, case.MT_EMOJI), id="emoji"),
    ],
)
def test_a_long_text(
    site: Site, boxes: Kannel, smsc: Smsc, long: str, coding: int, count: int
) -> None:
    """The parts that Kannel makes become one message."""
    text = texts.unique(long)
    before = len(boxes.pdus("esme", "submit_sm", is_sent=True))
    with smsc.arriving(number(site), count) as pdus:
        boxes.send("esme", number(site), PHONE, text, coding=coding)
    assert whole(pdus) == text
    assert len(boxes.pdus("esme", "submit_sm", is_sent=True)) > before + 1


@covers(KANNEL_ESME, case.MO)
def test_a_text_from_a_phone(site: Site, boxes: Kannel, smsc: Smsc) -> None:
    """Kannel tells the very text, with the numbers."""
    for sample in (texts.ANSWER, "Merci \U0001f60d"):
        smsc.text(number(site), text := texts.unique(sample))
        call = boxes.until_text("esme", text)
        assert (call["from"], call["to"]) == (PHONE.encode(), number(site).encode())


@covers(KANNEL_ESME, case.MO_UDH)
def test_a_long_text_from_a_phone(site: Site, boxes: Kannel, smsc: Smsc) -> None:
    """Kannel puts our parts together again."""
    for long in (texts.LONG, texts.EMOJI):
        smsc.text(number(site), text := texts.unique(long))
        boxes.until_text("esme", text)


@pytest.mark.parametrize(
    ("stat", "state", "kind"),
    [
        pytest.param("DELIVRD", 2, _DELIVERED, marks=covers(KANNEL_ESME, case.DELIVERED)),
        pytest.param("UNDELIV", 5, _NOT_DELIVERED, marks=covers(KANNEL_ESME, case.UNDELIVERED)),
    ],
)
def test_receipts(
    site: Site, boxes: Kannel, smsc: Smsc, stat: str, state: int, kind: int
) -> None:
    """Kannel finds its message by the id that we gave it, and tells what became of it."""
    with smsc.arriving(number(site)) as pdus:
        boxes.send(
            "esme", number(site), PHONE, texts.unique("And?"), **boxes.receipts_for(stat)
        )
    accepted = boxes.until_receipt(stat, _ACCEPTED)
    smsc.report(pdus[0], stat, state)
    told = boxes.until_receipt(stat, kind)
    assert told["id"] == accepted["id"] != b""
    assert f"stat:{stat}".encode() in told["text"]


@covers(KANNEL_ESME, case.MANY)
def test_many_texts(site: Site, boxes: Kannel, smsc: Smsc) -> None:
    """What Kannel submits as fast as it likes goes out once each, and it hears of each."""
    wanted = texts.many("kannel")
    with smsc.arriving(number(site), len(wanted)) as pdus:
        for place, text in enumerate(wanted):
            boxes.send("esme", number(site), PHONE, text, **boxes.receipts_for(f"many{place}"))
    assert sorted(smsc.texts(pdus)) == sorted(wanted)
    session = smsc.session("node")
    ids = [smsc.node.taken(session, pdu) for pdu in pdus]
    session.send_all("deliver_sm", [receipt(id_, "DELIVRD", 2) for id_ in ids])
    for place in range(len(wanted)):
        boxes.until_receipt(f"many{place}", _DELIVERED)


@covers(KANNEL_ESME, case.THROTTLED)
def test_throttling(site: Site, boxes: Kannel, smsc: Smsc) -> None:
    """Refused beyond its rate, Kannel waits and submits again: each text arrives once."""
    boxes.until_status("esme-slow", "online")
    sent = [texts.unique("Quick.") for _ in range(5)]
    with smsc.arriving(number(site), len(sent)) as pdus:
        for text in sent:
            boxes.send("esme-slow", number(site), PHONE, text)
    assert sorted(smsc.texts(pdus)) == sorted(sent)
    answers = boxes.pdus("esme-slow", "submit_sm_resp", is_sent=False)
    refused = f"0x{ESME_RTHROTTLED:08x}"
    assert any(each.fields["command_status"].endswith(refused) for each in answers)


@covers(KANNEL_ESME, case.ENQUIRE_BY_US, case.ENQUIRE_BY_PEER)
def test_enquire_link(boxes: Kannel) -> None:
    """Kannel reads our enquire_link, and our answers to its own."""
    boxes.until_pdus("esme", "enquire_link", is_sent=False)
    boxes.until_pdus("esme", "enquire_link_resp", is_sent=False, count=2)
    assert boxes.status("esme").startswith("online")


@covers(KANNEL_ESME, case.UNBIND_BY_US, case.UNBIND_BY_PEER)
def test_unbind(site: Site, boxes: Kannel) -> None:
    """Kannel reads the answer to its unbind; and our unbind, when its password is changed."""
    boxes.stop("esme-tls")
    boxes.until_pdus("esme-tls", "unbind_resp", is_sent=False)
    boxes.start("esme-tls")
    site.command("esme", "password", "kannel-ends")
    for name in ("esme-tx", "esme-rx"):
        boxes.until_pdus(name, "unbind", is_sent=False)
