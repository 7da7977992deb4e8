"""Programs that a test starts: found or said to be missing, and ended by their process id."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STOP_S = 10.0


class Missing(AssertionError):
    """A peer is not installed, which fails the tests that need it: none is ever left out."""


def find(program: str, package: str) -> str:
    """Where a program is. Raises Missing."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    found = shutil.which(program, path=path)
    if found is None:
        raise Missing(f"{program} is not installed ({package}): run `make interop`")
    return found


@contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program, ended with the block. What it writes to standard error is kept in `log`, and what
    it writes to standard output too, unless `options` say otherwise."""
    with log.open("ab") as errors:
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": errors, "stderr": errors}
        process = subprocess.Popen(command, env=environment, **(given | options))
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for who does not heed it."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
