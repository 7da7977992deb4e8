"""From a request to a draft: every faulty field is named, and what the shop may not do refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import LimitSettings, SmsSettings
from gateway.dispatch.acceptance import (
    Acceptance,
    Draft,
    answer,
    choose_sender,
    iso,
    settle_draft,
)
from gateway.dispatch.request import Contact, SendRequest, Voice
from gateway.dispatch.wording import WIDE_REFERENCE
from gateway.errors import Refusal
from gateway.ids import IdSource, show
from gateway.model import Category, Place
from gateway.store.directory import Number
from protocols.sms.dialect import Long, TextDialect
from tests.dispatch.stage import a_shop, at, ended

NOW = 1_800_000_000_000
DAY_MS = 86_400_000
NUMBERS = (Number("+12125550101", 1, 1, "acme"), Number("+12125550102", 1, 2, "wide"))
SHOP = a_shop(1, numbers=NUMBERS)
DIALECTS = {2: TextDialect(long=Long.UDH16)}


def draft(shop: Any = SHOP, **fields: Any) -> Draft:
    """A draft of a request to a sample phone."""
    values: dict[str, Any] = {"text": "Your gown is ready."}
    if "contact" not in fields:
        values["to"] = "(212) 555-0123"
    acceptance = Acceptance(SmsSettings(), LimitSettings(), IdSource(1), DIALECTS)
    return acceptance.draft(shop, SendRequest(**(values | fields)), NOW)


def refusal(shop: Any = SHOP, **fields: Any) -> Refusal:
    """Why a request is refused."""
    with pytest.raises(Refusal) as told:
        draft(shop, **fields)
    return told.value


def judged(one: Draft, **facts: Any) -> Draft:
    """The draft after the gate."""
    settle_draft(one, None, None, **({"has_link": True, "now_ms": NOW} | facts))
    return one


def test_a_plain_request_becomes_a_message() -> None:
    """From the shop's first number, to the phone in E.164, for 24 hours."""
    message = draft(source="automation", reference="todo-8812").message
    assert (message.sender, message.route, message.target) == ("+12125550101", 1, "+12125550123")
    assert (message.category, message.segments) == (Category.TRANSACTIONAL, 1)
    assert message.expires_ms == NOW + DAY_MS
    assert (message.source, message.reference) == ("automation", "todo-8812")


def test_every_faulty_field_is_named_at_once() -> None:
    """With what to do about each."""
    told = refusal(
        to="call me",
        text=" \n ",
        sender="x",
        source="a\0b",
        reference="\ud800",
        expires_at=at(NOW - 1),
    )
    assert told.type == "invalid-request"
    assert {fault.field for fault in told.faults} == {
        "to",
        "text",
        "from",
        "source",
        "reference",
        "expires_at",
    }
    assert all(fault.hint for fault in told.faults)


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({"to": None}, "to"),
        ({"contact": Contact(primary_phone="x")}, "contact.primary_phone"),
        ({"contact": Contact(primary_phone="+12125550123"), "to": "+12125550123"}, "to"),
        ({"contact": Contact(primary_phone="+12125550123", name="\0")}, "contact.name"),
        (
            {"contact": Contact(primary_phone="+12125550123", time_zone="Mars/Base")},
            "contact.time_zone",
        ),
        (
            {"contact": Contact(primary_phone="+12125550123", time_zone="../../etc")},
            "contact.time_zone",
        ),
        ({"text": "\0"}, "text"),
        ({"text": "half \ud83d of it"}, "text"),
        ({"text": "word " * 1000}, "text"),
        ({"send_at": at(NOW + 367 * DAY_MS)}, "send_at"),
        ({"send_at": at(NOW + DAY_MS), "expires_at": at(NOW + DAY_MS)}, "expires_at"),
        ({"expires_at": at(NOW + 367 * DAY_MS)}, "expires_at"),
        ({"expires_at": datetime.min.replace(tzinfo=UTC)}, "expires_at"),
        ({"idempotency_key": "a\0"}, "idempotency_key"),
    ],
)
def test_a_faulty_field_is_named(fields: dict[str, Any], faulty: str) -> None:
    """By the name that the caller knows."""
    assert faulty in [fault.field for fault in refusal(**fields).faults]


def test_a_text_may_be_too_long_for_a_wide_reference_alone() -> None:
    """1,530 characters are ten segments of 153, and eleven of 152."""
    text = "x" * 1_530
    fits = draft(text=text)
    assert fits.message.segments == 10
    for told in (
        refusal(text=text, sender="+12125550102"),
        pytest.raises(Refusal, choose_sender, fits, "+12125550102").value,
    ):
        assert told.type == "invalid-request"
        assert [fault.field for fault in told.faults] == ["text"]
        assert "11 segments" in told.faults[0].problem


@pytest.mark.parametrize("phone", [None, "", "  "])
def test_a_contact_without_primary_phone_is_refused(phone: str | None) -> None:
    """As such, not as a malformed number."""
    assert refusal(contact=Contact(primary_phone=phone)).type == "no-primary-phone"


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({"channel": "voice"}, "channel"),
        ({"channel": "email"}, "channel"),
        ({"voice": Voice()}, "voice"),
        ({"fallback": ["voice"]}, "fallback"),
    ],
)
def test_what_this_version_cannot_do_is_never_ignored(fields: dict[str, Any], faulty: str) -> None:
    """It is refused, naming the field."""
    told = refusal(**fields)
    assert (told.type, [fault.field for fault in told.faults]) == ("not-available", [faulty])


def test_a_shop_sends_from_its_own_numbers_only() -> None:
    """And not at all without one."""
    assert draft(sender="212-555-0102").message.route == 2
    assert refusal(sender="+12125550109").type == "number-not-allowed"
    assert refusal(sender="12345").type == "number-not-allowed"
    assert refusal(a_shop(1, numbers=())).type == "no-service"


def test_a_shop_without_agreement_is_refused() -> None:
    """Not held: what is new does not wait."""
    with pytest.raises(Refusal) as told:
        judged(draft(ended(SHOP)))
    assert told.value.type == "support-ended"


def test_a_time_that_has_passed_means_now() -> None:
    """And one to come is kept; the validity begins with it."""
    assert draft(send_at=at(NOW - 5)).send_at_ms is None
    one = judged(draft(send_at=at(NOW + 5), category="marketing"))
    assert one.message.expires_ms == NOW + 5 + 14_400_000
    assert (one.message.place, one.message.due_ms) == (Place.LATER, NOW + 5)
    assert answer(one)["send_at"] == iso(NOW + 5)


def test_a_validity_that_passed_on_the_way_is_refused() -> None:
    """It would never be sent."""
    one = draft(expires_at=at(NOW + 5))
    with pytest.raises(Refusal, match="expired before"):
        judged(one, now_ms=NOW + 5)


def test_another_sender_brings_its_route_and_its_way_to_mark_segments() -> None:
    """With 16-bit references a segment holds one character less."""
    text = "a" * (153 * 2)
    one = draft(text=text)
    assert (one.message.segments, one.message.encoding) == (2, 0)
    choose_sender(one, "+12125550102")
    assert (one.message.route, one.message.segments) == (2, 3)
    assert one.message.encoding == WIDE_REFERENCE
    choose_sender(one, "+12125550101")
    assert (one.message.route, one.message.segments, one.message.encoding) == (1, 2, 0)
    choose_sender(one, "+12125550199")
    assert one.message.route == 1, "no number of the shop"
    named = draft(text=text, sender="+12125550101")
    choose_sender(named, "+12125550102")
    assert named.message.route == 1, "the request names its sender"


def test_the_answer_says_what_became_of_it() -> None:
    """Queued, held or suppressed, with the reason."""
    one = judged(draft(text="Grüße 😀"))
    assert answer(one) == {
        "id": show("msg", one.message.id),
        "status": "queued",
        "channel": "sms",
        "encoding": "ucs2",
        "segments": 1,
    }
    held = answer(judged(draft(), has_link=False))
    assert (held["status"], held["reason"]) == ("held", "no-link")
    contact = Contact(primary_phone="+12125550123", sms_alerts="NO SMS")
    suppressed = answer(judged(draft(contact=contact)))
    assert (suppressed["status"], suppressed["reason"]) == ("suppressed", "no-sms")


@given(
    text=st.text(min_size=1, max_size=300),
    source=st.none() | st.text(max_size=20),
    to=st.text(max_size=20) | st.just("+12125550123"),
    when=st.none() | st.datetimes(timezones=st.just(UTC)),
)
def test_any_request_is_a_draft_or_a_refusal(
    text: str, source: str | None, to: str, when: datetime | None
) -> None:
    """No other error escapes, and what is accepted can be stored."""
    try:
        one = draft(text=text, source=source, to=to, send_at=when, expires_at=when)
    except Refusal:
        return
    assert one.message.body.encode()
    assert "\0" not in one.message.body + (one.message.source or "")
