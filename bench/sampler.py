"""`gateway` with a sampling profiler inside: `python -m bench.sampler FILE serve ...`.

SIGUSR1 starts it, SIGUSR2 ends it and writes FILE: which functions were running, by processor time,
a thousand times a second at most. C code counts for the Python function that called it. Only
benchmarks use this; the gateway knows nothing of it.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

from gateway.cli.main import main

INTERVAL_S = 0.001


class Sampler:
    """Counts which function was on top, and which were anywhere on the stack."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own: Counter[CodeType] = Counter()
        self._within: Counter[CodeType] = Counter()

    def install(self) -> None:
        """Obey the signals."""
        signal.signal(signal.SIGUSR1, self._start)
        signal.signal(signal.SIGUSR2, self._stop)
        signal.signal(signal.SIGPROF, self._sample)

    def _start(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self._own[frame.f_code] += 1
        seen = set()
        while frame is not None:
            seen.add(frame.f_code)
            frame = frame.f_back
        self._within.update(seen)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        told = {
            "samples": self._own.total(),
            "own": [(_name(code), count) for code, count in self._own.most_common(40)],
            "within": [(_name(code), count) for code, count in self._within.most_common(80)],
        }
        self._path.write_text(json.dumps(told))


def _name(code: CodeType) -> str:
    path = Path(code.co_filename)
    return f"{path.parent.name}/{path.name}:{code.co_qualname}"


if __name__ == "__main__":
    Sampler(Path(sys.argv[1])).install()
    sys.exit(main(sys.argv[2:]))
