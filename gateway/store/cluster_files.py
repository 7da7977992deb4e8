"""The folder of an embedded cluster: its layout, its locks, and the keeper's word on its state.

Three ``flock`` files say who lives. The kernel drops such a lock when the last descriptor of its
opening is closed, so a killed process leaves nothing behind:

* ``users.lock``: shared, by every process that uses the server; exclusive, by a keeper that stops.
* ``keeper.lock``: exclusive, by the living keeper. Whoever can take it starts a keeper and hands
  the locked descriptor over, so there is never a moment with two keepers and none without a lock.
* ``server.lock``: exclusive; inherited by every process of the server and by nothing else. Free
  means that no process of an earlier server is left, whatever pid its files name.

This module is also imported by the keeper, which must start fast: standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from gateway.store.binaries import MAJOR, EmbeddedPostgresError

USER = "gateway"
DATABASE = "gateway"
PORT = 5432
"""Only a part of the socket's name; the server listens on no network address."""

_LONGEST_SOCKET_PATH = 103
"""Bytes; sun_path holds 104 on macOS and 108 on Linux, each with a final zero."""


class State(StrEnum):
    """What the keeper is doing."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """What the keeper last said; ``reason`` is for people."""

    state: State
    pid: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ClusterFiles:
    """Paths below ``folder`` (``data_dir/postgres``, mode 0700, owned by the server's user)."""

    folder: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.folder / f"cluster-{MAJOR}"

    @property
    def unfinished_cluster(self) -> Path:
        """Where a cluster is made before it is renamed into place."""
        return self.folder / f"cluster-{MAJOR}.new"

    @property
    def socket_folder(self) -> Path:
        """The private folder of the unix socket.

        In the cluster's folder if its name is short enough for a socket. Else below /tmp and not
        below TMPDIR, because all processes must find the same one.
        """
        inside = self.folder / "run"
        if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= _LONGEST_SOCKET_PATH:
            return inside
        key = sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(f"/tmp/gateway-{key}")  # noqa: S108 -- mode and owner are checked before use

    @property
    def users_lock(self) -> Path:
        """Held shared by users."""
        return self.folder / "users.lock"

    @property
    def keeper_lock(self) -> Path:
        """Held by the keeper; its content is the keeper's Report."""
        return self.folder / "keeper.lock"

    @property
    def server_lock(self) -> Path:
        """Held by all processes of the server."""
        return self.folder / "server.lock"

    @property
    def log(self) -> Path:
        """What the server, initdb and the keeper have to say; bounded, one older file beside."""
        return self.folder / "server.log"

    @property
    def older_log(self) -> Path:
        """The log's last full part."""
        return self.folder / "server.log.1"


def open_owned(path: Path, owner: tuple[int, int] | None = None) -> int:
    """Open a lock or log file for reading and appending, made with mode 0600 if it is missing.

    owner: user and group id that a file of root's is given to. Never follows a link: the folder may
    belong to a user with fewer rights than ours. The descriptor is not inherited.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise EmbeddedPostgresError(f"{path} is not a plain file of its own; remove it")
    if owner is not None and status.st_uid == 0:
        os.fchown(descriptor, *owner)
    return descriptor


def try_lock(descriptor: int, *, is_shared: bool = False) -> bool:
    """Take the file's lock if it is free (or, if shared, held only by sharers); never wait."""
    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Give the lock back and keep the file open."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def write_report(descriptor: int, report: Report) -> None:
    """Replace the report in keeper.lock; only the holder of its lock does so."""
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(asdict(report)).encode())


def read_report(descriptor: int) -> Report:
    """The keeper's last word; one that is just being written reads as STARTING."""
    try:
        fields = json.loads(os.pread(descriptor, 65536, 0))
        return Report(State(fields["state"]), fields["pid"], fields["reason"])
    except (ValueError, KeyError):
        return Report(State.STARTING)
