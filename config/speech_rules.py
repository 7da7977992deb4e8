"""Rules about speech that the type of one key cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from config.breach import Breach
from config.faults import KeyPath
from config.settings import Settings, is_loopback
from config.speech import ENGINES, SpeechSettings


def speech_is_possible(settings: Settings) -> Iterator[Breach]:
    """Every engine of the order is known and has what it needs; texts and keys cross networks
    only inside TLS.
    """
    speech = settings.speech
    yield from _order(speech)
    if "piper" in speech.engines and not speech.piper_voices:
        yield _missing("piper_voices", 'name a voice: ["voices/en_US-joe-medium.onnx"]')
    if "gtts" in speech.engines:
        yield from _address("gtts_url", speech.gtts_url)
    if "openai" in speech.engines:
        yield from _openai(speech)
    for name in speech.plugins:
        if name in ENGINES:
            problem = f"{name} is an engine of the gateway itself"
            yield Breach(("speech", "plugins"), problem, "only engines of other packages go here")


def _order(speech: SpeechSettings) -> Iterator[Breach]:
    path: KeyPath = ("speech", "engines")
    if not speech.engines:
        yield Breach(path, "names no engine", 'leave it out, or write ["pico"]')
    for name in dict.fromkeys(speech.engines):
        if speech.engines.count(name) > 1:
            yield Breach(path, f"names {name} more than once", "once is enough")
        if name not in ENGINES and name not in speech.plugins:
            hint = f"known: {', '.join(ENGINES)}; one of an installed package goes in plugins too"
            yield Breach(path, f'there is no engine "{name}"', hint, (("speech", "plugins"),))


def _openai(speech: SpeechSettings) -> Iterator[Breach]:
    for key, hint in (
        ("openai_url", 'the server\'s address, such as "http://127.0.0.1:8880/v1"'),
        ("openai_model", "the model to ask for"),
        ("openai_voices", 'its voices by language: { en = ["alloy"] }'),
    ):
        if not getattr(speech, key):
            yield _missing(key, hint)
    if any(not voices for voices in speech.openai_voices.values()):
        path: KeyPath = ("speech", "openai_voices")
        yield Breach(path, "a language has no voice", "name one, or leave the language out")
    if speech.openai_url:
        yield from _address("openai_url", speech.openai_url)


def _missing(key: str, hint: str) -> Breach:
    return Breach(("speech", key), "missing", hint, (("speech", "engines"),))


def _address(key: str, url: str) -> Iterator[Breach]:
    """An https address, or http of this machine."""
    path: KeyPath = ("speech", key)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https"):
        yield Breach(path, "expected the address of a server", 'like "https://speech.example.com"')
    elif parts.username or parts.query or parts.fragment:
        yield Breach(path, "expected an address without user, query or fragment")
    elif parts.scheme == "http" and not is_loopback(host):
        hint = "use https; http goes to this machine alone"
        yield Breach(path, "texts would leave this machine unencrypted", hint)
