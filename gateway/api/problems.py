"""Refusals as RFC 9457 problem documents: a stable type, what is wrong, every faulty field, what
to do.

`type` is a reference relative to the gateway: `/problems/no-service`. docs/api.md explains each.
A document names fields, it never repeats what was in them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from gateway.errors import Fault, Refusal

CONTENT_TYPE = "application/problem+json"

TITLES = {
    "invalid-request": "The request is malformed",
    "unauthorized": "No valid key",
    "not-found": "There is no such thing",
    "being-sent": "The message is being sent",
    "key-reused": "The idempotency key belongs to another request",
    "too-late": "The message is final",
    "too-large": "The request is too large",
    "no-primary-phone": "The contact has no primary phone",
    "no-service": "The shop has no service",
    "support-ended": "The support agreement has ended",
    "number-not-allowed": "The number is not the shop's",
    "gateway-retired": "The carrier's mail gateway is closed",
    "not-available": "Not available in this version",
    "over-limit": "A limit is reached",
    "unavailable": "The gateway cannot do this now",
    "method-not-allowed": "The path does not know this method",
    "internal": "The gateway failed",
}
"""A short text for each type, always the same."""

HINTS = {
    "unauthorized": "send `Authorization: Bearer gw_…` with a key from `gateway key create`",
    "over-limit": "wait as long as Retry-After says, then send the same request again",
    "unavailable": "wait as long as Retry-After says, then repeat it with the same idempotency key",
    "internal": "try again; the gateway's log names the cause",
}

_encode = msgspec.json.Encoder().encode


def document(refusal: Refusal) -> dict[str, Any]:
    """The problem document of a refusal."""
    hint = refusal.hint or HINTS.get(refusal.type, "")
    if not hint and len(refusal.faults) == 1:
        hint = refusal.faults[0].hint
    told: dict[str, Any] = {
        "type": f"/problems/{refusal.type}",
        "title": TITLES[refusal.type],
        "status": refusal.status_code,
        "detail": refusal.detail,
    }
    if hint:
        told["hint"] = hint
    if refusal.faults:
        told["errors"] = [_fault(fault) for fault in refusal.faults]
    return told


def _fault(fault: Fault) -> dict[str, str]:
    told = {"field": fault.field, "problem": fault.problem}
    if fault.hint:
        told["hint"] = fault.hint
    return told


def problem(refusal: Refusal, headers: dict[str, str] | None = None) -> web.Response:
    """The answer to a refused request."""
    sent = dict(headers or {})
    if refusal.retry_after_s is not None:
        sent["Retry-After"] = str(refusal.retry_after_s)
    if refusal.type == "unauthorized":
        sent["WWW-Authenticate"] = "Bearer"
    return web.Response(
        body=_encode(document(refusal)),
        status=refusal.status_code,
        content_type=CONTENT_TYPE,
        headers=sent,
    )


def invalid(faults: list[Fault]) -> Refusal:
    """The refusal of a request with these faulty fields."""
    count = len(faults)
    detail = "1 field is faulty." if count == 1 else f"{count} fields are faulty."
    return Refusal("invalid-request", detail, tuple(faults))


def nowhere() -> Refusal:
    """The refusal of a path that there is not, at least for who asks."""
    hint = "GET /openapi.json lists every path"
    return Refusal("not-found", "There is nothing at this path.", hint=hint)


def no_such(what: str, field: str, hint: str = "") -> Refusal:
    """The refusal that does not tell what is another shop's from what is not there."""
    return Refusal("not-found", f"There is no such {what}.", (Fault(field, "is not known", hint),))
