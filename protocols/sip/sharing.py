"""Several user agents behind one port: to which of them a message belongs.

Each marks the tokens that it makes. A response bears the branch of its request in the top Via, a
request within a call our tag in To, so both name their user agent. What begins something new names
a user in its Request-URI.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from protocols.sip.flow import Randomness


class Marked(Protocol):
    """A user agent's place in the transport."""

    @property
    def mark(self) -> str: ...

    @property
    def user(self) -> str: ...


Shared = TypeVar("Shared", bound=Marked)

_BRANCH: Final = re.compile(
    rb"\r\n(?:via|v)[ \t]*+:[^\r\n,]*;[ \t]*+branch=z9hG4bK([a-z0-9]+)\.", re.I
)
_TO_TAG: Final = re.compile(rb"\r\n(?:to|t)[ \t]*+:[^\r\n]*;[ \t]*+tag=([a-z0-9]+)\.", re.I)
_USER: Final = re.compile(rb"[A-Z]+ sips?:([^@\s;>]+)@")
HEAD_BYTES: Final = 16_384
"""How far into a message is looked: the head of one that came a long way."""


class MarkedRandomness:
    """Randomness whose tokens begin with a mark, small letters and digits, and a full stop."""

    def __init__(self, mark: str, inner: Randomness) -> None:
        self._mark = mark
        self._inner = inner

    def token(self) -> str:
        return f"{self._mark}.{self._inner.token()}"

    def below(self, limit: int) -> int:
        return self._inner.below(limit)


def mark_of(data: bytes) -> str:
    """The mark of the user agent that made what a message answers or goes on with; empty for what
    begins anew."""
    pattern = _BRANCH if data[:4] == b"SIP/" else _TO_TAG
    found = pattern.search(data, 0, HEAD_BYTES)
    return found.group(1).decode("ascii") if found is not None else ""


def user_of(data: bytes) -> str:
    """The user of the Request-URI as written, without a password; empty without one."""
    found = _USER.match(data, 0, HEAD_BYTES)
    return found.group(1).partition(b":")[0].decode("ascii", "replace") if found else ""


def choose(data: bytes, owners: Sequence[Shared]) -> Shared:
    """Whose message it is where several share a network: of its mark, else of its user, else the
    first."""
    if len(owners) == 1:
        return owners[0]
    mark = mark_of(data)
    for each in owners:
        if mark and each.mark == mark:
            return each
    user = user_of(data)
    return next((each for each in owners if each.user == user), owners[0])
