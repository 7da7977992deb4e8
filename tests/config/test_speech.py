"""Settings of speech."""

from __future__ import annotations

from typing import get_args

import pytest

from config.speech import SpeechSettings, SpokenLanguage
from tests.config.reading import Reader
from tts.normalize import LANGUAGES

OPENAI = """[speech]
engines = ["openai"]
openai_model = "sample"
openai_voices = { en = ["ann"] }
"""


def test_the_languages_are_those_that_numbers_can_be_read_in() -> None:
    """Settings and normaliser know the same ones."""
    assert set(get_args(SpokenLanguage)) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("engines = []", "engines", "names no engine"),
        ('engines = ["pico", "pico"]', "engines", "names pico more than once"),
        ('engines = ["picco"]', "engines", 'there is no engine "picco"'),
        ('engines = ["piper"]', "piper_voices", "missing"),
        ('engines = ["gtts"]\ngtts_url = "http://example.com"', "gtts_url", "unencrypted"),
        ('engines = ["gtts"]\ngtts_url = "example.com"', "gtts_url", "the address of a server"),
        ('engines = ["gtts"]\ngtts_url = "https://[x"', "gtts_url", "the address of a server"),
        ('engines = ["gtts"]\ngtts_url = "https://a:b@example.com"', "gtts_url", "without user"),
        ("plugins = { pico = {} }", "plugins", "an engine of the gateway itself"),
        ('language = "de"', "language", "expected one of"),
    ],
)
def test_a_broken_rule_is_a_fault(reader: Reader, text: str, where: str, problem: str) -> None:
    """Each with its key and line."""
    fault = reader.fault(f"[speech]\n{text}\n")
    assert fault.where == f"speech.{where}"
    assert fault.line is not None
    assert problem in fault.problem


def test_a_server_for_speech_needs_address_model_and_voices(reader: Reader) -> None:
    """All that is missing is told at once."""
    faults = reader.faults('[speech]\nengines = ["openai"]\n')
    assert [fault.where for fault in faults] == [
        "speech.openai_url", "speech.openai_model", "speech.openai_voices",
    ]  # fmt: skip


@pytest.mark.parametrize("url", ["https://speech.example.com", "http://127.0.0.1:8880/v1"])
def test_a_server_is_asked_over_tls_or_on_this_machine(reader: Reader, url: str) -> None:
    """Texts do not cross a network readably."""
    assert reader.read(f'{OPENAI}openai_url = "{url}"\n').speech.openai_voices == {"en": ("ann",)}


def test_an_engine_of_a_package_is_named_in_plugins(reader: Reader) -> None:
    """With the options that it gets, which are not shown: one may be a secret."""
    speech = reader.read(
        '[speech]\nengines = ["other", "pico"]\nplugins = { other = { key = "s3cret" } }\n'
    ).speech
    assert speech.plugins == {"other": {"key": "s3cret"}}
    assert "s3cret" not in repr(speech)


def test_the_key_of_a_server_may_be_in_a_file(reader: Reader) -> None:
    """And is not shown."""
    path = reader.folder / "secret"
    path.write_text("s3cret\n", encoding="utf-8")
    path.chmod(0o600)
    text = f'{OPENAI}openai_url = "https://example.com"\nopenai_api_key_file = "secret"\n'
    speech = reader.read(text).speech
    assert speech.openai_api_key == "s3cret"
    assert "s3cret" not in repr(speech)


def test_engines_from_the_environment(reader: Reader) -> None:
    """A list with commas."""
    speech = reader.read("", {"GATEWAY__SPEECH__ENGINES": "pico"}).speech
    assert speech == SpeechSettings()
