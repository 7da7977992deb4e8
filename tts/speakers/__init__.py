"""What runs inside worker processes, and only there: engines in C, and decoders of foreign audio.

Nothing outside `tts.worker` imports these modules.
"""

from __future__ import annotations

from collections.abc import Callable

from tts.wire import Head

Answer = tuple[Head, bytes]
Handler = Callable[[Head, bytes], Answer]
"""Answers one request. Raises SpeechError in our words; of other errors only the type is told."""
