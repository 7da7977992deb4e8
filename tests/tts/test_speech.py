"""Speech: the order of engines, who may have a text, the cache, the default without a network."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocols.audio import wav
from protocols.audio.g711 import RATE, Law, decode
from tests.tts import hostile
from tests.tts.engines import Parrot
from tests.turning import loop_turns
from tts import speech as module
from tts import turns as turning
from tts.cache import Cache
from tts.engine import (
    MAX_SPOKEN_CHARS,
    MAX_TEXT_CHARS,
    EngineError,
    NotSpoken,
    Pcm,
    TextRefused,
    TooLong,
    Voice,
)
from tts.pico import PicoEngine
from tts.speech import Speech, Utterance
from tts.steps import Steps

TEXT = "Your gown is ready."
SECRET = "Zanzibar"

Open = Callable[..., Speech]


def say_as_it_is(text: str, language: str, lexicon: Mapping[str, str]) -> Steps[str]:
    yield
    return lexicon.get(text, text)


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    speeches = []

    def make(*engines: Parrot | PicoEngine, **options: object) -> Speech:
        speech = Speech(engines, Cache(None), normalizing=say_as_it_is, **options)  # type: ignore[arg-type]
        speeches.append(speech)
        return speech

    yield make
    for speech in speeches:
        await speech.close()


def said(text: str = TEXT, *engines: str) -> Utterance:
    return Utterance(text, engines=engines or ("parrot",))


async def refusal(speech: Speech, utterance: Utterance) -> NotSpoken:
    with pytest.raises(NotSpoken) as caught:
        await speech.say(utterance)
    return caught.value


# ------------------------------------------------------------------- what comes out


@pytest.mark.parametrize("law", Law)
async def test_audio(opened: Open, law: Law) -> None:
    """What an engine says comes out as telephone audio, with silence around it."""
    audio = await opened(Parrot()).say(replace(said(), law=law))
    assert audio.duration_s == pytest.approx(1.0, abs=0.02)
    assert (audio.engine, audio.voice, audio.script) == ("parrot", "parrot:en-1", TEXT)
    assert audio.data[: RATE // 10] == bytes([law.silence]) * (RATE // 10)
    heard = wav.read(audio.wav())
    assert heard.rate == RATE
    assert heard.samples.tolist() == decode(audio.data, law).tolist()


async def test_lexicon(opened: Open) -> None:
    """The shop's own words for words are said."""
    utterance = replace(said("Nguyen"), lexicon={"Nguyen": "win"})
    assert (await opened(Parrot()).say(utterance)).script == "win"


async def test_voices(opened: Open) -> None:
    """Voices are listed, those of engines elsewhere only to those who may use them."""
    speech = opened(Parrot(), Parrot("far", is_remote=True))
    assert [str(voice) for voice in speech.voices()] == ["parrot:en-1", "parrot:en-2"]
    everywhere = speech.voices(frozenset({"parrot", "far"}))
    assert len(everywhere) == 4


@pytest.mark.parametrize(
    ("language", "voice", "used"),
    [
        ("en", "", "en-1"),
        ("EN-gb", "parrot:en-2", "en-2"),
        ("es", "", "es-1"),
        ("es", "parrot:en-2", "es-1"),
        ("en", "other:en-2", "en-1"),
        ("en", "parrot:nobody", "en-1"),
    ],
)
async def test_choice_of_voice(opened: Open, language: str, voice: str, used: str) -> None:
    """The voice asked for speaks if it has the language, else the default of the language."""
    engine = Parrot(languages=("en", "es"))
    await opened(engine).say(replace(said(), language=language, voice=voice))
    assert [voice for voice, _ in engine.said] == [used]


# ------------------------------------------------------------------- texts refused


@pytest.mark.parametrize("text", [*hostile.SILENT, *hostile.LONG])
async def test_refused_texts(opened: Open, text: str) -> None:
    """A text that nothing can speak is refused before any engine has it, for good."""
    engine = Parrot()
    with pytest.raises(TextRefused) as caught:
        await opened(engine).say(said(text))
    assert not caught.value.is_temporary
    assert engine.said == []


async def test_a_message_may_be_spoken_with_more_than_it_has(opened: Open) -> None:
    """What is written and what is said have bounds of their own: digits grow to words."""
    engine = Parrot()

    def grow(text: str, _language: str, _lexicon: Mapping[str, str]) -> Steps[str]:
        yield
        return text.replace("1", "one")

    speech = Speech([engine], Cache(None), normalizing=grow)
    written = ("1 2 3. " * 150)[:700]
    audio = await speech.say(said(written))
    assert len(audio.script) > len(written)
    longest = ("a " * MAX_TEXT_CHARS)[:MAX_TEXT_CHARS]
    assert (await speech.say(said(longest))).script == longest.strip()
    for text in (f"{longest}a", "1 " * (MAX_SPOKEN_CHARS // 4 + 1)):
        with pytest.raises(TextRefused) as caught:
            await speech.say(said(text))
        assert caught.value.reason == "too-long"
    await speech.close()


async def test_words_are_not_read_once_more(opened: Open) -> None:
    """Words of a script are spoken as they are, up to the bound of what is said."""
    engine = Parrot()
    speech = Speech([engine], Cache(None))
    words = ("number 5 " * 300)[:MAX_SPOKEN_CHARS].strip()
    assert (await speech.say(replace(said(words), is_words=True))).script == words
    markup = replace(said("<genfile file='x'>hi"), is_words=True)
    assert (await speech.say(markup)).script == "genfile file 'x' hi"
    with pytest.raises(TextRefused):
        await speech.say(replace(said("a " * MAX_SPOKEN_CHARS), is_words=True))
    await speech.close()


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "measured"])
async def test_speech_that_takes_too_long_is_the_texts_fault(opened: Open, is_told: bool) -> None:
    """Two minutes are the most, by whatever engine; the engines are not skipped for it."""
    engine = Parrot()
    speech = opened(engine)
    if is_told:
        engine.error = TooLong()
    else:
        engine.answer = Pcm(np.ones(121 * 8_000, np.int16), 8_000)
    for _ in range(5):
        with pytest.raises(TextRefused, match="more than 120 s") as caught:
            await speech.say(said())
        assert caught.value.reason == "too-long"
    assert len(engine.said) == 5
    assert [health.skipped_for_s for health in speech.health()] == [0.0]


async def test_a_text_is_read_a_little_in_each_turn_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading a long one takes many milliseconds, in which calls would stutter."""
    monkeypatch.setattr(turning, "SLICE_S", 0.0)
    speech = Speech([Parrot()], Cache(None))
    with loop_turns() as turns:
        await speech.say(replace(said("Sizes 8 and 10. " * 20), lexicon={"sizes": "the sizes"}))
        passed = turns()
    assert passed > 40
    await speech.close()


@pytest.mark.parametrize("are_words", [False, True])
async def test_each_text_has_a_turn_of_the_loop_to_itself(
    are_words: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are said at a time, the loop comes round between two that are read."""
    when: list[int] = []
    with loop_turns() as turns:

        def note(text: str) -> str:
            when.append(turns())
            return text

        monkeypatch.setattr(module, "guarded", note)
        speech = Speech([Parrot()], Cache(None), normalizing=say_as_it_is)
        texts = [replace(said(f"Gown {number}."), is_words=are_words) for number in range(50)]
        await asyncio.gather(*map(speech.say, texts))
        await speech.close()
    assert len(set(when)) == len(when) == 50


async def test_a_text_given_up_gives_its_turn_to_the_next(opened: Open) -> None:
    """Whether it waited for it or had it."""
    speech = opened(Parrot())
    for turns in range(4):
        saying = [asyncio.create_task(speech.say(said(f"Gown {n}."))) for n in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in saying[:2]:
            task.cancel()
        async with asyncio.timeout(5):
            assert (await saying[2]).script == "Gown 2."


async def test_hostile_texts_reach_engines_as_words(opened: Open, tmp_path: Path) -> None:
    """Even when the normaliser does nothing, no markup and no control character goes on."""
    engine = Parrot()
    speech = opened(engine)
    for text in [*hostile.markup(tmp_path / "x"), *hostile.STRANGE]:
        try:
            await speech.say(said(text))
        except TextRefused:
            continue
    assert engine.said
    for _, text in engine.said:
        assert not set(text) & set('<>[]{}&;\\/"|$`\0\x1b\n')


# ------------------------------------------------------------------- who speaks


async def test_first_of_the_order(opened: Open) -> None:
    """The first engine of the order speaks, and no other has the text."""
    first, second = Parrot("first"), Parrot("second")
    audio = await opened(second, first).say(said(TEXT, "first", "second"))
    assert audio.engine == "first"
    assert second.said == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EngineError("HTTP 500"), "HTTP 500"),
        (EngineError("too long", is_temporary=False), "too long"),
        (KeyError(SECRET), "failed (KeyError)"),
        (TimeoutError(), "took over 90 s"),
        (TextRefused("too-long"), "the text is too long to be spoken"),
    ],
)
async def test_next_of_the_order(opened: Open, error: Exception, reason: str) -> None:
    """When an engine fails in any way, the next speaks."""
    first, second = Parrot("first"), Parrot("second")
    first.error = error
    speech = opened(first, second)
    assert (await speech.say(said(TEXT, "first", "second"))).engine == "second"
    refused = await refusal(speech, said(TEXT, "first"))
    assert [each.reason for each in refused.attempts] == [reason]
    assert SECRET not in str(refused)


@pytest.mark.parametrize(
    "answer",
    [Pcm(np.zeros(8_000, np.int16), 8_000), Pcm(np.zeros(0, np.int16), 8_000)],
    ids=["silence", "nothing"],
)
async def test_silent_engine(opened: Open, answer: Pcm) -> None:
    """An engine that answers with silence has failed."""
    first, second = Parrot("first"), Parrot("second")
    first.answer = answer
    assert (await opened(first, second).say(said(TEXT, "first", "second"))).engine == "second"


async def test_text_stays_here(opened: Open) -> None:
    """An engine elsewhere never has the text of a shop that did not allow it."""
    far, near = Parrot("far", is_remote=True), Parrot("near")
    speech = opened(far, near)
    assert (await speech.say(said(TEXT, "far", "near"))).engine == "near"
    refused = await refusal(speech, said(TEXT, "far"))
    assert refused.attempts[0].reason == "may not have this text"
    assert not refused.is_temporary
    assert far.said == []
    near.error = EngineError("broken")
    for allowed in (frozenset(), frozenset({"near"}), None):
        await refusal(speech, replace(said("Other.", "far", "near"), allowed=allowed))
    assert far.said == []


async def test_allowed_elsewhere(opened: Open) -> None:
    """A shop that allows it is spoken for from elsewhere."""
    far = Parrot("far", is_remote=True)
    utterance = replace(said(TEXT, "far"), allowed=frozenset({"far"}))
    assert (await opened(far).say(utterance)).engine == "far"


async def test_every_engine_is_accounted_for(opened: Open) -> None:
    """When nobody speaks, the error tells of each engine why, and when to come back."""
    busy, spanish = Parrot("busy"), Parrot("spanish", languages=("es",))
    busy.error = EngineError("HTTP 429", retry_after_s=30.0)
    speech = opened(busy, spanish, Parrot("far", is_remote=True))
    refused = await refusal(speech, said(TEXT, "busy", "spanish", "far", "gone"))
    assert str(refused) == (
        "no engine could speak (busy: HTTP 429; spanish: has no voice for 'en'; "
        "far: may not have this text; gone: is not set up)"
    )
    assert refused.is_temporary
    assert refused.retry_after_s == 30.0


async def test_failing_engine_is_skipped(opened: Open) -> None:
    """An engine that keeps failing is left alone, until its time is over and it speaks again."""
    now = [100.0]
    first, second = Parrot("first"), Parrot("second")
    first.error = EngineError("broken")
    speech = opened(first, second, clock=lambda: now[0])
    for number in range(10):
        audio = await speech.say(said(f"Number {number}.", "first", "second"))
        assert audio.engine == "second"
    assert len(first.said) == 3
    assert [each.name for each in speech.health() if each.skipped_for_s] == ["first"]
    first.error = None
    now[0] += 1.0
    assert (await speech.say(said("Better?", "first", "second"))).engine == "first"
    assert not any(each.failures for each in speech.health())


async def test_cached_audio_of_a_skipped_engine(opened: Open) -> None:
    """What an engine has said is played though it is skipped now."""
    engine = Parrot()
    speech = opened(engine)
    await speech.say(said())
    engine.error = EngineError("HTTP 429", retry_after_s=60.0)
    refused = await refusal(speech, said("Something else."))
    assert refused.retry_after_s == 60.0
    again = await refusal(speech, said("Something else."))
    assert "is skipped for 60 s" in str(again)
    assert (await speech.say(said())).is_cached


# ------------------------------------------------------------------- rendered once


async def test_blast(opened: Open) -> None:
    """A thousand equal texts at a time are rendered once."""
    engine = Parrot()
    speech = opened(engine)
    audios = await asyncio.gather(*(speech.say(said()) for _ in range(1_000)))
    assert len({audio.data for audio in audios}) == 1
    assert len(engine.said) == 1


async def test_what_makes_audio_differ(opened: Open) -> None:
    """Another text, voice, law or version of the engine is rendered anew; another shop is not."""
    engine = Parrot(languages=("en", "es"))
    speech = opened(engine)
    variants = [
        said(),
        said("Your gown is here."),
        replace(said(), voice="parrot:en-2"),
        replace(said(), law=Law.ALAW),
        replace(said(), language="es"),
    ]
    keys = {(await speech.say(variant)).key for variant in variants}
    assert len(keys) == len(engine.said) == len(variants)
    engine.fingerprint = "2"
    assert not (await speech.say(said())).is_cached
    assert (await speech.say(replace(said(), lexicon={"another": "shop"}))).is_cached


async def test_two_of_one_name(opened: Open) -> None:
    """Two engines of one name are a mistake."""
    with pytest.raises(ValueError, match="one name"):
        opened(Parrot(), Parrot())


async def test_close_closes_engines(opened: Open) -> None:
    """Engines are closed with it, also while one speaks; who waits is told so."""
    engine = Parrot()
    engine.gate.clear()
    speech = opened(engine)
    saying = asyncio.create_task(speech.say(said()))
    await engine.begun.wait()
    await speech.close()
    with pytest.raises(NotSpoken, match="speech is shut down") as caught:
        await saying
    assert caught.value.is_temporary
    assert engine.is_closed


@pytest.mark.parametrize(
    ("octets", "why"),
    [(b"", "no audio"), (8_000, "no audio"), (None, "no audio"), (bytes(1 << 20), "more than 120")],
)
async def test_telephone_audio_of_a_third_party(opened: Open, octets: object, why: str) -> None:
    """Is looked at before it is kept and played: none, or hours of it, is refused."""

    class Phone(Parrot):
        async def telephone(self, text: str, voice: Voice, law: str) -> object:
            return octets

    with pytest.raises((NotSpoken, TextRefused), match=why):
        await opened(Phone()).say(said())


# ------------------------------------------------------------------- the default engine


OFFLINE = """
import asyncio, socket
from tts.cache import Cache
from tts.pico import PicoEngine
from tts.speech import Speech, Utterance
from tts.steps import Steps

async def main():
    speech = Speech([PicoEngine(workers=1)], Cache(None))
    await speech.start()
    audio = await speech.say(Utterance("Your order 4471 is ready, call (212) 555-0123."))
    print(audio.engine, audio.duration_s > 4)
    await speech.close()

asyncio.run(main())
"""


def _speak(*prefix: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-c", OFFLINE],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_default_without_a_network() -> None:
    """With the network cut, normaliser, default engine and phone audio need nothing else."""
    pytest.importorskip("py_nanotts")
    cut = ("unshare", "--map-root-user", "--net")
    try:
        allowed = subprocess.run([*cut, "true"], check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("this system has no unshare")
    if allowed.returncode:
        pytest.skip("this system does not let a network be cut")
    result = _speak(*cut)
    assert result.stdout == "pico True\n", result.stderr


async def test_default_opens_no_socket(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default engine asks nobody: no connection is made and no name looked up."""
    pytest.importorskip("py_nanotts")

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, forbidden, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    audio = await opened(PicoEngine(workers=1)).say(said(TEXT, "pico"))
    assert audio.duration_s > 1.0
