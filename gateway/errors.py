"""The errors that cross the gateway's inner borders.

    GatewayError
    ├── Refusal       a request that is not accepted; nothing changed
    ├── StoreDown     the database does not answer; try again
    └── Fenced        this node no longer holds its lease and may not write
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class GatewayError(Exception):
    """Anything that the gateway itself reports. `is_temporary`: the same call may succeed later."""

    is_temporary: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one field: where, what, and what to do."""

    field: str
    problem: str
    hint: str = ""


STATUS_CODES = {
    "invalid-request": 400,
    "unauthorized": 401,
    "not-found": 404,
    "method-not-allowed": 405,
    "being-sent": 409,
    "key-reused": 409,
    "too-late": 409,
    "too-large": 413,
    "no-primary-phone": 422,
    "no-service": 422,
    "support-ended": 422,
    "number-not-allowed": 422,
    "gateway-retired": 422,
    "not-available": 422,
    "over-limit": 429,
    "internal": 500,
    "unavailable": 503,
}
"""HTTP status by problem type. The types are part of the API: docs/api.md explains each."""


class Refusal(GatewayError):
    """A request that is refused, as RFC 9457 wants it told: a stable type, what is wrong, every
    faulty field.
    """

    def __init__(
        self,
        type_: str,
        detail: str,
        faults: tuple[Fault, ...] = (),
        *,
        hint: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.type = type_
        self.detail = detail
        self.faults = faults
        self.hint = hint
        self.retry_after_s = retry_after_s

    @property
    def status_code(self) -> int:
        """The HTTP status to answer with."""
        return STATUS_CODES[self.type]


class StoreDown(GatewayError):
    """The database cannot be reached or did not commit in time. Whether a commit under way
    succeeded is unknown.
    """

    is_temporary = True


class Fenced(GatewayError):
    """The node's lease could not be renewed for half its length: another node may take over, so
    this one must not write.
    """

    is_temporary = True
