"""Kannel binds to us as a carrier does: our texts reach it as texts from phones, and what it
submits are texts for shops."""

from __future__ import annotations

import pytest

from tests.interop.matrix import covers
from tests.interop.smpp import suite as case
from tests.interop.smpp import texts
from tests.interop.smpp.kannel import Kannel, text_of
from tests.interop.smpp.site import PHONE, Site
from tests.interop.smpp.suite import KANNEL_CARRIER
from tests.interop.waiting import eventually

SHOP = "sample"
LINK = "kannel-in"
PAIR = "kannel-pair"


@covers(KANNEL_CARRIER, case.BIND_TRX)
def test_binds_as_transceiver(site: Site, boxes: Kannel) -> None:
    """Kannel is online, and the link is up."""
    boxes.until_status("carrier", "online")
    eventually(lambda: site.binds(LINK) == ["up"], "the link is up")


@covers(KANNEL_CARRIER, case.BIND_TX, case.BIND_RX, case.MT_PAYLOAD)
def test_binds_as_transmitter_and_receiver(site: Site, boxes: Kannel) -> None:
    """Both together are one bind: a long text leaves whole by its receiver, another comes by its
    transmitter."""
    for name in ("carrier-tx", "carrier-rx"):
        boxes.until_status(name, "online")
    eventually(lambda: site.binds(PAIR) == ["up"], "the pair is up")
    site.send(SHOP, PAIR, text := texts.unique(texts.EMOJI))
    boxes.until_text("carrier-rx", text)
    (pdu,) = boxes.pdus("carrier-rx", "deliver_sm", is_sent=False)
    assert "message_payload" in pdu.fields
    boxes.send("carrier-tx", PHONE, site.numbers[SHOP, PAIR], answer := texts.unique("Thanks"))
    site.until_text(SHOP, answer)


@covers(KANNEL_CARRIER, case.WRONG_PASSWORD)
def test_a_wrong_password(boxes: Kannel) -> None:
    """Kannel reads ESME_RINVPASWD."""
    (answer, *_) = boxes.until_pdus("carrier-wrong", "bind_transceiver_resp", is_sent=False)
    assert answer.fields["command_status"].endswith("0x0000000e")


@covers(KANNEL_CARRIER, case.TLS)
def test_texts_over_tls(site: Site, boxes: Kannel) -> None:
    """Our text goes out by a session over TLS."""
    boxes.until_status("carrier-tls", "online")
    site.send(SHOP, "kannel-tls", text := texts.unique("Safely."))
    boxes.until_text("carrier-tls", text)


@covers(KANNEL_CARRIER, case.MT)
def test_a_short_text(site: Site, boxes: Kannel) -> None:
    """Kannel tells the very text, with the numbers."""
    boxes.until_status("carrier", "online")
    id_ = site.send(SHOP, LINK, text := texts.unique(texts.SHORT))
    call = boxes.until_text("carrier", text)
    assert (call["from"], call["to"]) == (
        site.numbers[SHOP, LINK].encode(), PHONE.encode(),
    )  # fmt: skip
    site.until_status(SHOP, id_, "submitted")


@pytest.mark.parametrize(
    "long",
    [
        pytest.param(texts.LONG, marks=covers(KANNEL_CARRIER, case.MT_GSM), id="gsm"),
        pytest.param(texts.EMOJI, marks=covers(KANNEL_CARRIER, case.MT_EMOJI), id="emoji"),
    ],
)
def test_a_long_text(site: Site, boxes: Kannel, long: str) -> None:
    """Kannel puts our parts together again."""
    site.send(SHOP, LINK, text := texts.unique(long))
    boxes.until_text("carrier", text)


@covers(KANNEL_CARRIER, case.MO)
def test_a_text_from_a_phone(site: Site, boxes: Kannel) -> None:
    """What Kannel submits reaches the shop."""
    for sample, coding in ((texts.ANSWER, 0), ("Merci \U0001f60d", 2)):
        text = texts.unique(sample)
        boxes.send("carrier", PHONE, site.numbers[SHOP, LINK], text, coding=coding)
        reply = site.until_text(SHOP, text)
        assert reply["from"] == PHONE


@covers(KANNEL_CARRIER, case.MO_UDH)
def test_a_long_text_from_a_phone(site: Site, boxes: Kannel) -> None:
    """Its parts become one text, even where it cuts an emoji in two."""
    for long, coding in ((texts.LONG, 0), (texts.EMOJI, 2)):
        text = texts.unique(long)
        boxes.send("carrier", PHONE, site.numbers[SHOP, LINK], text, coding=coding)
        reply = site.until_text(SHOP, text)
        assert reply["segments"] > 1


@covers(KANNEL_CARRIER, case.MANY)
def test_many_texts(site: Site, boxes: Kannel) -> None:
    """Kannel tells each of many texts once."""
    wanted = texts.many("to kannel")
    site.send_all(SHOP, LINK, wanted)
    found = boxes.calls.until(
        lambda call: call["path"] == b"/text" and text_of(call).startswith("to kannel "),
        "all texts",
        count=len(wanted),
    )
    assert sorted(map(text_of, found)) == sorted(wanted)


@covers(KANNEL_CARRIER, case.ENQUIRE_BY_US, case.ENQUIRE_BY_PEER)
def test_enquire_link(boxes: Kannel) -> None:
    """Kannel reads our enquire_link, and our answers to its own."""
    boxes.until_pdus("carrier", "enquire_link", is_sent=False)
    boxes.until_pdus("carrier", "enquire_link_resp", is_sent=False, count=2)


@covers(KANNEL_CARRIER, case.UNBIND_BY_US, case.UNBIND_BY_PEER)
def test_unbind(site: Site, boxes: Kannel) -> None:
    """Kannel reads the answer to its unbind; and our unbind when the link is told to rest, after
    which it comes back."""
    boxes.stop("carrier-tls")
    boxes.until_pdus("carrier-tls", "unbind_resp", is_sent=False)
    boxes.start("carrier-tls")
    site.command("link", "stop", LINK)
    boxes.until_pdus("carrier", "unbind", is_sent=False)
    site.command("link", "start", LINK)
    boxes.until_status("carrier", "online")
    site.send(SHOP, LINK, text := texts.unique("Welcome back."))
    boxes.until_text("carrier", text)
