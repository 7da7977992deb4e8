"""The files of the speech cache: whole or not there, private, and what their names say.

All of it blocks, so it runs in threads; and as a thread may lose its processor at any moment and
keep the interpreter from the event loop until it has it back, reading and writing are little more
than system calls, in which the interpreter is free.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import struct
from pathlib import Path
from typing import Final

SUFFIX: Final = ".spoken"
UNFINISHED: Final = ".new"
KEY_CHARS: Final = 64

_MAGIC: Final = b"SVGspk1\n"
_HEADER: Final = struct.Struct("!8s32s32sI")
"""Magic, key, SHA-256 of key and content, length of the content."""

HEADER_BYTES: Final = _HEADER.size

_ORPHAN_S: Final = 3600.0
_READING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITING: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def make_private(folder: Path) -> bool:
    """Make the folder, and make it private. Raises OSError, also for one elsewhere."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "its folder is a link, or another user's")
    folder.chmod(0o700)
    return True


def listed(folder: str, now: float) -> list[tuple[str, int, float]]:
    """Key, size and time of what there is, oldest first; what was never finished is deleted."""
    found = []
    try:
        opened = os.scandir(folder)
    except FileNotFoundError:  # somebody has deleted the folder
        return []
    with opened as files:
        for file in files:
            key, suffix = os.path.splitext(file.name)
            try:
                status = file.stat(follow_symlinks=False)
            except FileNotFoundError:  # deleted meanwhile
                continue
            if suffix == UNFINISHED and now - status.st_mtime > _ORPHAN_S:
                with contextlib.suppress(OSError):  # others are counted all the same
                    delete([file.path])
            elif suffix == SUFFIX and len(key) == KEY_CHARS:
                found.append((key, status.st_size, status.st_mtime))
    return sorted(found, key=lambda each: each[2])


def read(path: str, key: bytes) -> tuple[bytes | None, float]:
    """The content of a file and when it was made; no content if it is not what its name says."""
    try:
        descriptor = os.open(path, _READING)
    except FileNotFoundError:
        return None, 0.0
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None, status.st_mtime
        header = os.read(descriptor, HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            return None, status.st_mtime
        magic, named, digest, length = _HEADER.unpack(header)
        if (magic, named, length) != (_MAGIC, key, status.st_size - HEADER_BYTES):
            return None, status.st_mtime
        content = os.read(descriptor, length)
        return content if _digest(key, content) == digest else None, status.st_mtime
    finally:
        os.close(descriptor)


def write(path: str, temporary: str, key: bytes, content: bytes) -> bool:
    """Put a file in place, whole, by way of a temporary name beside it."""
    header = _HEADER.pack(_MAGIC, key, _digest(key, content), len(content))
    try:
        descriptor = os.open(temporary, _WRITING, 0o600)
    except FileNotFoundError:  # somebody has deleted the folder
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(temporary, _WRITING, 0o600)
    try:
        try:
            written = os.writev(descriptor, (header, content))
        finally:
            os.close(descriptor)
        if written != HEADER_BYTES + len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return True


def delete(paths: list[str]) -> None:
    """Delete what can be. Raises the last error of what cannot."""
    failure: OSError | None = None
    for path in paths:
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            failure = error
    if failure is not None:
        raise failure


def _digest(key: bytes, content: bytes) -> bytes:
    made = hashlib.sha256(key)
    made.update(content)
    return made.digest()
