"""The gate: what may be sent, to whom, when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Category
from gateway.policy.gate import WORDS, Action, Reason, Verdict, decide, fold_alerts

NOW = 1_000_000
GOOD: dict[str, Any] = {
    "category": Category.TRANSACTIONAL,
    "expires_ms": NOW + 1000,
    "send_at_ms": None,
    "is_supported": True,
    "is_held": False,
    "sms_alerts": None,
    "has_link": True,
    "now_ms": NOW,
}
SEND = Verdict(Action.SEND)


@pytest.mark.parametrize("alerts", [None, "", "  ", "SMS OK", "sms ok", "Verizon", "no sms please"])
def test_blank_sms_ok_and_a_carriers_name_send(alerts: str | None) -> None:
    """Only `No SMS` forbids."""
    assert decide(**GOOD | {"sms_alerts": fold_alerts(alerts)}) == SEND


@pytest.mark.parametrize("alerts", ["No SMS", "no sms", " NO  SMS\t", "no\u00a0sms"])
def test_no_sms_never_sends(alerts: str) -> None:
    """However it is written, and whatever else would only delay the message."""
    facts = GOOD | {"sms_alerts": fold_alerts(alerts), "is_held": True, "send_at_ms": NOW + 5}
    assert decide(**facts) == Verdict(Action.SUPPRESS, Reason.NO_SMS)


def test_a_message_lives_until_its_validity_ends() -> None:
    """Not including that instant; nothing else matters then."""
    assert decide(**GOOD | {"expires_ms": NOW + 1}) == SEND
    facts = GOOD | {"expires_ms": NOW, "is_held": True, "category": Category.SERVICE}
    assert decide(**facts) == Verdict(Action.EXPIRE)


def test_a_shop_without_agreement_sends_nothing() -> None:
    """Neither now nor later."""
    for send_at in (None, NOW + 5):
        facts = GOOD | {"is_supported": False, "send_at_ms": send_at}
        assert decide(**facts) == Verdict(Action.HOLD, Reason.SUPPORT_ENDED)


def test_a_held_shop_holds_what_is_due() -> None:
    """What is not due yet waits for its time first."""
    facts = GOOD | {"is_held": True}
    assert decide(**facts) == Verdict(Action.HOLD, Reason.SHOP_HELD)
    scheduled = decide(**facts | {"send_at_ms": NOW + 5})
    assert scheduled == Verdict(Action.WAIT, Reason.SCHEDULED, NOW + 5)
    assert decide(**facts | {"send_at_ms": NOW}) == Verdict(Action.HOLD, Reason.SHOP_HELD)


def test_a_route_without_a_link_holds() -> None:
    """Once the message is due."""
    facts = GOOD | {"has_link": False}
    assert decide(**facts) == Verdict(Action.HOLD, Reason.NO_LINK)
    assert decide(**facts | {"send_at_ms": NOW + 5}).action is Action.WAIT


@given(
    is_supported=st.booleans(), is_held=st.booleans(), alerts=st.sampled_from([None, "no sms"])
)
def test_the_gateways_own_messages_need_only_validity_and_a_link(
    is_supported: bool, is_held: bool, alerts: str | None
) -> None:
    """A shop's replies reach it whatever its state."""
    facts = GOOD | {
        "category": Category.SERVICE,
        "is_supported": is_supported,
        "is_held": is_held,
        "sms_alerts": alerts,
    }
    assert decide(**facts) == SEND


@given(
    category=st.sampled_from(list(Category)),
    expires_ms=st.integers(NOW - 5, NOW + 5),
    send_at_ms=st.none() | st.integers(NOW - 5, NOW + 5),
    is_supported=st.booleans(),
    is_held=st.booleans(),
    sms_alerts=st.sampled_from([None, "", "sms ok", "no sms", "verizon"]),
    has_link=st.booleans(),
)
def test_every_verdict_is_whole(**facts: Any) -> None:
    """Holds and suppressions have a reason in words, a wait its end; nothing forbidden is sent."""
    verdict = decide(**facts, now_ms=NOW)
    if verdict.action in (Action.HOLD, Action.SUPPRESS, Action.WAIT):
        assert verdict.reason is not None
        assert WORDS[verdict.reason]
    assert (verdict.until_ms is not None) == (verdict.action is Action.WAIT)
    if verdict.action is Action.SEND:
        assert facts["has_link"]
        assert facts["expires_ms"] > NOW
        own = facts["category"] is Category.SERVICE
        assert own or (facts["is_supported"] and not facts["is_held"])
        assert own or facts["sms_alerts"] != "no sms"
