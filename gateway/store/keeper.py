"""The keeper: a small process that owns the embedded PostgreSQL as long as anyone uses it.

Started by ``gateway.store.embedded`` as ``python -m gateway.store.keeper FOLDER SETTINGS``, with
the locked keeper.lock as descriptor 3 and the log as descriptor 2. It makes the cluster if there is
none, runs the server, starts it again when it dies, and stops it one second after the last user's
lock is gone. Interrupts and hang-ups are meant for its starter and ignored; SIGTERM, which a
machine that shuts down sends to everyone, only takes the second away.

On Linux the kernel sends the server SIGINT (a fast, clean shutdown) when its keeper dies. Other
systems have no such signal: there the next keeper stops the orphan before it starts its own server.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from gateway.store.binaries import Binaries, EmbeddedPostgresError, write_copy
from gateway.store.cluster_files import (
    ClusterFiles,
    Report,
    State,
    open_owned,
    try_lock,
    unlock,
    write_report,
)
from gateway.store.server_process import ServerProcess

KEEPER_LOCK_FD = 3
LOG_FD = 2

GRACE_S = 1.0
"""How long the server outlives its last user, so that a row of commands starts it once."""

_POLL_S = 0.2
_STARTING_POLL_S = 0.01
_BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STARTS_BEFORE_GIVING_UP = 4
_LOG_LIMIT_BYTES = 4 * 1024 * 1024
_LOG_TAIL_BYTES = 1000


@dataclass(frozen=True, slots=True)
class KeeperSettings:
    """What the starter tells the keeper; the ids are those of the server's user."""

    binaries_root: str
    user_id: int
    group_id: int
    options: Mapping[str, str]

    def to_json(self) -> str:
        """The form of the command line."""
        return json.dumps([self.binaries_root, self.user_id, self.group_id, dict(self.options)])

    @classmethod
    def from_json(cls, text: str) -> KeeperSettings:
        """The inverse of ``to_json``."""
        return cls(*json.loads(text))


class Keeper:
    """The users of one server, and the server's life between the first and the last of them."""

    __slots__ = (
        "_files",
        "_is_hurried",
        "_log_start_bytes",
        "_server",
        "_unused_since",
        "_users_fd",
        "_wake_up",
    )

    def __init__(self, files: ClusterFiles, server: ServerProcess, wake_up: socket.socket) -> None:
        """wake_up: becomes readable when a signal comes."""
        self._files = files
        self._server = server
        self._wake_up = wake_up
        self._users_fd = open_owned(files.users_lock)
        self._unused_since: float | None = None
        self._is_hurried = False
        self._log_start_bytes = os.fstat(LOG_FD).st_size

    def hurry(self, _signal: int, _frame: FrameType | None) -> None:
        """Handle SIGTERM: wait for the present users, but not for a further one."""
        self._is_hurried = True

    def run(self) -> None:
        """Keep the server as long as there are users; EmbeddedPostgresError if it never starts."""
        try:
            self._server.prepare()
        except EmbeddedPostgresError as error:
            raise EmbeddedPostgresError(f"{error}: {self._log_tail()}") from error
        was_ever_ready = False
        failures = 0
        while True:
            is_ready = self._run_server()
            if self._is_unused():
                return
            was_ever_ready = was_ever_ready or is_ready
            failures = 1 if is_ready else failures + 1
            reason = f"PostgreSQL ended with code {self._server.exit_code()}: {self._log_tail()}"
            if failures >= _STARTS_BEFORE_GIVING_UP and not was_ever_ready:
                raise EmbeddedPostgresError(reason)
            _report(State.STARTING, reason)
            self._pause(_BACKOFF_S[min(failures, len(_BACKOFF_S)) - 1])

    def _run_server(self) -> bool:
        """Run the server until it ends or is no longer used; whether it ever was ready."""
        self._server.launch()
        is_ready = False
        while self._server.exit_code() is None:
            if not is_ready and self._server.is_ready():
                is_ready = True
                _report(State.READY)
            if self._is_unused():
                _report(State.STOPPING)
                self._server.stop()
                break
            self._bound_log()
            self._pause(_POLL_S if is_ready else _STARTING_POLL_S)
        return is_ready

    def _is_unused(self) -> bool:
        """Whether nobody has held the server for GRACE_S; then nobody can until we are gone."""
        if not try_lock(self._users_fd):
            self._unused_since = None
            return False
        now = time.monotonic()
        if self._unused_since is None:
            self._unused_since = now
        if self._is_hurried or now - self._unused_since >= GRACE_S:
            return True
        unlock(self._users_fd)
        return False

    def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until a signal comes, such as that of the server's end."""
        if select.select([self._wake_up], [], [], seconds)[0]:
            self._wake_up.recv(4096)

    def _bound_log(self) -> None:
        """Move a full log aside; the server appends, so it goes on at the new start."""
        if os.fstat(LOG_FD).st_size > _LOG_LIMIT_BYTES:
            shutil.copyfile(self._files.log, self._files.older_log)
            os.ftruncate(LOG_FD, 0)
            self._log_start_bytes = 0

    def _log_tail(self) -> str:
        """The last lines that came into the log in our time, as one."""
        start = max(self._log_start_bytes, os.fstat(LOG_FD).st_size - _LOG_TAIL_BYTES)
        text = os.pread(LOG_FD, _LOG_TAIL_BYTES, start).decode(errors="replace")
        return " | ".join(line.strip() for line in text.splitlines() if line.strip())


def _report(state: State, reason: str = "") -> None:
    write_report(KEEPER_LOCK_FD, Report(state, os.getpid(), reason))


@contextlib.contextmanager
def _acting_as(settings: KeeperSettings) -> Iterator[None]:
    """Look at things with the rights of the server's user; only for root in a single thread."""
    groups = os.getgroups()
    os.initgroups(pwd.getpwuid(settings.user_id).pw_name, settings.group_id)
    os.setegid(settings.group_id)
    os.seteuid(settings.user_id)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _become(settings: KeeperSettings) -> None:
    """Give root's rights up for good."""
    os.initgroups(pwd.getpwuid(settings.user_id).pw_name, settings.group_id)
    os.setgid(settings.group_id)
    os.setuid(settings.user_id)


def _refuse_closed_folders(folder: Path) -> None:
    """EmbeddedPostgresError naming the first folder on the way that the user cannot enter."""
    for step in [*reversed(folder.parents), folder]:
        if not os.access(step, os.X_OK, effective_ids=True):
            name = pwd.getpwuid(os.geteuid()).pw_name
            raise EmbeddedPostgresError(
                f"PostgreSQL does not run as root, and its user {name!r} may not enter {step}: "
                "set [store] data_dir to a place outside of private folders, such as "
                f"/var/lib/sms-voice-gateway, or [store] os_user to a user who may enter it, or "
                f"run `chmod o+x {step}`"
            )


def _choose_binaries(files: ClusterFiles, settings: KeeperSettings) -> Binaries:
    """Programs that the server's user can read, copied if need be; we end as that user."""
    wheel = Binaries(Path(settings.binaries_root))
    if os.geteuid() != 0:
        return wheel
    with _acting_as(settings):
        _refuse_closed_folders(files.folder)
        is_readable = os.access(wheel.initdb, os.X_OK, effective_ids=True)
    copy = files.folder / f"binaries-{wheel.version()}"
    content = [] if is_readable or copy.is_dir() else wheel.read()
    _become(settings)
    if content:
        write_copy(content, copy)
    return wheel if is_readable else Binaries(copy)


def _isolate() -> None:
    """Keep nothing of the starter's but descriptors 0 to 3."""
    os.closerange(KEEPER_LOCK_FD + 1, os.sysconf("SC_OPEN_MAX"))
    os.set_inheritable(KEEPER_LOCK_FD, False)
    os.chdir("/")
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _keep(files: ClusterFiles, settings: KeeperSettings) -> None:
    binaries = _choose_binaries(files, settings)
    wake_up, woken = socket.socketpair()
    wake_up.setblocking(False)
    woken.setblocking(False)
    keeper = Keeper(files, ServerProcess(files, binaries, settings.options), wake_up)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
    signal.signal(signal.SIGTERM, keeper.hurry)
    keeper.run()


def main(arguments: list[str]) -> int:
    """Be the keeper of a folder; the exit code is 1 when the server could not be kept."""
    _isolate()
    _report(State.STARTING)
    try:
        _keep(ClusterFiles(Path(arguments[0])), KeeperSettings.from_json(arguments[1]))
    except Exception as error:
        print(f"keeper: {error}", file=sys.stderr, flush=True)
        _report(State.FAILED, str(error))
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
