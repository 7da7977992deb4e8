"""The errors of the SIP core."""

from __future__ import annotations

from protocols.errors import LocalProtocolError, RemoteProtocolError


class SipError(RemoteProtocolError):
    """What a peer sent is no SIP, or SIP that we do not take. `status_hint` is the response code
    for a request; 0 where nothing should be answered."""

    def __init__(self, message: str, status_hint: int = 400) -> None:
        super().__init__(message, status_hint)


class FieldError(LocalProtocolError):
    """A URI, name or header value of ours cannot be written: it holds a character that the grammar
    forbids there. Nothing was sent."""
