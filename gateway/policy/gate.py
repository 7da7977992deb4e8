"""The gate that every message passes: at acceptance, in a preview, and again when it is claimed.

The rules, in the order in which they speak:

1. A message past its validity expires.
2. `service` messages (forwards to the shop, answers, notices) are the gateway's own: consent,
   agreement and ops' holds do not concern them.
3. `No SMS` in the contact's SMS Alerts field: never sent.
4. A shop without an active support agreement sends nothing: what waits is held.
5. A message whose time has not come waits for it, whatever the state of its shop until then.
6. A shop held by ops: what waits is held.
7. A message whose route no link serves is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from gateway.model import Category


class Action(IntEnum):
    """What to do with the message now."""

    SEND = 1
    HOLD = 2
    SUPPRESS = 3
    EXPIRE = 4
    WAIT = 5


class Reason(StrEnum):
    """Why a message is held or suppressed, as users see it."""

    NO_SMS = "no-sms"
    SUPPORT_ENDED = "support-ended"
    SHOP_HELD = "shop-held"
    SCHEDULED = "scheduled"
    NO_LINK = "no-link"


WORDS: dict[str, str] = {
    Reason.NO_SMS: "the contact's SMS Alerts field says No SMS",
    Reason.SUPPORT_ENDED: "the shop's support agreement has ended",
    Reason.SHOP_HELD: "the shop's messages are held by the operator",
    Reason.SCHEDULED: "its time has not come",
    Reason.NO_LINK: "no configured link serves its route",
}
"""Each reason in words."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of the gate. `until_ms`: when a WAIT ends."""

    action: Action
    reason: Reason | None = None
    until_ms: int | None = None


_SEND = Verdict(Action.SEND)
_EXPIRE = Verdict(Action.EXPIRE)
_NO_SMS = Verdict(Action.SUPPRESS, Reason.NO_SMS)
_SUPPORT_ENDED = Verdict(Action.HOLD, Reason.SUPPORT_ENDED)
_SHOP_HELD = Verdict(Action.HOLD, Reason.SHOP_HELD)
_NO_LINK = Verdict(Action.HOLD, Reason.NO_LINK)


def fold_alerts(sms_alerts: str | None) -> str:
    """The SMS Alerts field as it is compared: trimmed, case-folded, white space within it made
    single.
    """
    return " ".join(sms_alerts.casefold().split()) if sms_alerts else ""


def decide(
    *,
    category: Category,
    expires_ms: int,
    send_at_ms: int | None,
    is_supported: bool,
    is_held: bool,
    sms_alerts: str | None,
    has_link: bool,
    now_ms: int,
) -> Verdict:
    """What to do with a message now. Pure: the same facts give the same verdict.

    `sms_alerts` is the contact's field as `fold_alerts` leaves it; blank, `sms ok` and a carrier's
    name let the message pass. All times are milliseconds since the epoch; a message lives until,
    not including, `expires_ms`.
    """
    if now_ms >= expires_ms:
        return _EXPIRE
    if category is not Category.SERVICE:
        if sms_alerts == "no sms":
            return _NO_SMS
        if not is_supported:
            return _SUPPORT_ENDED
    if send_at_ms is not None and now_ms < send_at_ms:
        return Verdict(Action.WAIT, Reason.SCHEDULED, send_at_ms)
    if is_held and category is not Category.SERVICE:
        return _SHOP_HELD
    if not has_link:
        return _NO_LINK
    return _SEND
