"""What the peers share: a folder for logs and scenarios, certificates."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels.certificates import Authority
from tests.interop.programs import find
from tests.interop.sip.versions import version_of

HOST_NAME = "localhost"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """For logs, certificates and settings of peers; other users may read it."""
    with tempfile.TemporaryDirectory(prefix="gateway-interop-sip-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def authority(folder: Path) -> Authority:
    """Who signs everybody's certificates; its files are in the folder."""
    return Authority(folder, "authority")


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> tuple[Path, Path]:
    """Certificate and key of whoever is `localhost`."""
    return authority.sign(HOST_NAME)


@pytest.fixture(scope="session", autouse=True)
def _programs(versions: dict[str, str]) -> None:
    """All peers are there, or every test fails and says what is missing."""
    versions["SIPp"] = version_of(find("sipp", "sip-tester"), "-v")
    versions["baresip"] = version_of(find("baresip", "baresip-core"), "-h")
    versions["Kamailio"] = version_of(find("kamailio", "kamailio"), "-v")
