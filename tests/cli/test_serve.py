"""`gateway serve` where it cannot run: what it says, and that it ends."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gateway.cli.main import main


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GATEWAY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GATEWAY__STORE__DATA_DIR", str(tmp_path))


@pytest.mark.parametrize("key", ["SMSC_LISTEN", "SMTP_LISTEN", "PAGE_LISTEN"])
def test_an_address_of_the_sandbox_that_is_taken_is_named(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In two lines, with the section to change."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        for name in ("SMSC_LISTEN", "SMTP_LISTEN", "PAGE_LISTEN"):
            port = taken if name == key else 0
            monkeypatch.setenv(f"GATEWAY__SANDBOX__{name}", f"127.0.0.1:{port}")
        assert main(["serve", "--sandbox"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("gateway: the sandbox cannot listen: ")
    assert str(taken) in told and "[sandbox]" in told


def test_an_unknown_role_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started."""
    assert main(["serve", "--roles", "api,sales"]) == 1
    told = capsys.readouterr().err
    assert "there is no role sales: choose from api, sms, mail, voice" in told
