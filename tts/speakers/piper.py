"""Piper, in a worker process: GPL code that no other process of ours ever loads."""

from __future__ import annotations

import numpy as np
from piper import PiperVoice

from tts.engine import MAX_AUDIO_S, EngineError
from tts.guard import guarded
from tts.speakers import Answer, Handler
from tts.wire import Head


def load(models: dict[str, str]) -> Handler:
    """A handler of {"text", "voice"}; `models` are the files of the voices.

    All are loaded before the first answer, which takes 0.3 s and 200 MiB each.
    """
    loaded = {voice: PiperVoice.load(path) for voice, path in models.items()}

    def speak(head: Head, _: bytes) -> Answer:
        text, voice = guarded(head["text"]), loaded[head["voice"]]
        rate = voice.config.sample_rate
        parts, samples = [], 0
        for chunk in voice.synthesize(text):
            parts.append(chunk.audio_int16_array)
            samples += len(parts[-1])
            if samples > MAX_AUDIO_S * rate:
                message = f"it would speak for more than {MAX_AUDIO_S:.0f} s"
                raise EngineError(message, is_temporary=False)
        return {"rate": rate}, np.concatenate(parts).astype("<i2").tobytes()

    return speak
