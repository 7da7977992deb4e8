"""Settings of speech: the engines, what they may take, and how long their work is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from config.section import Seconds, Section

ENGINES: Final = ("pico", "piper", "gtts", "openai")
"""The engines that the gateway brings; others are plugins."""

ENGINE_NAME = r"^[a-z0-9]+(-[a-z0-9]+)*\Z"
EngineName = Annotated[str, Meta(pattern=ENGINE_NAME, max_length=32)]
SpokenLanguage = Literal["en", "es", "fr"]
"""A language that numbers, dates and prices can be read in."""

LanguageCode = Annotated[str, Meta(pattern=r"^[a-z]{2}\Z")]
VoiceName = Annotated[str, Meta(min_length=1, max_length=64)]
Url = Annotated[str, Meta(max_length=500)]
Workers = Annotated[int, Meta(ge=0, le=64)]


class SpeechSettings(Section, frozen=True):
    """How messages are spoken. `plugins`: engines of installed packages, with their options."""

    engines: tuple[EngineName, ...] = ("pico",)
    language: SpokenLanguage = "en"
    workers: Workers = 0
    timeout_s: Seconds = 10.0
    cache_max_bytes: Annotated[int, Meta(ge=1_048_576, le=1 << 50)] = 1 << 30
    cache_ttl_s: Seconds = 86_400.0
    previews_per_minute: Annotated[int, Meta(ge=1, le=10_000)] = 30
    previews_at_once: Annotated[int, Meta(ge=1, le=64)] = 4
    previews_waiting_max: Annotated[int, Meta(ge=1, le=10_000)] = 64
    preview_timeout_s: Seconds = 30.0
    link_s: Annotated[float, Meta(ge=1, le=604_800)] = 3_600.0
    piper_voices: tuple[Annotated[str, Meta(min_length=1, max_length=500)], ...] = ()
    piper_workers: Annotated[int, Meta(ge=1, le=64)] = 1
    piper_timeout_s: Seconds = 30.0
    remote_timeout_s: Seconds = 20.0
    gtts_url: Url = "https://translate.google.com"
    openai_url: Url = ""
    openai_model: Annotated[str, Meta(max_length=100)] = ""
    openai_voices: dict[LanguageCode, tuple[VoiceName, ...]] = field(default_factory=dict)
    openai_format: Literal["wav", "mp3", "pcm"] = "wav"
    openai_api_key: Annotated[str, Meta(max_length=500)] = ""
    openai_api_key_file: Path | None = None
    plugins: dict[EngineName, dict[str, str]] = field(default_factory=dict)
