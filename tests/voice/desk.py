"""A desk whose engines do as they are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.speech import SpeechSettings
from gateway.store.records import Shop, ShopSpeech
from gateway.voice import engines
from gateway.voice.previews import Previews
from gateway.voice.speech import SpeechDesk
from tests.tts.engines import Parrot

SHOP = Shop(
    1,
    "sample",
    "Sample Bridal",
    "+12125550100",
    "owner@example.com",
    "America/New_York",
    None,
    None,
    False,
)


def shop(**speech: Any) -> Shop:
    """The sample shop, spoken in this way."""
    return replace(SHOP, speech=ShopSpeech(**speech))


class Lexicon:
    """A database that has one lexicon, and counts how often it is read."""

    def __init__(self, **entries: str) -> None:
        self.entries = entries
        self.reads = 0

    async def read(self, _work: Any) -> dict[str, str]:
        """The lexicon, whatever is asked."""
        self.reads += 1
        return dict(self.entries)


class Stage:
    """Previews of engines that beep: `here` on this machine, `away` on another."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path | None, **settings: Any
    ) -> None:
        self.here = Parrot("here", languages=("en", "es", "fr"))
        self.away = Parrot("away", is_remote=True, languages=("en",))
        made = {"here": self.here, "away": self.away}
        monkeypatch.setattr(engines, "_plugin", lambda name, _tools: made[name])
        order = settings.pop("engines", ("away", "here"))
        self.settings = SpeechSettings(engines=order, **settings)
        self.counted: list[tuple[str, bool]] = []
        self.desk = SpeechDesk(
            self.settings, folder, lambda name, _s, is_error: self.counted.append((name, is_error))
        )
        self.lexicon = Lexicon()
        self.now = 1_000_000.0
        self.passed = 0.0
        database: Any = self.lexicon
        clocks: Any = {"clock": lambda: self.now, "monotonic": lambda: self.passed}
        self.previews = Previews(self.desk, database, folder, **clocks)
