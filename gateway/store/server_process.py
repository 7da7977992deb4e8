"""The embedded server's processes: making a cluster, starting a server on it, stopping it.

Run by the keeper only, as the server's user and in a single thread. Every process started here
inherits the locked server.lock, so that a later keeper knows when the last of them is gone, and is
killed by the kernel (on Linux) when its keeper dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.store.binaries import Binaries, EmbeddedPostgresError
from gateway.store.cluster_files import (
    DATABASE,
    PORT,
    USER,
    ClusterFiles,
    open_owned,
    try_lock,
)

_OPTIONS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements carry message texts and phone numbers. Errors go to the client alone, and what the
    # server itself has to say is logged without details, contexts and statements.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "log_lock_waits": "off",
    "logging_collector": "off",
}

_PASSED_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD")
"""All else stays with the gateway: its environment may hold secrets."""

_STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
"""A clean stop, an immediate one and the end, with the seconds each is given."""
_POLL_S = 0.01
_STATUS_LINE = 7
"""Index of the line of postmaster.pid that says what the server is doing."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def server_environment() -> dict[str, str]:
    """The few variables that PostgreSQL's programs need."""
    kept = {name: os.environ[name] for name in _PASSED_ENVIRONMENT if name in os.environ}
    return {**kept, "LC_ALL": "C"}


def _dies_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before exec so that the kernel signals it when its parent dies.

    After a change of user, which would clear it (prctl(2)); on Linux only.
    """
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def ask_for_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(1)

    return ask_for_signal


def _arguments(options: Mapping[str, str]) -> list[str]:
    return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]


class ServerProcess:
    """The server on one cluster, at most one at a time."""

    __slots__ = ("_binaries", "_files", "_options", "_process")

    def __init__(self, files: ClusterFiles, binaries: Binaries, options: Mapping[str, str]) -> None:
        """options: PostgreSQL settings over the built-in ones."""
        self._files = files
        self._binaries = binaries
        self._options = {**_OPTIONS, "unix_socket_directories": str(files.socket_folder), **options}
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make socket folder and cluster where they are missing; EmbeddedPostgresError if not."""
        self._make_socket_folder()
        if not self._files.cluster.is_dir():
            self._refuse_other_major()
            self._make_cluster()

    def launch(self) -> None:
        """Start the server, once no process of an earlier one is left."""
        lock = self._claim_lock()
        self._remove_stale_files()
        command = [str(self._binaries.postgres), "-D", str(self._files.cluster)]
        self._process = subprocess.Popen(
            [*command, *_arguments(self._options)],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            pass_fds=(lock,),
            preexec_fn=_dies_with_parent(signal.SIGINT),
            env=server_environment(),
        )
        os.close(lock)

    def exit_code(self) -> int | None:
        """None while the server runs."""
        return None if self._process is None else self._process.poll()

    def is_ready(self) -> bool:
        """Whether the server says that it accepts connections."""
        lines = self._pid_file_lines()
        return (
            self._process is not None
            and len(lines) > _STATUS_LINE
            and lines[0] == str(self._process.pid)
            and lines[_STATUS_LINE].strip() == "ready"
        )

    def stop(self) -> None:
        """Stop the server, gently and then less so; returns when it is gone."""
        if self._process is None:
            return
        for step, patience_s in _STOP_STEPS:
            self._process.send_signal(step)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
                break
        with contextlib.suppress(OSError):
            self._files.socket_folder.rmdir()

    def _claim_lock(self) -> int:
        """The locked server.lock; whatever is left of an earlier server is stopped before."""
        lock = open_owned(self._files.server_lock)
        if try_lock(lock):
            return lock
        for step, patience_s in _STOP_STEPS:
            self._signal_orphan(step)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if try_lock(lock):
                    return lock
                time.sleep(_POLL_S)
        raise EmbeddedPostgresError(
            f"processes of an earlier server still hold {self._files.server_lock}: end them"
        )

    def _signal_orphan(self, step: signal.Signals) -> None:
        """Signal the server of a dead keeper; its pid may by now be another process's."""
        pid = (self._pid_file_lines() or [""])[0]
        if pid.isdecimal() and str(self._files.cluster) in _command_line(pid):
            with contextlib.suppress(OSError):
                os.kill(int(pid), step)

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._files.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _remove_stale_files(self) -> None:
        """Remove what a killed server left: it would refuse to start if its old pid lives again."""
        (self._files.cluster / "postmaster.pid").unlink(missing_ok=True)
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (self._files.socket_folder / name).unlink(missing_ok=True)

    def _make_socket_folder(self) -> None:
        folder = self._files.socket_folder
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
        if not is_ours or status.st_mode & 0o077:
            raise EmbeddedPostgresError(f"{folder} is not a private folder of this user: remove it")

    def _refuse_other_major(self) -> None:
        others = sorted(self._files.folder.glob("cluster-[0-9][0-9]"))
        if others:
            raise EmbeddedPostgresError(
                f"{others[-1]} was made by another PostgreSQL than {self._files.cluster.name}: "
                "run the gateway version that made it, or carry the data over with pg_upgrade"
            )

    def _make_cluster(self) -> None:
        """Make the cluster with its database in another folder, then rename it into place.

        A folder that a killed keeper left half-made is thrown away.
        """
        lock = self._claim_lock()
        unfinished = self._files.unfinished_cluster
        shutil.rmtree(unfinished, ignore_errors=True)
        is_synced = self._options.get("fsync") != "off"
        command = [str(self._binaries.initdb), "-D", str(unfinished), "-U", USER, "-E", "UTF8"]
        command += ["--locale=C", "--auth-local=trust", "--auth-host=reject", "--no-instructions"]
        self._run(command + ([] if is_synced else ["--no-sync"]), lock)
        command = [str(self._binaries.postgres), "--single", "-D", str(unfinished)]
        options = {**self._options, "exit_on_error": "on"}
        statement = f"CREATE DATABASE {DATABASE};\n".encode()
        self._run([*command, *_arguments(options), "template1"], lock, statement)
        unfinished.rename(self._files.cluster)
        _sync_folder(self._files.folder)
        os.close(lock)

    def _run(self, command: list[str], lock: int, given: bytes = b"") -> None:
        """Run a program to its end, its output in the log."""
        finished = subprocess.run(
            command,
            input=given,
            stdout=sys.stderr.fileno(),
            pass_fds=(lock,),
            preexec_fn=_dies_with_parent(signal.SIGKILL),
            env=server_environment(),
            check=False,
        )
        if finished.returncode != 0:
            raise EmbeddedPostgresError(
                f"{Path(command[0]).name} failed with code {finished.returncode}"
            )


def _command_line(pid: str) -> str:
    """A living process's command line, else an empty text."""
    if not Path("/proc/self/cmdline").exists():
        command = ["/bin/ps", "-ww", "-o", "command=", "-p", pid]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    try:
        return os.fsdecode(Path("/proc", pid, "cmdline").read_bytes())
    except OSError:
        return ""


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
