"""The submit_sms of a message, as each carrier wants them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from config.links import LinkSettings
from gateway.channels.submission import Submission
from gateway.dispatch.flights import Flight, Outgoing
from gateway.dispatch.wording import common, encoding_of, text_dialect
from gateway.model import Category, Channel
from protocols.smpp import Message, decode
from protocols.smpp.encoding import encode_submit_body, pack_header
from protocols.smpp.tlv import Tag
from protocols.sms.compose import plan
from protocols.sms.reassembly import join, read

LONG = "Your gown is ready for pickup. " * 12
HOUR_MS = 3_600_000


def link(**fields: Any) -> LinkSettings:
    return LinkSettings(name="acme", **fields)


def outgoing(text: str, settings: LinkSettings, **fields: Any) -> Outgoing:
    """A message whose text was put into words for this link alone."""
    dialect = common([text_dialect(settings)])
    way = plan(text, dialect)
    values: dict[str, Any] = {
        "id": 1 << 40 | 77,
        "shop": 1,
        "route": 1,
        "channel": Channel.SMS,
        "category": Category.TRANSACTIONAL,
        "rank": 1,
        "tries": 1,
        "sender": "+12125550100",
        "target": "+12125550123",
        "body": text,
        "encoding": encoding_of(way, dialect.long),
        "segments": way.pieces,
        "expires_ms": int(time.time() * 1000) + HOUR_MS,
        "parent": None,
        "flight": Flight(1, 1),
    }
    return Outgoing(**(values | fields))


def sent(
    text: str = "Your gown is ready.", campaign: str | None = None, **fields: Any
) -> list[Message]:
    """What the carrier reads, in order."""
    about = {name: fields.pop(name) for name in ("sender", "target", "answered") if name in fields}
    settings = link(**fields)
    message = outgoing(text, settings, **about)
    found = []
    for _, body in reversed(Submission(settings, lambda _: campaign).bodies(message)):
        pdu = decode(pack_header(len(body), 4, 0, 1) + body)
        assert isinstance(pdu, Message)
        found.append(pdu)
    return found


def told(messages: list[Message], settings: LinkSettings) -> str:
    """The text that a phone behind this carrier shows."""
    dialect = text_dialect(settings)
    parts = [
        read(
            one.payload,
            one.esm_class,
            dialect.standard_coding(one.data_coding),
            one.tlvs,
            is_packed=dialect.is_packed,
        )
        for one in messages
    ]
    whole = join(parts)
    assert whole.missing == []
    return whole.text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (fields, text)
        for fields in (
            {},
            {"long_texts": "udh16"},
            {"long_texts": "sar"},
            {"long_texts": "payload"},
            {"alphabet": "gsm-packed"},
            {"alphabet": "gsm-packed", "long_texts": "sar"},
            {"alphabet": "latin1"},
            {"latin1_coding": 3},
            {"alphabet_coding": 1, "ucs2_coding": 24},
            {"single_shift": ("tr", "es"), "locking_shift": ("tr", "pt")},
        )
        for text in (
            "Your gown is ready.",
            LONG,
            "Çok güzel şık gelinlik İstanbul ",
            "Déjà vu ô 😀" * 20,
        )
    ],
)  # fmt: skip
def test_every_dialect_brings_the_text_to_the_phone(fields: dict[str, Any], text: str) -> None:
    """However it is encoded, marked and packed."""
    assert told(sent(text, **fields), link(**fields)) == text


@pytest.mark.parametrize("text", ["Ça va à £5 @ noon, Ø", "Your gown is ready. " * 12])
def test_a_text_that_waited_while_its_link_was_set_anew_is_still_read(text: str) -> None:
    """In the alphabet that the link has now, unless another number of segments came of it."""
    old, new = link(), link(alphabet="latin1")
    message = outgoing(text, old)
    bodies = Submission(new).bodies(message)
    assert len(bodies) == message.segments
    pdus = [decode(pack_header(len(body), 4, 0, 1) + body) for _, body in reversed(bodies)]
    found = [pdu for pdu in pdus if isinstance(pdu, Message)]
    assert told(found, new) == text


def test_the_default_is_the_standards() -> None:
    """The same bytes that the general encoder makes."""
    (_, body), = Submission(link()).bodies(outgoing("Your gown is ready.", link()))  # fmt: skip
    assert body == encode_submit_body(
        "12125550100",
        "12125550123",
        b"Your gown is ready.",
        source_ton=1,
        source_npi=1,
        dest_ton=1,
        dest_npi=1,
        registered_delivery=1,
    )


def test_a_text_sent_whole_is_one_submit_sm() -> None:
    """With message_payload, and nothing in short_message."""
    (one,) = sent(LONG, long_texts="payload")
    assert one.payload == b""
    assert [tag for tag, _ in one.tlvs] == [Tag.MESSAGE_PAYLOAD]


def test_addresses_are_written_as_asked_for() -> None:
    """Type of number, plan, plus sign, national form, short codes."""
    (one,) = sent(plus_sign=True, source_ton=5, dest_npi=8)
    assert (one.source, one.source_ton) == ("+12125550100", 5)
    assert (one.dest, one.dest_npi) == ("+12125550123", 8)
    (one,) = sent(national_prefix="1", national_ton=2, national_npi=0)
    assert (one.dest, one.dest_ton, one.dest_npi) == ("2125550123", 2, 0)
    (one,) = sent(sender="12345", short_code_ton=6, short_code_npi=9)
    assert (one.source, one.source_ton, one.source_npi) == ("12345", 6, 9)


def test_validity_service_type_and_parameters_are_sent() -> None:
    """Each only where the settings say so."""
    (plain,) = sent()
    assert (plain.validity, plain.service_type, plain.tlvs) == ("", "", [])
    (one,) = sent(validity="relative", service_type="CMT", tlvs=("0x1400=abc", "0x1401=hex:00FF"))
    assert one.validity in ("000000010000000R", "000000005959000R")
    assert (one.service_type, one.tlvs) == ("CMT", [(0x1400, b"abc"), (0x1401, b"\x00\xff")])
    (one,) = sent(validity="absolute")
    assert one.validity.endswith("00+")


def test_the_campaign_of_the_number_goes_along() -> None:
    """Under the carrier's tag, if it has one and the number has a campaign."""
    (one,) = sent(campaign="CSAMPLE", campaign_tlv="0x1402")
    assert one.tlvs == [(0x1402, b"CSAMPLE")]
    assert sent(campaign_tlv="0x1402")[0].tlvs == []
    assert sent(campaign="CSAMPLE")[0].tlvs == []


def test_receipts_are_asked_for_as_set() -> None:
    """None, the final one, or those in between too."""
    assert sent(registered_delivery=False)[0].registered_delivery == 0
    assert sent()[0].registered_delivery == 1
    assert sent(intermediate_receipts=True)[0].registered_delivery == 0x11


def test_a_resend_has_only_what_was_not_answered_and_the_same_marks() -> None:
    """So that the phone puts it together with what it has."""
    whole = sent(LONG)
    rest = sent(LONG, answered=(0, 2))
    assert [one.payload for one in rest] == [whole[1].payload]


def test_a_link_that_marks_otherwise_keeps_to_what_was_counted() -> None:
    """A text counted for 16-bit marks keeps them when settings change in between."""
    wide = outgoing(LONG, link(long_texts="udh16"))
    bodies = Submission(link()).bodies(wide)
    assert len(bodies) == wide.segments
    assert all(b"\x06\x08\x04" in body for _, body in bodies)
