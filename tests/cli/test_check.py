"""`gateway check`, and what every command shares."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gateway import __version__
from gateway.cli.frame import CommandError
from gateway.cli.main import main

FAULTY = '[http]\nlisten = 5\n\n[log]\nlevel = "loud"\n'


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GATEWAY")]:
        monkeypatch.delenv(name)

ROUTED = "".join(
    f'[[links]]\nname = "{name}"\nhost = "127.0.0.1"\nsystem_id = "lab"\n'
    for name in ("acme", "beta", "gamma")
)
ROUTED += """
[[routes]]
name = "east"
numbers = ["acme"]
prefixes = ["+1718"]
links = [{ link = "acme", weight = 3 }, "beta", "gamma:1:1"]
[[routes]]
name = "late"
numbers = ["acme"]
prefixes = ["+1718"]
links = ["beta"]
"""


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A settings file with two faults."""
    path = tmp_path / "gateway.toml"
    path.write_text(FAULTY, encoding="utf-8")
    return path


def test_sound_settings_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file the defaults are checked, and are in order."""
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "settings are in order: the defaults and the environment\n"


def test_every_fault_is_printed_with_its_place(
    faulty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a fault, file and line first, then the count; the exit status is 1."""
    assert main(["check", "--config", str(faulty)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{faulty}:2: http.listen: expected text, got 5",
        f'{faulty}:5: log.level: expected one of "debug", "error", "info", "warning", got "loud"',
        f"2 faults: {faulty}",
    ]


def test_the_environment_may_name_the_file(
    faulty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GATEWAY_CONFIG is used where --config is not given."""
    monkeypatch.setenv("GATEWAY_CONFIG", str(faulty))
    assert main(["check"]) == 1
    assert capsys.readouterr().out.endswith(f"2 faults: {faulty}\n")


def test_faults_can_be_read_by_programs(faulty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints a list with file, line, key, problem and hint."""
    assert main(["check", "--json", "--config", str(faulty)]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "file": str(faulty),
        "line": 2,
        "where": "http.listen",
        "problem": "expected text, got 5",
        "hint": None,
    }
    assert second["where"] == "log.level"


def test_what_settings_point_to_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Certificates that cannot be read and users that do not exist are faults with their line."""
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[http]\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n[store]\nos_user = "no-such-user"\n',
        encoding="utf-8",
    )
    assert main(["check", "--config", str(path)]) == 1
    assert [line.partition(" (")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"{path}:2: http.tls_cert: {tmp_path / 'cert.pem'} cannot be read",
        f"{path}:3: http.tls_key: {tmp_path / 'key.pem'} cannot be read",
        f'{path}:5: store.os_user: no user "no-such-user" on this machine',
        f"3 faults: {path}",
    ]


def test_a_command_that_fails_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message and the advice go to standard error; the exit status is 1."""

    async def fail(*_: object) -> int:
        raise CommandError("the gateway is not running", "start it with `gateway serve`")

    monkeypatch.setattr("gateway.cli.check.run", fail)
    assert main(["check"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "gateway: the gateway is not running\n  start it with `gateway serve`\n"
    )


def test_an_interrupted_command_has_its_own_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """130, as shells have it, without a traceback."""

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("gateway.cli.check.run", interrupt)
    assert main(["check"]) == 130


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["check", "--no-such-option"]])
def test_wrong_usage_has_its_own_status(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """2, with the usage on standard error."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: gateway")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the name of the distribution and its version."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"sms-voice-gateway {__version__}\n"


def test_routes_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which route each kind of message takes, by which links, and what none can take."""
    path = tmp_path / "gateway.toml"
    path.write_text(ROUTED, encoding="utf-8")
    assert main(["check", "--config", str(path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "acme to +1718… east acme 3, beta 1, standby gamma" in out
    assert "acme all others acme acme" in out
    assert "no message takes route late: route east takes everything that it is for" in out
