"""Piper, in a worker process: GPL code that no other process of ours ever loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
from piper import PiperConfig, PiperVoice

from tts.engine import MAX_AUDIO_S, TooLong
from tts.guard import guarded
from tts.speakers import Answer, Handler
from tts.wire import Head


def load(models: dict[str, str]) -> Handler:
    """A handler of {"text", "voice"}; `models` are the files of the voices.

    All are loaded before the first answer, which takes 0.3 s and 200 MiB each.
    """
    loaded = {voice: _load_model(path) for voice, path in models.items()}

    def speak(head: Head, _: bytes) -> Answer:
        text, voice = guarded(head["text"]), loaded[head["voice"]]
        rate = voice.config.sample_rate
        parts, samples = [], 0
        for chunk in voice.synthesize(text):
            parts.append(chunk.audio_int16_array)
            samples += len(parts[-1])
            if samples > MAX_AUDIO_S * rate:
                raise TooLong
        return {"rate": rate}, np.concatenate(parts).astype("<i2").tobytes()

    return speak


def _load_model(path: str) -> PiperVoice:
    """A voice that computes with one thread: threads of its own would wait for each other busily,
    and more texts at a time are spoken by more workers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    described = json.loads(Path(path + ".json").read_text(encoding="utf-8"))
    return PiperVoice(config=PiperConfig.from_dict(described), session=session)
