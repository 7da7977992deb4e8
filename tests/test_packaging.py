"""The wheel holds all that the gateway needs, and works without the source tree."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [name for name in ("gateway", "protocols", "tts", "config") if (ROOT / name).is_dir()]
SHIPPED = {".py", ".toml", ".sql"}
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY", "PYTHON"))
}
SETUPTOOLS_NEEDED = 77


def _run(*command: str | Path, cwd: Path) -> str:
    run = subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source, built from a copy so that nothing is left in the tree."""
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignore)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    folder = tmp_path_factory.mktemp("wheel")
    _run(*_pip(), "wheel", "--no-deps", *_isolation(), "-w", folder, source, cwd=source)
    (path,) = folder.glob("*.whl")
    return path


def _pip() -> tuple[str, ...]:
    return sys.executable, "-m", "pip", "--disable-pip-version-check"


def _isolation() -> tuple[str, ...]:
    """Build with the setuptools at hand, so that nothing is fetched, unless it is too old."""
    major = int(importlib.metadata.version("setuptools").partition(".")[0])
    return ("--no-build-isolation",) if major >= SETUPTOOLS_NEEDED else ()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; the packages it depends on are lent by this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    _run(*_pip(), "--python", python, "install", "--no-deps", wheel, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # Directories named in a .pth file come last, and their own .pth files are not read.
    (site / "lent.pth").write_text(sysconfig.get_path("platlib") + "\n", encoding="utf-8")
    return folder


def test_the_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    """Sources, documented settings and SQL are all in, and nothing else of the tree."""
    expected = {
        str(PurePosixPath(path.relative_to(ROOT)))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in SHIPPED
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_installed_gateway_checks_its_settings(installed: Path, tmp_path: Path) -> None:
    """`gateway check` runs from the wheel alone, on the settings that came with it."""
    (settings,) = installed.glob("lib/python*/site-packages/config/gateway.toml")
    output = _run(installed / "bin" / "gateway", "check", "--config", settings, cwd=tmp_path)
    assert output == f"settings are in order: {settings}\n"


def test_the_installed_config_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    """No other package called config stands before ours."""
    python = installed / "bin" / "python"
    where = _run(python, "-c", "import config; print(config.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed)
