"""Why something was not spoken, as callers of the gateway are told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from gateway.errors import Fault, Refusal

if TYPE_CHECKING:
    from tts.engine import NotSpoken

_SHORTEN: Final = "shorten it: a call of about a minute is listened to"


@contextmanager
def told(*, is_operator: bool) -> Iterator[None]:
    """Turn what speech raises into refusals that name the field.

    `is_operator`: whether why engines fail is told in their words, which may name other machines.
    """
    from gateway.voice.script import ScriptError
    from tts.engine import NotSpoken, TextRefused
    from tts.lexicon import LexiconError
    from tts.normalize import UnspeakableText, UnspeakablyLong

    try:
        yield
    except UnspeakablyLong as error:
        raise faulty("text", f"cannot be spoken: {error}", _SHORTEN) from error
    except UnspeakableText as error:
        raise faulty("text", f"cannot be spoken: {error}", "write it in words") from error
    except TextRefused as error:
        if error.reason == "too-long":
            raise faulty("text", f"cannot be spoken: {error}", _SHORTEN) from error
        raise faulty("text", f"cannot be spoken: {error}", "write it in words") from error
    except LexiconError as error:
        hint = "`gateway lexicon` changes it"
        raise faulty("lexicon", f"cannot be used: {error}", hint) from error
    except ScriptError as error:
        hint = "`gateway shop set` changes the shop"
        raise faulty("shop", f"cannot be spoken for: {error}", hint) from error
    except NotSpoken as error:
        raise _not_spoken(error, is_operator) from error


def faulty(field: str, problem: str, hint: str) -> Refusal:
    """The refusal of one field."""
    return Refusal("invalid-request", f"{field} {problem}", (Fault(field, problem, hint),))


def _not_spoken(error: NotSpoken, is_operator: bool) -> Refusal:
    """Every engine that did not speak, and why."""
    reasons = [
        each.reason if is_operator or not each.is_temporary else "does not speak at the moment"
        for each in error.attempts
    ]
    named = zip(error.attempts, reasons, strict=True)
    words = "; ".join(f"{each.engine}: {reason}" for each, reason in named)
    detail = f"No engine could speak ({words or 'none was named'})."
    if error.is_temporary:
        wait_s = math.ceil(error.retry_after_s or 5.0)
        return Refusal("unavailable", detail, retry_after_s=wait_s)
    hint = "`gateway voices` shows which engines and voices a shop may use"
    return Refusal("not-available", detail, hint=hint)
