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
def told() -> Iterator[None]:
    """Turn what speech raises into refusals that name the field."""
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
        raise faulty("lexicon", str(error), "`gateway lexicon` changes it") from error
    except ScriptError as error:
        raise faulty("shop", str(error), "`gateway shop set` changes the shop") from error
    except NotSpoken as error:
        raise _not_spoken(error) from error


def faulty(field: str, problem: str, hint: str) -> Refusal:
    """The refusal of one field."""
    return Refusal("invalid-request", f"{field} {problem}", (Fault(field, problem, hint),))


def _not_spoken(error: NotSpoken) -> Refusal:
    """Every engine that did not speak, and why."""
    words = "; ".join(f"{each.engine}: {each.reason}" for each in error.attempts)
    detail = f"No engine could speak ({words or 'none was named'})."
    if error.is_temporary:
        wait_s = math.ceil(error.retry_after_s or 5.0)
        return Refusal("unavailable", detail, retry_after_s=wait_s)
    hint = "`gateway voices` shows which engines and voices a shop may use"
    return Refusal("not-available", detail, hint=hint)
