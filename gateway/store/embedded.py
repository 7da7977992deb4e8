"""The embedded PostgreSQL, as its users see it.

Every process that uses a data folder (a server of any role, a command) makes an
``EmbeddedPostgres`` on it and calls ``start``. The first one starts the keeper
(``gateway.store.keeper``), which runs the server until a second after the last user is gone. Users
may come, go and be killed in any order.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import asyncpg

from gateway.store.binaries import EmbeddedPostgresError, locate
from gateway.store.cluster_files import (
    DATABASE,
    PORT,
    USER,
    ClusterFiles,
    Report,
    State,
    open_owned,
    read_report,
    try_lock,
    write_report,
)
from gateway.store.keeper import KEEPER_LOCK_FD, LOG_FD, KeeperSettings

__all__ = ["ConnectParameters", "EmbeddedPostgres", "EmbeddedPostgresError"]

_LOGGER = logging.getLogger(__name__)

_POLL_S = 0.01
_CONNECT_TIMEOUT_S = 5.0
_KEEPER_ATTEMPTS = 3
_UNPRIVILEGED_USER = "nobody"
_KEEPER_ENVIRONMENT = ("PATH", "HOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME")


class ConnectParameters(TypedDict):
    """Keyword arguments for ``asyncpg.connect`` and ``asyncpg.create_pool``."""

    host: str
    port: int
    user: str
    database: str


class EmbeddedPostgres:
    """A PostgreSQL server of our own in data_dir, kept alive as long as any user holds it.

    Not for several threads. A process that forks without exec shares its hold with the child.
    """

    __slots__ = ("_data_dir", "_files", "_keeper_pid", "_options", "_os_user", "_users_fd")

    def __init__(
        self, data_dir: Path, *, os_user: str = "", options: Mapping[str, str] | None = None
    ) -> None:
        """Nothing is touched before ``start``.

        os_user: who the server runs as when we are root; empty: the owner of the folder, else
        ``nobody`` with a warning. options: PostgreSQL settings over the built-in ones; they count
        for the user who starts the server.
        """
        self._data_dir = data_dir.resolve()
        self._files = ClusterFiles(self._data_dir / "postgres")
        self._os_user = os_user
        self._options = dict(options or {})
        self._users_fd: int | None = None
        self._keeper_pid: int | None = None

    @property
    def connect(self) -> ConnectParameters:
        """How to connect; of use after ``start``."""
        return ConnectParameters(
            host=str(self._files.socket_folder), port=PORT, user=USER, database=DATABASE
        )

    async def start(self, timeout_s: float = 30) -> ConnectParameters:
        """Hold the server and wait until it answers; start it if nobody has.

        May be called again at any time and by any number of processes at once. A running gateway
        whose connections fail calls it to have a killed keeper replaced. Raises
        EmbeddedPostgresError when the server cannot run or does not answer within timeout_s; what
        was held before the call is still held after it.
        """
        was_held = self._users_fd is not None
        try:
            async with asyncio.timeout(timeout_s):
                await self._start()
        except BaseException as error:
            if not was_held:
                self.release()
            if isinstance(error, TimeoutError):
                raise EmbeddedPostgresError(
                    f"the embedded PostgreSQL did not answer within {timeout_s:g} s; see "
                    f"{self._files.log}"
                ) from error
            raise
        return self.connect

    def release(self) -> None:
        """Stop using the server: about a second after its last user did, it is stopped."""
        if self._users_fd is not None:
            os.close(self._users_fd)
            self._users_fd = None
        self._reap_keeper()

    async def _start(self) -> None:
        owner = self._prepare_folder()
        await self._hold(owner)
        attempts = 0
        while True:
            keeper_fd = open_owned(self._files.keeper_lock, owner)
            try:
                if try_lock(keeper_fd):
                    if attempts > 0:
                        self._refuse_failed_keeper(keeper_fd, attempts)
                    self._spawn_keeper(keeper_fd, owner)
                    attempts += 1
                elif read_report(keeper_fd).state is State.READY and await self._answers():
                    return
            finally:
                os.close(keeper_fd)
            await asyncio.sleep(_POLL_S)

    async def _hold(self, owner: tuple[int, int]) -> None:
        """Take the shared lock, which a keeper that is about to end may have for itself."""
        if self._users_fd is not None:
            return
        self._users_fd = open_owned(self._files.users_lock, owner)
        while True:
            if try_lock(self._users_fd, is_shared=True):
                return
            await asyncio.sleep(_POLL_S)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(**self.connect, timeout=_CONNECT_TIMEOUT_S)
        except asyncpg.TooManyConnectionsError:
            return True
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    def _refuse_failed_keeper(self, keeper_fd: int, attempts: int) -> None:
        """EmbeddedPostgresError if our keeper gave up; one that was killed may be replaced."""
        report = read_report(keeper_fd)
        if report.state is State.FAILED or attempts == _KEEPER_ATTEMPTS:
            reason = report.reason or "its keeper ended without a word"
            raise EmbeddedPostgresError(
                f"the embedded PostgreSQL cannot run: {reason} (log: {self._files.log})"
            )

    def _spawn_keeper(self, keeper_fd: int, owner: tuple[int, int]) -> None:
        """Start the keeper, handing the locked file over.

        In a process group of its own, so that a Ctrl-C for the gateway lets the server live while
        the gateway drains; in our session, so that it ends with it; with none of our pipes.
        """
        self._reap_keeper()
        write_report(keeper_fd, Report(State.STARTING))
        settings = KeeperSettings(str(locate().root), *owner, self._options)
        command = [sys.executable, "-P", "-S", "-m", "gateway.store.keeper"]
        # Above the numbers that they get in the keeper, or they would overwrite each other.
        log_fd = open_owned(self._files.log, owner)
        lock = fcntl.fcntl(keeper_fd, fcntl.F_DUPFD_CLOEXEC, 10)
        log = fcntl.fcntl(log_fd, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(log_fd)
        try:
            self._keeper_pid = os.posix_spawn(
                sys.executable,
                [*command, str(self._files.folder), settings.to_json()],
                _keeper_environment(),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, LOG_FD),
                    (os.POSIX_SPAWN_DUP2, lock, KEEPER_LOCK_FD),
                ],
                setpgroup=0,
                setsigmask=[],
            )
        finally:
            os.close(lock)
            os.close(log)

    def _reap_keeper(self) -> None:
        """Let go of a keeper that has ended as our child."""
        if self._keeper_pid is None:
            return
        try:
            if os.waitpid(self._keeper_pid, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            pass
        self._keeper_pid = None

    def _prepare_folder(self) -> tuple[int, int]:
        """Make the folders where missing; user and group id of who runs the server."""
        is_root = os.geteuid() == 0
        folder = self._files.folder
        try:
            self._data_dir.mkdir(mode=0o711 if is_root else 0o700, parents=True, exist_ok=True)
            account = self._choose_account(is_root)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"{self._data_dir} cannot keep data: {error.strerror}: name a folder that this "
                "user may write to in [store] data_dir"
            ) from error
        if is_root and folder.lstat().st_uid == 0:
            os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)
        owner = folder.lstat().st_uid
        if folder.is_symlink() or owner != account.pw_uid:
            raise EmbeddedPostgresError(
                f"{folder} belongs to user {_user_name(owner)!r} and PostgreSQL would run as "
                f"{account.pw_name!r}: run as that user, or as root, or give the folder away with "
                "`chown -R` while the gateway is stopped"
            )
        return account.pw_uid, account.pw_gid

    def _choose_account(self, is_root: bool) -> pwd.struct_passwd:
        if not is_root:
            return self._own_account()
        if self._os_user:
            return _account(self._os_user)
        for path in (self._files.folder, self._data_dir):
            if path.exists() and (owner := path.stat().st_uid) != 0:
                return _account(_user_name(owner))
        _LOGGER.warning(
            "PostgreSQL does not run as root: it runs as %r and owns %s. "
            "Better give it a user of its own in [store] os_user",
            _UNPRIVILEGED_USER,
            self._files.folder,
        )
        return _account(_UNPRIVILEGED_USER)

    def _own_account(self) -> pwd.struct_passwd:
        try:
            account = pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedPostgresError(
                f"user id {os.geteuid()} has no name, which PostgreSQL needs: make a user for it "
                "(useradd), or set [store] database_url to a server of your own"
            ) from None
        if self._os_user not in ("", account.pw_name):
            raise EmbeddedPostgresError(
                f"[store] os_user is {self._os_user!r} and this is {account.pw_name!r}: only root "
                "can start PostgreSQL as somebody else"
            )
        return account


def _user_name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)


def _account(name: str) -> pwd.struct_passwd:
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise EmbeddedPostgresError(
            f"there is no user {name!r} to run PostgreSQL as: name another in [store] os_user"
        ) from None
    if account.pw_uid == 0:
        raise EmbeddedPostgresError("PostgreSQL does not run as root: set another [store] os_user")
    return account


def _keeper_environment() -> dict[str, str]:
    """Without our secrets, and such that the keeper finds this package wherever we found it."""
    kept = {name: os.environ[name] for name in _KEEPER_ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
