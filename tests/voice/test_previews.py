"""Messages spoken to be looked at."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Refusal
from gateway.model import Category
from gateway.store.records import Shop
from gateway.voice import lexicons
from gateway.voice.links import SECRET_FILE
from gateway.voice.previews import SpokenPreview
from protocols.audio import wav
from tests.tts.hostile import LONG, MARKUP, SILENT, STRANGE
from tests.turning import loop_turns
from tests.voice.desk import SHOP, Stage, shop
from tts.engine import EngineError, TooLong

TEXT = "Your gown is ready."


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Stage]:
    """Previews with a folder of their own."""
    stage = Stage(monkeypatch, tmp_path / "speech")
    yield stage
    await stage.previews.close()


async def hear(
    stage: Stage,
    text: str = TEXT,
    whose: Shop = SHOP,
    category: Category = Category.TRANSACTIONAL,
    language: str | None = None,
    *,
    is_left: bool = True,
    is_operator: bool = False,
) -> SpokenPreview:
    who = {"is_left": is_left, "is_operator": is_operator}
    return await stage.previews.preview(whose, text, category, language, **who)


async def refused(
    stage: Stage, text: str = TEXT, whose: Shop = SHOP, *, is_operator: bool = False
) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await hear(stage, text, whose, is_operator=is_operator)
    return caught.value


async def test_a_preview_is_the_whole_call(stage: Stage) -> None:
    """Who calls, the message, how to call back, and what is left on a voicemail."""
    found = await hear(stage)
    assert found.script.splitlines() == [
        "This is Sample Bridal.",
        TEXT,
        "You can call us back at (212) 555-0100.",
        "Press 2 to hear this again.",
    ]
    assert found.voicemail is not None and "Press" not in found.voicemail
    assert found.spoken == stage.here.said[0][1]
    assert (found.engine, found.voice) == ("here", "here:en-1")
    assert found.duration_s > 0.4
    content = wav.read((await stage.previews.listen(found.token)).wav)
    assert content.rate == 8_000
    assert len(content.samples) == pytest.approx(found.duration_s * 8_000, abs=100)


async def test_marketing_offers_the_way_out(stage: Stage) -> None:
    """And leaves no voicemail while there is no toll-free number to name in it."""
    found = await hear(stage, category=Category.MARKETING)
    assert "press 9" in found.script
    assert found.voicemail is None
    assert found.why_no_voicemail is not None and "toll-free" in found.why_no_voicemail
    found = await hear(stage, is_left=False)
    assert (found.voicemail, found.why_no_voicemail) == (None, None)


async def test_no_text_leaves_for_an_engine_that_the_shop_has_not_allowed(stage: Stage) -> None:
    """Whatever order it has; not even when nothing else speaks."""
    await hear(stage)
    await hear(stage, "Two.", shop(engines=("away", "here")))
    stage.here.error = EngineError("is broken")
    await refused(stage, "Three.")
    assert (await refused(stage, "Four.", shop(engines=("away",)))).type == "not-available"
    assert stage.away.said == []
    found = await hear(stage, "Five.", shop(allowed=("away",)))
    assert found.engine == "away"
    assert len(stage.away.said) == 1


async def test_the_next_engine_speaks_when_one_is_down(stage: Stage) -> None:
    """And both are counted."""
    stage.away.error = EngineError("HTTP 500")
    found = await hear(stage, whose=shop(allowed=("away",)))
    assert found.engine == "here"
    assert stage.counted == [("away", True), ("here", False)]


async def test_engines_that_are_all_down_are_told(stage: Stage) -> None:
    """With when to try again, and to operators in the engines' own words: they may name machines
    that are no concern of a shop.
    """
    stage.away.error = EngineError("no connection to 192.0.2.7", retry_after_s=7.2)
    stage.here.error = EngineError("here took over 10 s")
    whose = shop(allowed=("away",))
    refusal = await refused(stage, whose=whose)
    assert (refusal.type, refusal.retry_after_s) == ("unavailable", 8)
    assert "away: does not speak at the moment; here: does not" in refusal.detail
    refusal = await refused(stage, "Another.", whose, is_operator=True)
    assert "here: here took over 10 s" in refusal.detail
    for name in ("french", "unknown"):
        refusal = await refused(stage, whose=shop(engines=("away", name), language="fr"))
        assert f"away: may not have this text; {name}: is not set up" in refusal.detail


async def test_an_engine_that_cannot_be_made_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which and why."""
    stage = Stage(monkeypatch, tmp_path, engines=("gone", "here"))
    assert (await hear(stage)).engine == "here"
    assert "gone cannot be used" in caplog.text
    (gone, _) = (await stage.previews.voices(SHOP)).engines
    assert gone.problem is not None and not gone.is_allowed
    await stage.previews.close()


async def test_language_and_voice_of_the_shop(stage: Stage) -> None:
    """The message's language goes before the shop's, and that before the settings'."""
    spanish = shop(language="es", voice="here:es-2")
    found = await hear(stage, whose=spanish)
    assert (found.language, found.voice) == ("es", "here:es-2")
    assert found.script.startswith("Le habla Sample Bridal.")
    found = await hear(stage, whose=spanish, language="fr")
    assert (found.language, found.voice) == ("fr", "here:fr-1")


async def test_the_lexicon_of_the_shop(stage: Stage) -> None:
    """Is read once for each version of it."""
    stage.lexicon.entries = {"Nguyen": "win"}
    for _ in range(3):
        found = await hear(stage, "Nguyen is here.", shop(lexicon=1))
        assert "win is here" in found.spoken
        assert "Nguyen is here." in found.script
    assert stage.lexicon.reads == 1
    stage.lexicon.entries = {"Nguyen": "wen"}
    assert "wen" in (await hear(stage, "Nguyen is here.", shop(lexicon=2))).spoken
    assert stage.lexicon.reads == 2


async def test_the_lexicons_of_shops_that_spoke_long_ago_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    """Memory is bounded, however many shops speak."""
    monkeypatch.setattr(lexicons, "KEPT", 2)
    for number in (1, 2, 3, 1):
        await hear(stage, whose=replace(shop(lexicon=1), id=number))
    assert stage.lexicon.reads == 4


async def test_faults_of_the_shop_are_told_as_such(stage: Stage) -> None:
    """A name that nobody can say, and a lexicon that came from elsewhere."""
    (fault,) = (await refused(stage, whose=replace(SHOP, name="!!!"))).faults
    assert fault.field == "shop" and "name" in fault.problem
    stage.lexicon.entries = {"!": "x"}
    (fault,) = (await refused(stage, whose=shop(lexicon=1))).faults
    assert fault.field == "lexicon"


async def test_a_thousand_previews_of_one_text_render_once(stage: Stage) -> None:
    """At the same time and one after the other."""
    await asyncio.gather(*(hear(stage) for _ in range(500)))
    for _ in range(500):
        await hear(stage)
    assert len(stage.here.said) == 1


async def test_new_texts_are_bounded_for_each_shop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bound is a setting; what was heard can be heard again."""
    stage = Stage(monkeypatch, None, previews_per_minute=2)
    await hear(stage, "One.")
    await hear(stage, "Two.")
    refusal = await refused(stage, "Three.")
    assert (refusal.type, refusal.retry_after_s) == ("over-limit", 30)
    await hear(stage, "One.")
    stage.passed += 30
    await hear(stage, "Three.")
    await stage.previews.close()


def other(number: int) -> Shop:
    """Another shop than the sample."""
    return replace(SHOP, id=number, code=f"sample-{number}")


async def begin(stage: Stage, text: str, whose: Shop = SHOP) -> asyncio.Task[SpokenPreview]:
    """A preview that has its place in the line, or its turn."""
    task = asyncio.create_task(hear(stage, text, whose))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the answer comes at once, and says when to try again."""
    stage = Stage(monkeypatch, None, previews_at_once=1, previews_waiting_max=1)
    stage.here.gate.clear()
    tasks = [await begin(stage, text) for text in ("One.", "Two.")]
    await stage.here.begun.wait()
    refusal = await refused(stage, "Three.")
    assert (refusal.type, refusal.retry_after_s) == ("unavailable", 2)
    assert len(stage.here.said) == 1
    stage.here.gate.set()
    await asyncio.gather(*tasks)
    await stage.previews.close()


async def test_a_shop_that_wants_much_does_not_keep_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With an engine that hangs it holds half of the turns, and the places that nobody else wants;
    another shop is heard at once.
    """
    bounds: dict[str, Any] = {"previews_at_once": 2, "previews_waiting_max": 4}
    stage = Stage(monkeypatch, None, previews_per_minute=100, **bounds)
    stage.away.gate.clear()
    greedy = shop(engines=("away",), allowed=("away",))
    tasks = [await begin(stage, f"Text {number}.", greedy) for number in range(20)]
    for number in range(3):
        assert (await hear(stage, f"Text {number}.", other(2))).engine == "here"
    await stage.away.begun.wait()
    assert len(stage.away.said) == 1
    stage.away.gate.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(each, Refusal) for each in ends) == 15
    await stage.previews.close()


async def test_a_text_is_not_even_read_out_of_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading is work of the event loop, which one shop could fill with texts."""
    stage = Stage(monkeypatch, None, previews_at_once=1)
    stage.lexicon.entries = {"Nguyen": "win"}
    stage.here.gate.clear()
    task = await begin(stage, "One.")
    await stage.here.begun.wait()
    waiting = [await begin(stage, f"Two {n}.", shop(lexicon=1)) for n in range(20)]
    assert stage.lexicon.reads == 0
    stage.here.gate.set()
    await asyncio.gather(task, *waiting)
    assert stage.lexicon.reads == 1
    await stage.previews.close()


async def test_what_found_no_place_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop that is told to come back later has lost nothing by it."""
    stage = Stage(
        monkeypatch, None, previews_per_minute=3, previews_at_once=1, previews_waiting_max=1
    )
    stage.here.gate.clear()
    tasks = [await begin(stage, text) for text in ("One.", "Two.")]
    for number in range(9):
        assert (await refused(stage, f"Text {number}.")).type == "unavailable"
    stage.here.gate.set()
    await asyncio.gather(*tasks)
    await hear(stage, "Three.")
    assert (await refused(stage, "Four.")).type == "over-limit"
    await stage.previews.close()


async def test_a_text_that_is_read_in_vain_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading keeps the event loop busy, also with what cannot be spoken."""
    stage = Stage(monkeypatch, None, previews_per_minute=3)
    for _ in range(3):
        assert (await refused(stage, "!!!")).type == "invalid-request"
    assert (await refused(stage, "!!!")).type == "over-limit"
    await stage.previews.close()


async def test_a_clock_that_is_set_back_locks_no_shop_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shop may hear in a minute does not hang on the time of day."""
    stage = Stage(monkeypatch, None, previews_per_minute=2)
    await hear(stage, "One.")
    stage.now -= 3_600
    await hear(stage, "Two.")
    stage.passed += 30
    await hear(stage, "Three.")
    await stage.previews.close()


async def test_a_slow_engine_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is answered in time; the speech may still come into the cache."""
    stage = Stage(monkeypatch, None, preview_timeout_s=0.01)
    stage.here.gate.clear()
    assert (await refused(stage)).type == "unavailable"
    await stage.previews.close()
    assert stage.here.is_closed


async def test_a_link_ends(stage: Stage) -> None:
    """After its time it leads nowhere, and says so."""
    found = await hear(stage)
    assert found.expires_ms == (1_000_000 + 3_600) * 1000
    stage.now += 3_599
    await stage.previews.listen(found.token)
    stage.now += 1
    with pytest.raises(Refusal, match="expired") as caught:
        await stage.previews.listen(found.token)
    assert caught.value.type == "not-found"


async def test_a_recording_is_in_memory_once(stage: Stage) -> None:
    """For all who listen at a time, and no longer than they do."""
    found = await hear(stage)
    recording = await stage.previews.listen(found.token)
    is_shared = [await stage.previews.listen(found.token) is recording for _ in range(3)]
    assert is_shared == [True, True, True]
    del recording
    assert not stage.previews._listened_to


async def test_speech_that_is_gone_is_not_found(stage: Stage) -> None:
    """The link is sound, and a new preview makes another."""
    found = await hear(stage)
    await (await stage.desk.open()).cache.clear()
    with pytest.raises(Refusal, match="not kept any more") as caught:
        await stage.previews.listen(found.token)
    assert caught.value.hint


async def test_a_link_outlives_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: Stage
) -> None:
    """The next one plays it from the same folder."""
    found = await hear(stage)
    await stage.previews.close()
    after = Stage(monkeypatch, tmp_path / "speech")
    assert wav.read((await after.previews.listen(found.token)).wav).rate == 8_000
    await after.previews.close()


async def test_links_outlive_a_folder_that_was_deleted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: Stage
) -> None:
    """Those made afterwards: the next process knows the secret that they were signed with."""
    await hear(stage)
    shutil.rmtree(tmp_path / "speech")
    found = await hear(stage, "Made afterwards.")
    await stage.previews.close()
    after = Stage(monkeypatch, tmp_path / "speech")
    assert wav.read((await after.previews.listen(found.token)).wav).rate == 8_000
    await after.previews.close()


async def test_nothing_is_written_outside_the_folder(stage: Stage, tmp_path: Path) -> None:
    """And what is there is for this user alone."""
    await hear(stage)
    assert os.listdir(tmp_path) == ["speech"]
    secret, speech = sorted(os.listdir(tmp_path / "speech"), key=len)
    assert secret == SECRET_FILE and speech.endswith(".spoken")
    for name in (secret, speech):
        assert (tmp_path / "speech" / name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", [*SILENT, *LONG], ids=lambda text: repr(text[:12]))
async def test_a_text_that_cannot_be_spoken_is_refused(stage: Stage, text: str) -> None:
    """The field is named, the text is not repeated, and no engine sees it."""
    refusal = await refused(stage, text)
    assert refusal.type == "invalid-request"
    (fault,) = refusal.faults
    assert fault.field == "text" and fault.hint
    assert not text.strip() or text[:12] not in refusal.detail
    assert stage.here.said == []


@pytest.mark.parametrize("text", [*MARKUP, *STRANGE], ids=lambda text: repr(text[:12]))
async def test_a_strange_text_is_refused_or_made_harmless(
    stage: Stage, text: str, tmp_path: Path
) -> None:
    """What an engine gets has letters and the signs of a sentence alone."""
    try:
        await hear(stage, text.replace("{path}", str(tmp_path / "written")))
    except Refusal as refusal:
        assert refusal.type == "invalid-request"
        assert refusal.faults[0].field == "text"
    for _, said in stage.here.said:
        assert all(c.isalnum() or c in " ,.?!'-" for c in said)
    assert not (tmp_path / "written").exists()


async def test_a_text_that_takes_too_long_is_refused(stage: Stage) -> None:
    """By what it takes when spoken: numbers take most."""
    refusal = await refused(stage, "Call 212-555-0123. " * 80)
    assert refusal.faults[0].field == "text"
    assert "2,500" in refusal.detail and "shorten" in refusal.faults[0].hint
    refusal = await refused(stage, "a " * 1_240)
    assert "2,000" in refusal.detail
    refusal = await refused(stage, "Ready. " * 280, replace(SHOP, name="Sample " * 90))
    assert "spoken characters" in refusal.detail
    stage.here.error = TooLong()
    refusal = await refused(stage)
    assert (refusal.type, refusal.faults[0].field) == ("invalid-request", "text")
    assert "120 s" in refusal.detail


async def test_a_message_of_500_characters_full_of_digits_is_spoken(stage: Stage) -> None:
    """Though its words are more than a thousand characters."""
    text = ("Order 48213 is $149.50. " * 21)[:500]
    assert len((await hear(stage, text)).spoken) > 1_000


async def test_a_message_is_read_a_little_in_each_turn_of_the_loop(
    monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    """Reading takes milliseconds, in which the calls of others would stutter."""
    await hear(stage)
    monkeypatch.setattr("tts.turns.SLICE_S", 0.0)
    with loop_turns() as turns:
        await hear(stage, "Sizes 8 and 10. " * 20)
        passed = turns()
    assert passed > 40


async def test_a_desk_that_never_spoke_has_nothing_to_close(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And made no folder."""
    stage = Stage(monkeypatch, tmp_path / "speech")
    await stage.previews.close()
    assert os.listdir(tmp_path) == []


async def test_voices_of_a_shop(stage: Stage) -> None:
    """Those of engines that may have its texts; an operator sees all."""
    found = await stage.previews.voices(SHOP)
    assert {voice.engine for voice in found.voices} == {"here"}
    assert [(e.name, e.is_remote, e.is_allowed) for e in found.engines] == [
        ("away", True, False),
        ("here", False, True),
    ]
    everything = await stage.previews.voices(None)
    assert {voice.engine for voice in everything.voices} == {"here", "away"}


async def test_an_engine_that_is_skipped_is_told(stage: Stage) -> None:
    """With how long, and why."""
    stage.here.error = EngineError("is broken")
    for text in ("One.", "Two.", "Three."):
        await refused(stage, text)
    (_, here) = (await stage.previews.voices(SHOP)).engines
    assert here.problem is not None
    assert "is skipped" in here.problem and "is broken" in here.problem


async def test_no_text_reaches_the_log(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever fails, and however talkative the log is."""
    caplog.set_level(logging.DEBUG)
    stage.here.error = RuntimeError("the canary sings at noon")
    for number in ("one", "two", "three", "four"):
        refusal = await refused(stage, f"The canary sings at noon {number}.")
        assert "canary" not in refusal.detail.lower()
    assert "here is skipped" in caplog.text
    assert "canary" not in caplog.text.lower()
