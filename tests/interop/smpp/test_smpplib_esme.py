"""smpplib binds to our server as a shop's ESME."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

import pytest
import smpplib.consts
import smpplib.exceptions
from smpplib.gsm import gsm_encode, make_parts

from protocols.smpp.status import ESME_RINVPASWD, ESME_ROK, ESME_RTHROTTLED
from tests.channels.certificates import Authority
from tests.interop.matrix import covers
from tests.interop.smpp import suite as case
from tests.interop.smpp import texts
from tests.interop.smpp.node import whole
from tests.interop.smpp.site import PHONE, Site
from tests.interop.smpp.smpplib_esme import Esme, Pdu, bound
from tests.interop.smpp.smsc import RECEIPT, Smsc
from tests.interop.smpp.suite import SMPPLIB_ESME
from tests.interop.waiting import eventually

SHOP = "smpplib"
GSM = smpplib.consts.SMPP_ENCODING_DEFAULT
UCS2 = smpplib.consts.SMPP_ENCODING_ISO10646


@pytest.fixture
def esme(site: Site, versions: dict[str, str]) -> Iterator[Esme]:
    """A transceiver of the shop's account."""
    versions["smpplib"] = importlib.metadata.version("smpplib")
    with bound(site.ports[0], SHOP, site.passwords[SHOP]) as esme:
        yield esme


def number(site: Site) -> str:
    """The shop's number."""
    return site.numbers[SHOP, "node"]


def to_phone(site: Site) -> dict[str, Any]:
    """Addresses of a text to the phone."""
    return {
        "source_addr_ton": 1, "source_addr_npi": 1, "source_addr": number(site)[1:],
        "dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": PHONE[1:],
    }  # fmt: skip


def submitted(site: Site, esme: Esme, **fields: Any) -> str:
    """Submit a text; returns the message_id that smpplib read."""
    told = esme.ask("submit_sm", **to_phone(site), **fields)
    assert told.status == ESME_ROK
    return str(told.message_id.decode())


def receipt_of(esme: Esme, message_id: str) -> Pdu:
    """The receipt, as smpplib read it."""
    return esme.until(
        lambda each: (
            each.command == "deliver_sm"
            and int(each.esm_class) == RECEIPT
            and each.receipted_message_id.decode().rstrip("\0") == message_id
        ),
        "the receipt",
    )


@covers(SMPPLIB_ESME, case.BIND_TRX)
def test_binds_as_transceiver(site: Site, esme: Esme) -> None:
    """smpplib reads our name in the answer."""
    assert esme.pdus[0].system_id.decode().rstrip("\0") == "gateway"
    assert "transceiver" in site.command("esme", "show", SHOP)


@covers(SMPPLIB_ESME, case.BIND_TX, case.BIND_RX)
def test_binds_as_transmitter_and_receiver(site: Site, smsc: Smsc) -> None:
    """What one submits, the other hears about."""
    account = "smpplib-ends"
    password, port = site.passwords[account], site.ports[0]
    with (
        bound(port, account, password, "transmitter") as sending,
        bound(port, account, password, "receiver") as receiving,
    ):
        with smsc.arriving(number(site)) as pdus:
            message_id = submitted(
                site, sending, short_message=b"By two.", registered_delivery=1
            )
        smsc.report(pdus[0], "DELIVRD", 2)
        assert receipt_of(receiving, message_id).message_state == 2


@covers(SMPPLIB_ESME, case.WRONG_PASSWORD)
def test_a_wrong_password(site: Site) -> None:
    """smpplib raises what it read, ESME_RINVPASWD."""
    esme = Esme(site.ports[0])
    with pytest.raises(smpplib.exceptions.PDUError) as refused:
        esme.bind(SHOP, "mistaken")
    assert refused.value.args[1] == ESME_RINVPASWD
    esme.close()


@covers(SMPPLIB_ESME, case.TLS)
def test_texts_over_tls(site: Site, smsc: Smsc, authority: Authority) -> None:
    """smpplib's ssl_context verifies our certificate, and texts go through."""
    with (
        bound(site.ports[1], SHOP, site.passwords[SHOP], authority=authority.file) as esme,
        smsc.arriving(number(site)) as pdus,
    ):
        submitted(site, esme, short_message=gsm_encode(text := texts.unique("Safely.")))
    assert smsc.texts(pdus) == [text]


@pytest.mark.parametrize("coding", [GSM, UCS2], ids=["gsm", "ucs2"])
@covers(SMPPLIB_ESME, case.MT)
def test_a_short_text(site: Site, esme: Esme, smsc: Smsc, coding: int) -> None:
    """What smpplib encodes arrives as the very text."""
    text = texts.unique(texts.SHORT)
    (part,), found, esm_class = make_parts(text, coding)
    assert found == coding
    with smsc.arriving(number(site)) as pdus:
        submitted(site, esme, short_message=part, data_coding=coding, esm_class=esm_class)
    assert smsc.texts(pdus) == [text]


@pytest.mark.parametrize(
    ("long", "count"),
    [
        pytest.param(texts.LONG, 3, marks=covers(SMPPLIB_ESME, case.MT_GSM), id="gsm"),
        pytest.param(texts.EMOJI, 4, marks=covers(SMPPLIB_ESME, case.MT_EMOJI), id="emoji"),
    ],
)
def test_a_long_text(site: Site, esme: Esme, smsc: Smsc, long: str, count: int) -> None:
    """smpplib cuts texts anywhere, also within an emoji: the whole is the very text again."""
    text = texts.unique(long)
    parts, coding, esm_class = make_parts(text)
    with smsc.arriving(number(site), count) as pdus:
        ids = [
            submitted(
                site, esme, short_message=part, data_coding=coding, esm_class=esm_class,
                registered_delivery=1,
            )
            for part in parts
        ]  # fmt: skip
    assert whole(pdus) == text
    for pdu in pdus:
        smsc.report(pdu, "DELIVRD", 2)
    for message_id in ids:
        assert receipt_of(esme, message_id).message_state == 2


@covers(SMPPLIB_ESME, case.MT_SAR)
def test_a_long_text_by_sar(site: Site, esme: Esme, smsc: Smsc) -> None:
    """The same by smpplib's parts without headers, with sar_* parameters."""
    text = texts.unique(texts.LONG)
    parts, coding, esm_class = make_parts(text, use_udhi=False)
    with smsc.arriving(number(site), 3) as pdus:
        for place, part in enumerate(parts, 1):
            submitted(
                site, esme, short_message=part, data_coding=coding, esm_class=esm_class,
                sar_msg_ref_num=66, sar_total_segments=len(parts), sar_segment_seqnum=place,
            )  # fmt: skip
    assert whole(pdus) == text


@covers(SMPPLIB_ESME, case.MT_PAYLOAD)
def test_a_long_text_in_one_payload(site: Site, esme: Esme, smsc: Smsc) -> None:
    """smpplib's message_payload is cut by us."""
    text = texts.unique(texts.EMOJI)
    with smsc.arriving(number(site), 4) as pdus:
        submitted(site, esme, message_payload=text.encode("utf-16-be"), data_coding=UCS2)
    assert whole(pdus) == text


@covers(SMPPLIB_ESME, case.DATA_SM)
def test_data_sm(site: Site, esme: Esme, smsc: Smsc) -> None:
    """smpplib's data_sm is answered with a message_id."""
    text = texts.unique(texts.SHORT)
    with smsc.arriving(number(site)) as pdus:
        told = esme.ask(
            "data_sm", **to_phone(site), message_payload=gsm_encode(text), data_coding=GSM
        )
    assert (told.status, bool(told.message_id)) == (ESME_ROK, True)
    assert smsc.texts(pdus) == [text]


@covers(SMPPLIB_ESME, case.MO)
def test_a_text_from_a_phone(site: Site, esme: Esme, smsc: Smsc) -> None:
    """smpplib reads the octets that it would have written itself."""
    after = len(esme.pdus)
    smsc.text(number(site), text := texts.unique(texts.ANSWER))
    (pdu,) = esme.until_text(1, after)
    assert (pdu.short_message, pdu.data_coding) == (gsm_encode(text), GSM)
    assert pdu.source_addr.decode().rstrip("\0") == PHONE[1:]


@covers(SMPPLIB_ESME, case.MO_UDH)
def test_a_long_text_from_a_phone(site: Site, esme: Esme, smsc: Smsc) -> None:
    """smpplib gets parts with headers, whose octets put together are the text's."""
    after = len(esme.pdus)
    smsc.text(number(site), text := texts.unique(texts.EMOJI))
    pdus = esme.until_text(4, after)
    heads = [pdu.short_message[:6] for pdu in pdus]
    assert [(head[:3], *head[4:]) for head in heads] == [
        (b"\x05\x00\x03", 4, place) for place in range(1, 5)
    ]
    joined = b"".join(pdu.short_message[6:] for pdu in pdus)
    assert joined == text.encode("utf-16-be")


@pytest.mark.parametrize(
    ("stat", "state"),
    [
        pytest.param("DELIVRD", 2, marks=covers(SMPPLIB_ESME, case.DELIVERED)),
        pytest.param("UNDELIV", 5, marks=covers(SMPPLIB_ESME, case.UNDELIVERED)),
    ],
)
def test_receipts(site: Site, esme: Esme, smsc: Smsc, stat: str, state: int) -> None:
    """smpplib reads the carrier's word in text and parameters."""
    with smsc.arriving(number(site)) as pdus:
        message_id = submitted(
            site, esme, short_message=gsm_encode(texts.unique("And?")), registered_delivery=1
        )
    smsc.report(pdus[0], stat, state)
    told = receipt_of(esme, message_id)
    assert told.message_state == state
    assert f"id:{message_id} ".encode() in told.short_message
    assert f"stat:{stat} ".encode() in told.short_message


@covers(SMPPLIB_ESME, case.MANY)
def test_many_texts(site: Site, esme: Esme, smsc: Smsc) -> None:
    """Submitted without waiting for answers, each goes out once."""
    wanted = texts.many("smpplib")
    with smsc.arriving(number(site), len(wanted)) as pdus:
        for text in wanted:
            esme.client.send_message(**to_phone(site), short_message=gsm_encode(text))
        answers = esme.until_answers("submit_sm_resp", len(wanted))
    assert {int(answer.status) for answer in answers} == {ESME_ROK}
    assert sorted(smsc.texts(pdus)) == sorted(wanted)


@covers(SMPPLIB_ESME, case.THROTTLED)
def test_throttling(site: Site) -> None:
    """Beyond the account's rate smpplib reads ESME_RTHROTTLED."""
    account = "smpplib-slow"
    with bound(site.ports[0], account, site.passwords[account]) as esme:

        def submit() -> int:
            text = texts.unique("Quick.").encode()
            return int(esme.ask("submit_sm", **to_phone(site), short_message=text).status)

        assert {submit() for _ in range(10)} == {ESME_ROK, ESME_RTHROTTLED}
        eventually(lambda: submit() == ESME_ROK, "the account may submit again")


@covers(SMPPLIB_ESME, case.ENQUIRE_BY_US, case.ENQUIRE_BY_PEER)
def test_enquire_link(esme: Esme) -> None:
    """smpplib answers our enquire_link and stays bound; its own is answered."""
    first = esme.until(lambda each: each.command == "enquire_link", "enquire_link")
    seen = esme.pdus.index(first) + 1
    esme.until(lambda each: each.command == "enquire_link", "another one", after=seen)
    assert esme.ask("enquire_link").status == ESME_ROK


@covers(SMPPLIB_ESME, case.UNBIND_BY_US, case.UNBIND_BY_PEER)
def test_unbind(site: Site) -> None:
    """smpplib's unbind is answered, and it reads ours when its password is changed."""
    account = "smpplib-ends"
    with bound(site.ports[0], account, site.passwords[account]) as esme:
        pass
    assert (esme.pdus[-1].command, esme.pdus[-1].status) == ("unbind_resp", ESME_ROK)
    esme = Esme(site.ports[0])
    esme.bind(account, site.passwords[account])
    site.passwords[account] = site.command("esme", "password", account).strip()
    esme.until(lambda each: each.command == "unbind", "unbind")
    esme.close()


@covers(SMPPLIB_ESME, case.QUERY)
def test_query_sm(site: Site, esme: Esme, smsc: Smsc) -> None:
    """smpplib reads where its message is."""
    with smsc.arriving(number(site)) as pdus:
        message_id = submitted(site, esme, short_message=texts.unique("Where is it?").encode())
    smsc.report(pdus[0], "DELIVRD", 2)
    fields = {"source_addr_ton": 1, "source_addr_npi": 1, "source_addr": number(site)[1:]}

    def query() -> Pdu:
        return esme.ask("query_sm", message_id=message_id, **fields)

    found = eventually(lambda: told if (told := query()).message_state == 2 else None, "DELIVERED")
    assert found.message_id.decode().rstrip("\0") == message_id
