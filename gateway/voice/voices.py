"""Which engines and voices there are, for people and programs to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from config.speech import SpokenLanguage
from gateway.errors import Fault, Refusal
from gateway.store.records import Shop, ShopSpeech
from gateway.voice.engines import Built, build

if TYPE_CHECKING:
    from config.speech import SpeechSettings
    from tts.skipping import EngineHealth

_LANGUAGES: Final = get_args(SpokenLanguage)
"""Engines may have voices of others, but nobody writes out their numbers."""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """How an engine stands. `problem`: why it cannot be used, or is skipped for a while."""

    name: str
    is_remote: bool
    is_allowed: bool
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class VoiceLine:
    """A voice: `engine:id`, and the language that it reads."""

    voice: str
    engine: str
    language: str
    description: str


@dataclass(frozen=True, slots=True)
class VoiceReport:
    """Engines in the order in which they are tried, and the voices that may be used."""

    engines: list[EngineReport]
    voices: list[VoiceLine]


def report(
    built: Built,
    settings: SpeechSettings,
    shop: ShopSpeech | None,
    health: Sequence[EngineHealth] = (),
) -> VoiceReport:
    """What a shop may use; without one, every voice there is."""
    speech = shop or ShopSpeech()
    engines = {engine.name: engine for engine in built.engines}
    skipped = {each.name: each for each in health if each.skipped_for_s > 0}
    lines = []
    for name in speech.engines or settings.engines:
        engine = engines.get(name)
        problem = None
        if engine is None:
            breach = built.faults.get(name)
            problem = breach.problem if breach else f"{name} is not in the settings"
        elif (sick := skipped.get(name)) is not None:
            problem = f"is skipped for {sick.skipped_for_s:.0f} s: {sick.last_reason}"
        is_remote = engine is not None and engine.is_remote
        is_allowed = engine is not None and (not is_remote or name in speech.allowed)
        lines.append(EngineReport(name, is_remote, is_allowed, problem))
    shown = {line.name for line in lines if line.is_allowed or shop is None} & engines.keys()
    voices = [
        VoiceLine(str(voice), line.name, voice.language, voice.description)
        for line in lines
        if line.name in shown
        for voice in engines[line.name].voices
        if voice.language in _LANGUAGES
    ]
    return VoiceReport(lines, voices)


def require_speakable(shop: Shop, settings: SpeechSettings) -> None:
    """Raise Refusal where what a shop chose could never be: a voice that is none, or of another
    language, or an engine that may not have its texts.
    """
    built = build(settings, None, None)
    faults = [*_forbidden(shop.speech, built)]
    if shop.speech.voice is not None:
        faults += _bad_voice(shop.speech, shop.speech.voice, built, settings)
    if faults:
        words = "; ".join(f"{fault.field} {fault.problem}" for fault in faults)
        raise Refusal("invalid-request", words, tuple(faults))


def _forbidden(speech: ShopSpeech, built: Built) -> list[Fault]:
    remote = {engine.name for engine in built.engines if engine.is_remote}
    return [
        Fault(
            "engines",
            f"has {name}, which sends texts to another machine, and the shop does not allow that",
            f"allow it, if the shop agrees: --allow-engine {','.join([*speech.allowed, name])};"
            " else leave it out of --engines",
        )
        for name in speech.engines
        if name in remote and name not in speech.allowed
    ]


def _bad_voice(
    speech: ShopSpeech, voice: str, built: Built, settings: SpeechSettings
) -> list[Fault]:
    language = speech.language or settings.language
    found = [each for engine in built.engines for each in engine.voices]
    fit = ", ".join(str(each) for each in found if each.language == language)
    known = {str(each): each for each in found}
    if voice not in known:
        return [Fault("voice", "is not a voice that there is", f"there are: {fit}")]
    if known[voice].language != language:
        problem = f"reads {known[voice].language!r}, and the shop is spoken in {language!r}"
        return [Fault("voice", problem, f"there are: {fit}")]
    return []
