"""What a test sees of an embedded server from outside, and programs that an ordinary user can run.

The second is for tests run as root: its interpreter and packages are often private to root.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

import gateway
from gateway.store.binaries import PACKAGE, locate, write_copy
from gateway.store.cluster_files import ClusterFiles, open_owned, read_report, try_lock

DEADLINE_S = 20.0


async def eventually(is_true: Callable[[], object], what: str) -> None:
    """Wait until something holds; it is looked at often, and a deadline fails the test."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                if is_true():
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE_S:g} s: {what}") from None


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock file."""
    if not path.exists():
        return False
    descriptor = open_owned(path)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class SeenServer:
    """A data folder from outside."""

    data_dir: Path
    files: ClusterFiles = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", ClusterFiles(self.data_dir.resolve() / "postgres"))

    def keeper_pid(self) -> int:
        """The process that keeper.lock names; 0 for none."""
        descriptor = open_owned(self.files.keeper_lock)
        try:
            return read_report(descriptor).pid
        finally:
            os.close(descriptor)

    def server_pid(self) -> int:
        """The process that the cluster's own pid file names; 0 for none."""
        try:
            return int((self.files.cluster / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError):
            return 0

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Signal one of the folder's own processes and nothing else."""
        assert pid in processes_naming(str(self.files.folder))
        os.kill(pid, number)

    def is_server_gone(self) -> bool:
        """Whether no process of the server, backends included, is left."""
        return not is_locked(self.files.server_lock)

    def is_all_gone(self) -> bool:
        """Whether neither keeper nor server nor anything else started for the folder is left."""
        has_locks = is_locked(self.files.keeper_lock) or is_locked(self.files.server_lock)
        return not has_locks and not processes_naming(str(self.files.folder))

    def server_program(self) -> Path:
        """The file that the server runs, where there is a /proc to ask."""
        return Path("/proc", str(self.server_pid()), "exe").resolve()

    async def stopped(self) -> None:
        """Wait until all is gone."""
        await eventually(self.is_all_gone, f"all processes of {self.data_dir} end")

    async def stopped_at_once(self) -> None:
        """The same without the second that a server waits for further users."""
        if is_locked(self.files.keeper_lock) and (keeper := self.keeper_pid()):
            with suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGTERM)
        await self.stopped()


def processes_naming(text: str) -> list[int]:
    """Living processes whose command line holds a text, where there is a /proc to look in."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


@dataclass(frozen=True, slots=True)
class Account:
    """Who a program runs as, with an interpreter and packages that this user can read."""

    python: str = sys.executable
    packages: tuple[Path, ...] = tuple(
        Path(str(module.__file__)).parents[1] for module in (gateway, asyncpg)
    )
    user_id: int | None = None

    def environment(self) -> dict[str, str]:
        """The variables of its programs."""
        paths = os.pathsep.join(map(str, self.packages))
        return {"PATH": os.defpath, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}

    def make_folder(self, path: Path) -> Path:
        """A new data folder of this user's."""
        path.mkdir()
        if self.user_id is not None:
            os.chown(path, self.user_id, self.user_id)
        else:
            path.chmod(0o711)
        return path


def find_python(user_id: int) -> str | None:
    """An interpreter of our own version that this user may run."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = [f"python{version}", "python3"]
    candidates = [sys.executable, *(f"{folder}/{name}" for folder in _PLACES for name in names)]
    for python in candidates:
        command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            said = subprocess.run(
                command,
                user=user_id,
                group=user_id,
                extra_groups=[],
                capture_output=True,
                text=True,
            )
        except OSError:
            continue
        if said.stdout.strip() == version:
            return python
    return None


_PLACES = ("/usr/bin", "/usr/local/bin", "/opt/python/bin")


def copy_packages(target: Path) -> Path:
    """Copy what a database user's program imports to a folder, the PostgreSQL wheel included."""
    for package in (gateway, asyncpg):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, target / source.name, ignore=_LEFT_OUT)
    here = Path(__file__).parent
    for program in (here.parent / "__init__.py", here / "__init__.py", here / "database_user.py"):
        copy = target / program.relative_to(here.parents[1])
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(program, copy)
    wheel = write_copy(locate().read(), target / "wheel")
    for part in wheel.root.iterdir():
        part.rename(target / part.name)
    (target / PACKAGE / "__init__.py").touch()
    return target


_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyx")


class Program:
    """A running database user (tests/store/database_user.py)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def run(
        cls, account: Account, data_dir: Path, options: Mapping[str, str] | None = None
    ) -> Program:
        """Start the program; it does nothing before it is asked."""
        given = [f"{name}={value}" for name, value in (options or {"fsync": "off"}).items()]
        rights: dict[str, Any] = {} if account.user_id is None else {"extra_groups": []}
        process = await asyncio.create_subprocess_exec(
            account.python, "-P", "-W", "error", "-m", "tests.store.database_user",
            str(data_dir), *given,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env=account.environment(), cwd="/", start_new_session=True,
            user=account.user_id, group=account.user_id, **rights,
        )  # fmt: skip
        return cls(process)

    async def ask(self, line: str) -> str:
        """The answer to a line."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(DEADLINE_S):
            return (await self.process.stdout.readline()).decode().strip()

    async def end(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        async with asyncio.timeout(DEADLINE_S):
            await self.process.stdout.read()
            await self.process.wait()

    async def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
