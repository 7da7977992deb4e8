"""The mail that brings a customer's text to the shop."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.mail.compose import MAX_NAME, Forward, clean, compose, message_id, thread_id

SAMPLE = Forward(
    id="rpl_0A1B2C3D4E5F6",
    text="Is my gown ready?",
    sender="texts@gateway.example",
    recipient="owner@shop.example",
    shop="sample",
    shop_name="Sample Bridal",
    shop_number="(212) 555-0199",
    phone="+12125550123",
    phone_shown="(212) 555-0123",
    received=datetime(2026, 11, 24, 15, 5, 9, tzinfo=ZoneInfo("America/New_York")),
    contact_name="Sample Customer",
    contact_kind="customer",
    contact_id="C1041",
)
HEADERS = [
    *("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References"),
    *("Auto-Submitted", "X-Auto-Response-Suppress"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
]
HOSTILE = [
    "Eve\r\nBcc: all@shop.example",
    "Eve\n\nA text of her own",
    "Eve\x00\x1b[2J",
    "\u202eelpmaS",
    "=?utf-8?q?Bcc=3A_x?=",
    'Eve" <boss@bank.example>, "',
    "Eve\\",
    "Zoë Ünïcode 新娘 👰🏽‍♀️",
    "Eve\u2028Bcc: x\u2029Cc: y\x85To: z",
    "\ud800",
    "x" * 5_000,
    "é" * 5_000,
]


def change(values: dict[str, Any]) -> Forward:
    return replace(SAMPLE, **values)


def parse(mail: bytes) -> EmailMessage:
    return message_from_bytes(mail, policy=policy.default)


def text_of(mail: bytes) -> str:
    return str(parse(mail).get_content()).replace("\r\n", "\n")


def normalized(text: str) -> str:
    """A text as a mail can carry it: line ends of one kind, no half of a surrogate pair."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\r\n", "\n").replace("\r", "\n")


def assert_well_formed(mail: bytes) -> None:
    """The mail is ASCII in lines of at most 998 octets that all end with CR LF."""
    assert mail.isascii()
    assert mail.endswith(b"\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\x00", mail)
    assert max(map(len, mail.split(b"\r\n"))) <= 998
    assert not parse(mail).defects


def test_whole_mail() -> None:
    """A usual text makes this mail, the same in every version of Python."""
    assert compose(SAMPLE).decode().split("\r\n") == [
        'From: "Sample Customer (212) 555-0123 via text" <texts@gateway.example>',
        "To: owner@shop.example",
        "Subject: Text from Sample Customer (212) 555-0123",
        "Date: Tue, 24 Nov 2026 15:05:09 -0500",
        "Message-ID: <rpl_0A1B2C3D4E5F6@gateway.example>",
        f"In-Reply-To: {thread_id(SAMPLE)}",
        f"References: {thread_id(SAMPLE)}",
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
        "MIME-Version: 1.0",
        'Content-Type: text/plain; charset="utf-8"',
        "Content-Transfer-Encoding: quoted-printable",
        "",
        "Is my gown ready?",
        "",
        "----------------------------------------",
        "Customer: Sample Customer (customer C1041)",
        "Number:   (212) 555-0123",
        "Sent to:  (212) 555-0199, Sample Bridal",
        "Received: Tuesday, November 24, 2026, 3:05 PM EST",
        "",
        "An answer to this mail does not reach the customer.",
        "",
    ]


def test_unknown_customer() -> None:
    """A number on nobody's file is named by itself."""
    mail = compose(replace(SAMPLE, contact_name="", contact_kind="", contact_id=""))
    assert parse(mail)["Subject"] == "Text from (212) 555-0123"
    assert parse(mail)["From"].addresses[0].display_name == "(212) 555-0123 via text"
    assert "Customer: unknown: no contact with this number\n" in text_of(mail)


def test_contact_without_name() -> None:
    """A contact without a name is shown by kind and id."""
    mail = compose(replace(SAMPLE, contact_name=""))
    assert "Customer: no name (customer C1041)\n" in text_of(mail)


def test_missing_segments() -> None:
    """Segments that never came are named, the text before them stays alone."""
    text = text_of(compose(replace(SAMPLE, segments=4, missing=(2, 3))))
    assert text.startswith("Is my gown ready?\n\n---")
    note = "the text is incomplete: of its 4 segments, 2 never came (number 2, 3)."
    assert f"Note:     {note}\n" in text


def test_many_missing_segments() -> None:
    """Of many missing segments the first ten are named."""
    text = text_of(compose(replace(SAMPLE, segments=255, missing=tuple(range(2, 256)))))
    assert "254 never came (number 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …)." in text


@pytest.mark.parametrize(
    ("received", "shown"),
    [
        (datetime(2026, 7, 4, 0, 7, tzinfo=ZoneInfo("America/Chicago")), "12:07 AM CDT"),
        (datetime(2026, 7, 4, 12, 0, tzinfo=ZoneInfo("Pacific/Honolulu")), "12:00 PM HST"),
        (datetime(2026, 7, 4, 23, 59, tzinfo=UTC), "11:59 PM UTC"),
    ],
)
def test_time(received: datetime, shown: str) -> None:
    """The time is shown by the shop's clock and names its zone."""
    text = text_of(compose(replace(SAMPLE, received=received)))
    assert f"Received: Saturday, July 4, 2026, {shown}\n" in text


def test_same_mail_again() -> None:
    """A mail composed again is the same to the octet."""
    assert compose(SAMPLE) == compose(replace(SAMPLE))


def test_own_message_id() -> None:
    """Two texts have two Message-IDs."""
    other = replace(SAMPLE, id="rpl_0A1B2C3D4E5F7")
    assert message_id(SAMPLE) != message_id(other)


def test_thread() -> None:
    """All texts of one customer to one shop refer to one id, and no others do."""
    later = replace(SAMPLE, id="rpl_0A1B2C3D4E5F7", contact_name="Sample Bride", text="Hello?")
    assert thread_id(SAMPLE) == thread_id(later)
    assert thread_id(SAMPLE) != thread_id(replace(SAMPLE, phone="+12125550124"))
    assert thread_id(SAMPLE) != thread_id(replace(SAMPLE, shop="other"))
    assert "2125550123" not in thread_id(SAMPLE)


LINES = st.sampled_from(
    ["\r\n", "\r", "\n", ".", "..\r\n", ".\r\n", "From ", "\nFrom me", "\x00", "\t", " \n", "=20"]
    + [
        "Subject: x\r\n\r\n",
        "-" * 40,
        "ä",
        "👰🏽‍♀️",
        "שלום",
        "\u202e",
        "\u2028",
        "\x85",
        "\ufeff",
        "\ud83d",
    ]
)
TEXTS = st.lists(st.text(max_size=20) | LINES, max_size=40).map("".join)


@given(TEXTS)
@example("")
@example("." * 10_000)
@example("From me\r\nFrom you\rFrom all\n")
@example("x" * 10_000)
@example("é" * 10_000)
@example("👰" * 10_000)
@example("\x00" * 10_000)
@example("\n" * 10_000)
@example(("From " + "a" * 75) * 100)
@example("\ufeffIs it ready?")
@example("\ud83d\udc70 \ud83d alone")
def test_any_text(text: str) -> None:
    """Whatever the customer writes is read back whole, first and alone, and reaches no header."""
    mail = compose(replace(SAMPLE, text=text))
    assert_well_formed(mail)
    assert text_of(mail).startswith(normalized(text) + "\n\n" + "-" * 40 + "\nCustomer: Sample")
    head, _, _ = mail.partition(b"\r\nContent-Transfer-Encoding")
    assert head == compose(SAMPLE).partition(b"\r\nContent-Transfer-Encoding")[0]


@given(TEXTS)
def test_no_mailbox_line(text: str) -> None:
    """No line of the mail's text begins with `From `, which mailboxes of the mbox form change."""
    body = compose(replace(SAMPLE, text=text)).partition(b"\r\n\r\n")[2]
    assert not re.search(rb"(?m)^From ", body)


FREE_FIELDS = [
    *("shop", "shop_name", "shop_number", "phone", "phone_shown"),
    *("contact_name", "contact_kind", "contact_id"),
]


@pytest.mark.parametrize("name", FREE_FIELDS)
@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_field(name: str, value: str) -> None:
    """Nothing in a name, number or id makes a header, an address, or a text of its own."""
    assert_no_injection(change({name: value}))


@given(st.dictionaries(st.sampled_from(FREE_FIELDS), TEXTS))
def test_any_fields(values: dict[str, str]) -> None:
    """The same holds for any fields together."""
    assert_no_injection(change(values))


def assert_no_injection(forward: Forward) -> None:
    """The mail has our headers, each once, our two addresses, and the customer's words first."""
    mail = compose(forward)
    assert_well_formed(mail)
    parsed = parse(mail)
    assert parsed.keys() == HEADERS
    assert [a.addr_spec for a in parsed["From"].addresses] == ["texts@gateway.example"]
    assert [a.addr_spec for a in parsed["To"].addresses] == ["owner@shop.example"]
    assert str(parsed["Subject"]).startswith("Text from")
    assert text_of(mail).startswith("Is my gown ready?\n\n---")
    for header in ("From", "Subject"):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", str(parsed[header]))


def test_encoded_name() -> None:
    """A name outside ASCII is read back from From and Subject."""
    parsed = parse(compose(replace(SAMPLE, contact_name="Zoë Ünïcode 新娘")))
    assert parsed["Subject"] == "Text from Zoë Ünïcode 新娘 (212) 555-0123"
    assert parsed["From"].addresses[0].display_name == "Zoë Ünïcode 新娘 (212) 555-0123 via text"


def test_quoted_name() -> None:
    """Quotes and backslashes in a name are read back."""
    parsed = parse(compose(replace(SAMPLE, contact_name='Ann "A\\B" Bride')))
    assert parsed["From"].addresses[0].display_name == 'Ann "A\\B" Bride (212) 555-0123 via text'


def test_name_like_encoded_word() -> None:
    """A name that looks like an encoded word is shown as it is."""
    parsed = parse(compose(replace(SAMPLE, contact_name="=?utf-8?q?Boss?=")))
    assert parsed["Subject"] == "Text from =?utf-8?q?Boss?= (212) 555-0123"


def test_long_addresses() -> None:
    """The longest addresses and ids stay whole."""
    domain = ".".join(["d" * 60] * 3)
    sender, recipient = f"{'s' * 64}@{domain}", f"{'r' * 64}@{domain}"
    forward = replace(SAMPLE, sender=sender, recipient=recipient, id="r" * 64)
    mail = compose(forward)
    assert_well_formed(mail)
    parsed = parse(mail)
    assert parsed["From"].addresses[0].addr_spec == sender
    assert parsed["To"].addresses[0].addr_spec == recipient
    assert parsed["Message-ID"] == f"<{'r' * 64}@{domain}>"
    assert parsed["References"] == parsed["In-Reply-To"] == thread_id(forward)


@pytest.mark.parametrize("name", ["sender", "recipient"])
@pytest.mark.parametrize("value", ["", "a@b.example\r\nBcc: c@d.example", "A <a@b.example>"])
def test_bad_address(name: str, value: str) -> None:
    """An address that is none makes no mail."""
    with pytest.raises(LocalProtocolError):
        compose(change({name: value}))


@pytest.mark.parametrize("value", ["", "a b", "a@b", "a>\r\nBcc: c", "é", "r" * 65])
def test_bad_id(value: str) -> None:
    """An id that a Message-ID cannot hold makes no mail."""
    with pytest.raises(LocalProtocolError):
        compose(replace(SAMPLE, id=value))


def test_time_without_zone() -> None:
    """A time that does not say where makes no mail."""
    with pytest.raises(LocalProtocolError):
        compose(replace(SAMPLE, received=datetime(2026, 11, 24, 15, 5)))


def test_zone_without_name() -> None:
    """A zone that is an offset alone is shown by it."""
    received = datetime(2026, 11, 24, 15, 5, tzinfo=timezone(timedelta(hours=3)))
    assert "3:05 PM UTC+03:00\n" in text_of(compose(replace(SAMPLE, received=received)))


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("  Sample \t\r\n Customer ", "Sample Customer"),
        ("Ann\u202e\u2066 Bride\u200f", "Ann Bride"),
        ("x" * (MAX_NAME + 1), "x" * (MAX_NAME - 1) + "…"),
        ("x" * MAX_NAME, "x" * MAX_NAME),
        ("\x00\x07", ""),
    ],
)
def test_clean(given_name: str, shown: str) -> None:
    """A name is one line of at most 60 characters without controls."""
    assert clean(given_name) == shown


def test_all_fields_covered() -> None:
    """Every field that is free text is in the list of those that the injection tests change."""
    checked = {"id", "text", "sender", "recipient", "received", "segments", "missing"}
    assert {field.name for field in fields(Forward)} == checked | set(FREE_FIELDS)
