"""The shape of the source: direction of imports, sizes and names of modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [name for name in ("gateway", "protocols", "tts", "config") if (ROOT / name).is_dir()]
MODULES = sorted(
    path for package in (*PACKAGES, "tests", "bench") for path in (ROOT / package).rglob("*.py")
)
LINES_MAX = 500
VAGUE_NAMES = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}


def test_imports_keep_their_direction() -> None:
    """Every contract between packages and layers holds, and protocol cores stay free of I/O."""
    command = "import sys; from importlinter.cli import lint_imports as lint; sys.exit(lint())"
    run = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_modules_is_a_package(package: str) -> None:
    """A folder without __init__.py would be left out of the wheel."""
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


def test_no_module_is_too_long() -> None:
    """A module of more than 500 lines has more than one responsibility."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert [f"{path}: {count}" for path, count in lengths.items() if count > LINES_MAX] == []


def test_names_say_what_is_in_a_module() -> None:
    """No module is called after nothing in particular."""
    assert [path for path in MODULES if {path.stem, path.parent.name} & VAGUE_NAMES] == []


def test_every_module_says_what_it_is_for() -> None:
    """The first thing in a module is its docstring."""
    sources = {path: path.read_text(encoding="utf-8") for path in MODULES}
    assert [path for path, text in sources.items() if text and not text.startswith('"""')] == []
