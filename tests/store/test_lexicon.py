"""Shops' own pronunciations in the store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from config.speech import SpeechSettings
from gateway.errors import Refusal
from gateway.store.database import Database
from gateway.store.directory import Directory
from gateway.store.lexicon import read_lexicon, remove_entry, set_entry
from gateway.store.shops import add_shop, get_shop, set_shop
from tests.postgres import ConnectParameters
from tests.store.sample import SAMPLE, SMS, store_of
from tts.lexicon import MAX_ENTRIES, MAX_WRITTEN


@pytest.fixture
async def store(database: ConnectParameters) -> AsyncIterator[Database]:
    """A store with the sample shop."""
    store = store_of(database)
    await store.run(lambda c: add_shop(c, SAMPLE, SMS))
    yield store
    await store.close()


async def entries(store: Database) -> dict[str, str]:
    return await store.run(lambda c: read_lexicon(c, 1))


async def test_an_entry_is_set_changed_and_removed(store: Database) -> None:
    """The last word counts."""
    await store.run(lambda c: set_entry(c, "sample", " Nguyen ", "win"))
    await store.run(lambda c: set_entry(c, "sample", "Nguyen", "wen"))
    assert await entries(store) == {"Nguyen": "wen"}
    await store.run(lambda c: remove_entry(c, "sample", "Nguyen"))
    assert await entries(store) == {}


@pytest.mark.parametrize(
    ("written", "spoken", "words"),
    [
        ("", "x", "no letter or digit"),
        ("!!", "x", "no letter or digit"),
        ("\u03a9", "ohm", "no letter or digit"),
        ("x", "", "says nothing"),
        ("x", "\U0001f600", "says nothing"),
        ("x" * (MAX_WRITTEN + 1), "x", "longer than"),
        ("x", "y" * 121, "more than 120"),
        ("a\0", "x", "written has a character that cannot be kept"),
        ("x", "a\ud800", "spoken has a character that cannot be kept"),
    ],
)
async def test_what_could_never_be_said_is_refused(
    store: Database, written: str, spoken: str, words: str
) -> None:
    """When it is stored, not when somebody listens."""
    with pytest.raises(Refusal, match=words) as caught:
        await store.run(lambda c: set_entry(c, "sample", written, spoken))
    assert caught.value.faults
    assert await entries(store) == {}


async def test_a_lexicon_is_bounded(store: Database) -> None:
    """One entry more than the most is refused; changing one that is there is not."""
    await store.fetch(
        "INSERT INTO lexicon SELECT 1, 'w' || n, 's' FROM generate_series(1, $1) n", MAX_ENTRIES
    )
    with pytest.raises(Refusal, match="at most 500"):
        await store.run(lambda c: set_entry(c, "sample", "more", "x"))
    await store.run(lambda c: set_entry(c, "sample", "w1", "x"))


async def test_unknown_shops_and_entries_are_told(store: Database) -> None:
    """As not found."""
    for work in (
        lambda c: set_entry(c, "nobody", "a", "b"),
        lambda c: remove_entry(c, "nobody", "a"),
        lambda c: remove_entry(c, "sample", "a"),
        lambda c: remove_entry(c, "sample", "a\0"),
    ):
        with pytest.raises(Refusal) as caught:
            await store.run(work)
        assert caught.value.type == "not-found"


async def test_every_change_is_seen_in_the_shop(store: Database) -> None:
    """So that nodes that speak for it read the lexicon again."""
    directory = Directory(store)
    await directory.load()
    versions = [directory.list_shops()[0].speech.lexicon]
    for work in (
        lambda c: set_entry(c, "sample", "a", "b"),
        lambda c: set_entry(c, "sample", "a", "c"),
        lambda c: remove_entry(c, "sample", "a"),
    ):
        await store.run(work)
        await directory.load()
        versions.append(directory.list_shops()[0].speech.lexicon)
    directory.close()
    assert versions == [0, 1, 2, 3]


async def test_how_a_shop_is_spoken_is_kept(store: Database) -> None:
    """Language, voice, order and permissions; an empty text clears each."""
    speech = SpeechSettings(engines=("pico", "gtts"))
    values = {
        "language": "es", "voice": "pico:es-ES", "engines": "gtts, pico,gtts", "allowed": "gtts",
    }  # fmt: skip
    shop = await store.run(lambda c: set_shop(c, "sample", values, SMS, speech))
    assert shop.speech.language == "es"
    assert shop.speech.voice == "pico:es-ES"
    assert shop.speech.engines == ("gtts", "pico")
    assert shop.speech.allowed == ("gtts",)
    kept = await store.run(lambda c: set_shop(c, "sample", {"name": "Other"}, SMS, speech))
    assert kept.speech == shop.speech
    cleared = dict.fromkeys(values, "")
    await store.run(lambda c: set_shop(c, "sample", cleared, SMS, speech))
    shop = await store.run(lambda c: get_shop(c, "sample"))
    assert (shop.speech.language, shop.speech.voice) == (None, None)
    assert (shop.speech.engines, shop.speech.allowed) == ((), ())


async def test_every_faulty_field_of_speech_is_named(store: Database) -> None:
    """With what there is instead."""
    values = {"language": "tlh", "voice": "pico", "engines": "pico,nope", "allowed": "gtts\0"}
    with pytest.raises(Refusal) as caught:
        await store.run(lambda c: set_shop(c, "sample", values, SMS, SpeechSettings()))
    assert [fault.field for fault in caught.value.faults] == list(values)
    assert all(fault.hint for fault in caught.value.faults)
