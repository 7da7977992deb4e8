"""Fixtures and rules of all interop tests. The folder is entered only when it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop import matrix
from tests.interop.matrix import Covered, Suite
from tests.interop.sip.suite import SIP
from tests.interop.smpp.suite import SMPP

SUITES: tuple[Suite, ...] = (SMPP, SIP)
_HERE = Path(__file__).parent
_COVERED = pytest.StashKey[Covered]()
_VERSIONS: pytest.StashKey[dict[str, str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--interop-write` writes docs/interop.md after a run in which all went well."""
    parser.addoption("--interop-write", action="store_true", help="write docs/interop.md")


def pytest_configure(config: pytest.Config) -> None:
    """Markers of these tests alone."""
    config.addinivalue_line("markers", "covers(peer, *cases): what an interop test proves")
    config.stash[_VERSIONS] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every test here needs foreign programs. What they cover is known before any is left out."""
    mine = [item for item in items if item.path.is_relative_to(_HERE)]
    for item in mine:
        item.add_marker("interop")
    config.stash[_COVERED] = Covered(mine)


@pytest.fixture(scope="session")
def covered(request: pytest.FixtureRequest) -> Covered:
    """What the collected tests prove."""
    return request.config.stash[_COVERED]


@pytest.fixture(scope="session")
def versions(request: pytest.FixtureRequest) -> dict[str, str]:
    """Of the programs met, by name; each fixture that starts one adds it."""
    return request.config.stash[_VERSIONS]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, if that was asked for and everything passed."""
    config = session.config
    found = config.stash[_COVERED]
    is_good = exitstatus == pytest.ExitCode.OK and not matrix.faults(SUITES, found)
    if config.getoption("--interop-write") and is_good:
        versions = config.stash[_VERSIONS]
        matrix.write(SUITES, found, versions)
