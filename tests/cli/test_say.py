"""`gateway say`, `voices`, `lexicon` and how a shop is spoken, as operators type them."""

from __future__ import annotations

import os
import socket
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.cli.main import main
from tests.cli.test_admin import ADD, Terminal, environment, terminal
from tests.tts.hostile import LONG, MARKUP, SILENT

__all__ = ["environment", "terminal"]

TEXT = "Your gown is ready. It is $149.50."


@pytest.fixture
def spoken(terminal: Terminal) -> Terminal:
    """Commands on a store with the sample shop."""
    terminal.run(*ADD)
    return terminal


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection but to this machine's own files."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX, "the network is cut"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("a name was looked up"))


def loudness(path: Path) -> tuple[int, float, float]:
    """Rate, duration and level of a WAV file, as others read it."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32_768
        level_db = 20 * float(np.log10(np.sqrt(np.mean(samples**2))))
        return file.getframerate(), len(samples) / file.getframerate(), level_db


@pytest.mark.usefixtures("offline")
def test_a_text_alone_is_said_without_store_and_network(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is set up, and nothing is written but the file."""
    environment.setenv("GATEWAY__STORE__DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "a.wav"
    out = Terminal(capsys).run("say", "--plain", TEXT, "-o", str(path))
    assert out.startswith(f"{path}: ") and "pico:en-US" in out and TEXT in out
    rate, duration_s, level_db = loudness(path)
    assert rate == 8_000
    assert 3 < duration_s < 9
    assert -26 < level_db < -14
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "gateway.toml"]


@pytest.mark.usefixtures("offline")
def test_a_call_of_a_shop(spoken: Terminal, tmp_path: Path) -> None:
    """Name first, message, callback number; the lexicon is the shop's."""
    spoken.run("lexicon", "set", "--shop", "sample", "Nguyen", "win")
    path = tmp_path / "a.wav"
    told = spoken.json("say", "--shop", "sample", "Nguyen, come in.", "-o", str(path))
    assert told["script"].splitlines() == [
        "This is Sample Bridal.",
        "Nguyen, come in.",
        "You can call us back at (212) 555-0100.",
        "Press 2 to hear this again.",
    ]
    assert "win, come in" in told["spoken"]
    assert (told["engine"], told["voice"], told["language"]) == ("pico", "pico:en-US", "en")
    assert told["duration_s"] == pytest.approx(loudness(path)[1], abs=0.01)


def test_options_of_a_call(spoken: Terminal, tmp_path: Path) -> None:
    """Category, voicemail, language and voice."""
    say = ("say", "--shop", "sample", "Listo.", "-o", str(tmp_path / "a.wav"))
    told = spoken.json(*say, "--category", "marketing", "--language", "es")
    assert "marque 9" in told["script"] and told["voice"] == "pico:es-ES"
    assert "Press" not in spoken.json(*say, "--voicemail")["script"]
    assert spoken.json(*say, "--voice", "pico:en-GB")["voice"] == "pico:en-GB"
    err = spoken.fail(*say, "--category", "marketing", "--voicemail")
    assert "--voicemail of a marketing call" in err and "toll-free" in err
    assert "shop set" not in err  # it has nothing that would help


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--engine", "piper"), "not in [speech] engines"),
        (("--engine", "gtts"), "gateway shop set sample --allow-engine gtts"),
        (("--voice", "pico:xx"), "there are: pico:en-US, pico:en-GB"),
        (("--voice", "pico:es-ES"), "no voice that reads 'en'"),
        (("--voice", "pico:es-ES"), "--language"),
        (("--voice", "en-GB"), "--voice does not say which engine's voice it is"),
        (("--voice", "pico:en-GB", "--engine", "gtts"), "--voice is not one of gtts"),
        (("-o", "/nowhere/a.wav"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_refused(
    environment: pytest.MonkeyPatch,
    spoken: Terminal,
    tmp_path: Path,
    options: tuple[str, ...],
    words: str,
) -> None:
    """With what to do instead."""
    environment.setenv("GATEWAY__SPEECH__ENGINES", "pico,gtts")
    path = tmp_path / "a.wav"
    assert words in spoken.fail("say", "--shop", "sample", TEXT, "-o", str(path), *options)
    assert not path.exists()


@pytest.mark.parametrize("text", [*SILENT, *LONG], ids=lambda text: repr(text[:12]))
def test_a_text_that_cannot_be_spoken_is_refused(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """In words, and nothing is written."""
    path = tmp_path / "a.wav"
    assert "text " in Terminal(capsys).fail("say", "--plain", text, "-o", str(path))
    assert not path.exists()


def test_markup_is_not_obeyed(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pico writes files when a text tells it to: ours never does."""
    written = tmp_path / "written"
    for text in MARKUP[:3]:
        said = text.replace("{path}", str(written))
        main(("say", "--plain", said, "-o", str(tmp_path / "a.wav")))
        capsys.readouterr()
        assert not written.exists()


@pytest.mark.parametrize("options", [(), ("--plain", "--voicemail")])
def test_a_call_or_the_text_alone(
    options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """One of the two has to be asked for, and options of a call are not ignored."""
    with pytest.raises(SystemExit):
        main(("say", TEXT, "-o", "a.wav", *options))
    assert "--plain" in capsys.readouterr().err


def test_how_a_shop_is_spoken(environment: pytest.MonkeyPatch, spoken: Terminal) -> None:
    """It is set, shown and cleared."""
    environment.setenv("GATEWAY__SPEECH__ENGINES", "pico,gtts")
    change = ("shop", "set", "sample")
    spoken.run(*change, "--language", "es", "--voice", "pico:es-ES")
    spoken.run(*change, "--allow-engine", "gtts", "--engines", "gtts,pico")
    shop = spoken.json("shop", "show", "sample")
    assert (shop["language"], shop["voice"]) == ("es", "pico:es-ES")
    assert (shop["engines"], shop["allowed_engines"]) == (["gtts", "pico"], ["gtts"])
    assert "gtts, pico" in spoken.run("shop", "show", "sample")
    spoken.run(*change, "--language", "", "--voice", "", "--engines", "", "--allow-engine", "")
    shop = spoken.json("shop", "show", "sample")
    assert (shop["language"], shop["voice"], shop["engines"]) == (None, None, [])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--engines", "gtts"), "--allow-engine gtts"),
        (("--engines", "piper"), "there are: pico, gtts"),
        (("--voice", "pico:xx"), "there are: pico:en-US, pico:en-GB"),
        (("--voice", "pico:es-ES"), "reads 'es'"),
        (("--language", "de"), "known: en, es, fr"),
    ],
)
def test_a_shop_is_not_set_to_what_cannot_be(
    environment: pytest.MonkeyPatch, spoken: Terminal, options: tuple[str, ...], words: str
) -> None:
    """And stays as it was."""
    environment.setenv("GATEWAY__SPEECH__ENGINES", "pico,gtts")
    before = spoken.json("shop", "show", "sample")
    assert words in spoken.fail("shop", "set", "sample", *options)
    assert spoken.json("shop", "show", "sample") == before


def test_voices(environment: pytest.MonkeyPatch, spoken: Terminal) -> None:
    """All there are, those of a shop, and why others are not."""
    environment.setenv("GATEWAY__SPEECH__ENGINES", "pico,gtts")
    out = spoken.run("voices")
    assert "pico:en-GB" in out and "goes to another machine" in out
    out = spoken.run("voices", "--shop", "sample")
    assert "goes to another machine" not in out
    assert "gateway shop set sample --allow-engine gtts" in out
    told = spoken.json("voices", "--shop", "sample")
    assert [engine["is_allowed"] for engine in told["engines"]] == [True, False]
    assert {voice["engine"] for voice in told["voices"]} == {"pico"}


def test_what_a_shop_allows_already_stays_allowed_by_the_advice(
    spoken: Terminal, tmp_path: Path
) -> None:
    """The list is always given whole, so the advice names all of it."""
    (tmp_path / "gateway.toml").write_text(
        "[speech]\n"
        'engines = ["pico", "gtts", "openai"]\n'
        'openai_url = "http://127.0.0.1:9/v1"\n'
        'openai_model = "sample"\n'
        'openai_voices = { en = ["sample"] }\n',
        encoding="utf-8",
    )
    spoken.run("shop", "set", "sample", "--allow-engine", "openai")
    advice = "gateway shop set sample --allow-engine openai,gtts"
    assert advice in spoken.run("voices", "--shop", "sample")
    path = str(tmp_path / "a.wav")
    assert advice in spoken.fail("say", "--shop", "sample", TEXT, "-o", path, "--engine", "gtts")


def test_a_lexicon_from_first_to_last(spoken: Terminal) -> None:
    """Set, listed and removed."""
    spoken.run("lexicon", "set", "--shop", "sample", "Nguyen", "win")
    assert spoken.json("lexicon", "list", "--shop", "sample") == {"Nguyen": "win"}
    assert "Nguyen" in spoken.run("lexicon", "list", "--shop", "sample")
    assert "says nothing" in spoken.fail("lexicon", "set", "--shop", "sample", "a", "!")
    spoken.run("lexicon", "remove", "--shop", "sample", "Nguyen")
    assert "lexicon list" in spoken.fail("lexicon", "remove", "--shop", "sample", "Nguyen")
    assert spoken.json("lexicon", "list", "--shop", "sample") == {}


def test_check_names_engines_that_cannot_be_used(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the line, and what to do: voices that are not there, libraries, and packages."""
    path = tmp_path / "gateway.toml"
    path.write_text(
        "[speech]\n"
        'engines = ["pico", "gtts", "piper", "other"]\n'
        'piper_voices = ["nowhere.onnx"]\n'
        "plugins = { other = {} }\n",
        encoding="utf-8",
    )
    environment.setattr(
        "gateway.voice.engines.find_spec", lambda name: None if name == "gtts" else object()
    )
    assert main(("check",)) == 1
    out = capsys.readouterr().out
    assert f"{path}:2: speech.engines: gtts cannot be used: its library is not installed" in out
    assert "pip install 'sms-voice-gateway[gtts]'" in out
    assert f"{path}:3: speech.piper_voices: piper cannot be used" in out
    assert f"{path}:4: speech.plugins: other cannot be used" in out
