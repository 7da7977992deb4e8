"""Files that settings are read from: bounded, regular, and private where they hold a secret."""

from __future__ import annotations

import os
import stat
from pathlib import Path

SETTINGS_MAX_BYTES = 1_048_576
SECRET_MAX_BYTES = 4_096


class FileFault(Exception):
    """A file that cannot be used: `problem` says why, without its name, `hint` what to do."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def read_settings(path: Path) -> str:
    """The text of a settings file, at most 1 MiB. Raises FileFault."""
    return _read(path, SETTINGS_MAX_BYTES, is_secret=False)


def read_secret(path: Path) -> str:
    """The secret in a file without its line end, at most 4 KiB. Raises FileFault.

    A file that everybody on the machine may read is refused.
    """
    secret = _read(path, SECRET_MAX_BYTES, is_secret=True).rstrip("\r\n")
    if not secret:
        raise FileFault("is empty", "it should hold the secret and nothing else")
    return secret


def _read(path: Path, max_bytes: int, *, is_secret: bool) -> str:
    try:
        # Not to wait for a writer where the path is a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise FileFault("is not a regular file")
            if is_secret and mode & stat.S_IROTH:
                raise FileFault("may be read by everybody", f"chmod o-rwx {path}")
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise FileFault(f"cannot be read: {error.strerror}") from error
    if len(content) > max_bytes:
        raise FileFault(f"is longer than {max_bytes} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileFault("is not UTF-8 text") from error
