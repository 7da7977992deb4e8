"""What an engine is, and what may go wrong with one.

The errors::

    SpeechError               .is_temporary says whether another try may help
    ├── TextRefused           nothing to say, or too much: no engine can help
    ├── EngineError           one engine could not speak one text
    │   ├── Overloaded        because too much waits for it; it is not to blame
    │   └── TooLong           because it would speak for longer than MAX_AUDIO_S
    └── NotSpoken             every engine that might have spoken failed: which, and why

Their words go to operators and into logs: none of them ever holds a piece of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:  # numpy is for workers: loading it holds up a server that runs
    import numpy as np
    from numpy.typing import NDArray

MAX_TEXT_CHARS: Final = 2_000
"""Characters of a message as it is written; ten segments of a text have at most 1,530."""

MAX_SPOKEN_CHARS: Final = 2_500
"""Characters that an engine is given: what the quickest words of Pico fill MAX_AUDIO_S with. Digits
and prices grow when they are written out, so that a message may be spoken with more than it has."""

MAX_AUDIO_S: Final = 120.0
"""What an engine may answer at most. Nobody listens to more, and 60 characters can be made to
last an hour."""

PHONE_RATE: Final = 8_000
"""Samples, and octets of G.711, a second on the telephone."""

PHONE_AUDIO_VERSION: Final = "1"
"""Changes whenever `tts.phone_audio` would make other octets of the same input."""

RATES: Final = range(8_000, 48_001)
"""Samples a second that an engine may answer with."""


@dataclass(frozen=True, slots=True, eq=False)
class Pcm:
    """Speech as an engine made it: one channel of 16-bit samples."""

    samples: NDArray[np.int16]
    rate: int

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that an engine has. `engine:id` names it among all."""

    engine: str
    id: str
    language: str
    """A language alone, as "en": what it can read, whatever its accent."""
    description: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.engine}:{self.id}"


@runtime_checkable
class Engine(Protocol):
    """Something that speaks. Third parties write one of these."""

    @property
    def name(self) -> str:
        """How settings and shops call it: small letters, digits and hyphens."""

    @property
    def fingerprint(self) -> str:
        """Whatever changes its audio besides text and voice: versions, models, speeds. What was
        rendered under another one is not played again."""

    @property
    def is_remote(self) -> bool:
        """Whether the text leaves this machine."""

    @property
    def pre_emphasis(self) -> float:
        """0 to 0.9: how much its high tones are lifted for the telephone."""

    @property
    def voices(self) -> Sequence[Voice]:
        """Its voices; the first of a language speaks it unless another is asked for."""

    async def synthesize(self, text: str, voice: Voice) -> Pcm:
        """Speak. Never blocks the event loop; raises EngineError and nothing else.

        The text holds Latin letters, digits, spaces and , . ? ! ' - only.
        """

    async def close(self) -> None:
        """End its processes and connections."""


@runtime_checkable
class TelephoneEngine(Engine, Protocol):
    """An engine that makes telephone audio of its speech itself, away from the event loop's
    process: those that speak, or decode, in processes of ours.
    """

    async def telephone(self, text: str, voice: Voice, law: str) -> bytes:
        """Speak, as octets of G.711 at 8 kHz: what `tts.phone_audio` makes of the speech.

        `law` is "ulaw" or "alaw". Raises as `synthesize` does.
        """


class SpeechError(Exception):
    """Nothing was spoken."""

    is_temporary = False


class TextRefused(SpeechError):
    """The text cannot be spoken by anything: `reason` says why, in one word and in several."""

    _WORDS: Final = {
        "empty": "the text is empty",
        "too-long": "the text is too long to be spoken",
        "nothing-to-say": "the text holds nothing that can be spoken",
    }

    def __init__(
        self,
        reason: Literal["empty", "too-long", "nothing-to-say", "not-understood"],
        words: str = "",
    ) -> None:
        super().__init__(words or self._WORDS.get(reason, reason))
        self.reason = reason


class EngineError(SpeechError):
    """An engine did not speak. `retry_after_s`: how long the peer wants to be left alone."""

    def __init__(
        self, message: str, *, is_temporary: bool = True, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary
        self.retry_after_s = retry_after_s


class Overloaded(EngineError):
    """More waits for the engine than may wait."""


class TooLong(EngineError):
    """The text makes more audio than there may be."""

    def __init__(self) -> None:
        super().__init__(f"it speaks for more than {MAX_AUDIO_S:.0f} s", is_temporary=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One engine that did not speak, and why."""

    engine: str
    reason: str
    is_temporary: bool
    retry_after_s: float | None = None


class NotSpoken(SpeechError):
    """No engine spoke. Temporary if one of them may yet."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        told = "; ".join(f"{each.engine}: {each.reason}" for each in attempts)
        super().__init__(f"no engine could speak ({told or 'none was named'})")
        self.attempts = tuple(attempts)
        self.is_temporary = any(each.is_temporary for each in attempts)
        waits = [each.retry_after_s for each in attempts if each.retry_after_s is not None]
        self.retry_after_s = min(waits) if waits else None
