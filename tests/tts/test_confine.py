"""What a confined process can no longer do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFINED = """
import os, socket, sys
from tts.confine import Limits, confine, grant_cpu
kept = open(sys.argv[1], "r+b", buffering=0)
told = confine(Limits(memory_bytes=256 << 20))
def attempt():
    {attempt}
try:
    attempt()
except BaseException as error:
    print("refused", type(error).__name__)
else:
    print("done")
print(told)
"""


def outcome(attempt: str, target: Path) -> tuple[str, str]:
    """What became of an attempt, and the measures in force."""
    result = subprocess.run(
        [sys.executable, "-c", CONFINED.format(attempt=attempt), str(target)],
        capture_output=True,
        check=False,
        timeout=30,
        text=True,
    )
    lines = result.stdout.splitlines() or [f"ended {result.returncode}", ""]
    return lines[0], lines[-1]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "precious"
    path.write_bytes(b"precious")
    return path


def test_computes_and_reads(target: Path) -> None:
    """Reading files and computing go on."""
    done, told = outcome("assert open(sys.argv[1], 'rb').read() == b'precious'", target)
    assert done == "done"
    assert "limits" in told


def test_writes_nothing(target: Path) -> None:
    """Not even a file that was open before can be written to."""
    assert outcome("kept.seek(100); kept.write(b'x')", target)[0] == "refused OSError"
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "attempt",
    [
        "open(sys.argv[1], 'wb')",
        "open(sys.argv[1] + '.new', 'wb')",
        "os.unlink(sys.argv[1])",
        "os.rename(sys.argv[1], sys.argv[1] + '.old')",
        "os.truncate(sys.argv[1], 0)",
        "os.mkdir(sys.argv[1] + '.d')",
        "os.symlink('/', sys.argv[1] + '.s')",
        "os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])",
    ],
)
def test_changes_no_folder(attempt: str, target: Path) -> None:
    """Where the kernel has Landlock, no file is made, emptied, moved, removed or started."""
    done, told = outcome(attempt, target)
    if "no writing" not in told:
        pytest.skip("this kernel has no Landlock")
    assert done == "refused PermissionError"
    assert [each.name for each in target.parent.iterdir()] == ["precious"]
    assert target.read_bytes() == b"precious"


def test_reaches_no_network(target: Path) -> None:
    """Where namespaces or Landlock are allowed, no connection is made, not even to this machine."""
    with_server = (
        "s = socket.create_connection(('127.0.0.1', int(os.environ.get('PORT', '9'))), timeout=5)"
    )
    done, told = outcome(with_server, target)
    if "no network" not in told and "no TCP" not in told:
        pytest.skip("this system allows neither")
    assert done in {"refused OSError", "refused PermissionError"}


def test_memory_is_bounded(target: Path) -> None:
    """More memory than granted is refused."""
    assert outcome("bytearray(512 << 20)", target)[0] == "refused MemoryError"


def test_processor_time_is_bounded(target: Path) -> None:
    """Who computes for longer than granted is ended."""
    assert outcome("grant_cpu(0)\n    while True: pass", target)[0] == "ended -24"
