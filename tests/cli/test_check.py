"""`gateway check`, and what every command shares."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from gateway import __version__
from gateway.cli.frame import CommandError
from gateway.cli.main import main
from tests.channels.certificates import self_signed

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


def test_one_run_names_faults_of_keys_and_of_what_they_point_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt key hides no file that is missing and no status that does not exist; a key that
    is faulty itself is told of once.
    """
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[http]\nlistn = "127.0.0.1:8080"\n[store]\ndatabase_url = "mysql://lab"\n'
        '[[links]]\nname = "acme"\nhost = "127.0.0.1"\nsystem_id = "lab"\nwindow = 0\n'
        'tls = true\ntls_ca = "ca.pem"\nstatuses = { ESME_RNOSUCH = "retry" }\n',
        encoding="utf-8",
    )
    assert main(["check", "--config", str(path)]) == 1
    lines = [line.removeprefix(f"{path}:") for line in capsys.readouterr().out.splitlines()]
    assert [line.split(": ")[:2] for line in lines[:-1]] == [
        ["2", "http.listn"],
        ["4", "store.database_url"],
        ["9", "links[0].window"],
        ["11", "links[0].tls_ca"],
        ["12", "links[0].statuses"],
    ]


@pytest.mark.parametrize("section", ["http", "smpp"])
def test_certificates_that_would_not_serve_are_faults(
    section: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key of another certificate and a key with a password keep the gateway from starting, so
    they are found before; a certificate and its own key are in order.
    """
    cert, key = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    other = self_signed(tmp_path / "other")[1]
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"lab"),
        )
    )
    path = tmp_path / "gateway.toml"
    listen = 'tls_listen = "127.0.0.1:0"\n' if section == "smpp" else ""
    for used, status in ((key, 0), (other, 1), (locked, 1)):
        path.write_text(
            f'[{section}]\n{listen}tls_cert = "{cert}"\ntls_key = "{used}"\n', encoding="utf-8"
        )
        assert main(["check", "--config", str(path)]) == status
        assert (f"{section}.tls_cert: " in capsys.readouterr().out) == bool(status)


def test_files_of_the_smpp_listener_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where ESMEs bind over TLS, a certificate, key or authority that is not there is a fault."""
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[smpp]\ntls_listen = "127.0.0.1:0"\ntls_cert = "a.pem"\ntls_key = "b.pem"\n'
        'tls_client_ca = "c.pem"\n',
        encoding="utf-8",
    )
    assert main(["check", "--config", str(path)]) == 1
    told = capsys.readouterr().out
    for line, key in ((3, "tls_cert"), (4, "tls_key"), (5, "tls_client_ca")):
        assert f"{path}:{line}: smpp.{key}: " in told


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


def test_a_link_that_no_carrier_can_bind_to_is_hinted_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No fault, for another machine may listen; with a listener nothing is said."""
    link = '[[links]]\nname = "acme-in"\nkind = "smpp-server"\n'
    path = tmp_path / "gateway.toml"
    for text, is_told in ((link, True), ('[smpp]\nlisten = "127.0.0.1:0"\n' + link, False)):
        path.write_text(text, encoding="utf-8")
        assert main(["check", "--config", str(path)]) == 0
        hint = "link acme-in waits for its carrier to bind, and [smpp] listens nowhere"
        assert (hint in capsys.readouterr().out) is is_told
