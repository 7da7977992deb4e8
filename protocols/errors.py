"""The errors of every protocol core.

The tree::

    ProtocolError
    ├── LocalProtocolError    we asked for something the protocol forbids
    └── RemoteProtocolError   the peer sent something the protocol forbids

A core raises nothing else for any bytes a peer can send. Protocols derive their own types from
these two.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """A rule of the protocol was broken, by us or by the peer."""


class LocalProtocolError(ProtocolError):
    """We broke the rule: a wrong state, a full window, a field out of its limits. Nothing was
    sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rule.

    `status_hint` is what to answer: a command_status in SMPP, a response code in SIP; 0 where the
    protocol knows no such answer.
    """

    def __init__(self, message: str, status_hint: int = 0) -> None:
        super().__init__(message)
        self.status_hint = status_hint
