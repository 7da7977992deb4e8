"""How an attempt to hand a mail to an SMTP server ended, and what follows from it.

The line that matters is the one where the mail's text begins to leave (RFC 5321 §4.1.1.4, DATA):
before it nothing can have been delivered, after it only the server's reply tells, and no reply
means that nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SERVICE_CLOSING: Final = 421
"""The server is about to close the connection (RFC 5321 §3.8): it says nothing about the mail."""

_LONGEST_REPLY: Final = 300


class Stage(StrEnum):
    """What the server refused: it tells whose matter the refusal is."""

    SENDER = "sender"
    """MAIL FROM: the account may not send as this sender. Every other mail will meet the same."""
    RECIPIENT = "recipient"
    """RCPT TO: this one address."""
    MESSAGE = "message"
    """DATA: this one mail."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took the mail and answers for it from now on."""

    reply: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The server does not take the mail: now (`is_temporary`, a 4xx code) or ever (5xx)."""

    code: int
    text: str
    is_temporary: bool
    stage: Stage


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No text of the mail has left, and the reason is not the mail: safe to try again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """The text began to leave and no valid reply came: the server may have taken it or not."""

    reason: str


Outcome = Sent | Refused | Unreachable | Doubtful


def before_text(stage: Stage, code: int, text: str) -> Refused | Unreachable:
    """What a reply other than the hoped-for one means while no text of the mail has left."""
    words = one_line(text)
    if code != SERVICE_CLOSING and 400 <= code <= 599:
        return Refused(code, words, code < 500, stage)
    return Unreachable(f"the server answered {code} {words}")


def after_text(code: int, text: str) -> Sent | Refused | Doubtful:
    """What the reply to the whole mail means (RFC 5321 §4.2.1: the first digit decides)."""
    words = one_line(text)
    if 200 <= code <= 299:
        return Sent(f"{code} {words}")
    if 400 <= code <= 599:
        return Refused(code, words, code < 500, Stage.MESSAGE)
    return Doubtful(f"the server answered the mail with {code} {words}")


def one_line(text: str) -> str:
    """A server's words as one printable line of at most 300 characters."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * _LONGEST_REPLY])
    return " ".join(shown.split())[:_LONGEST_REPLY]
