"""`gateway shop`, `number`, `key` and `migrate`, as operators type them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from gateway.cli.main import main
from gateway.store.directory import Directory
from gateway.store.embedded import ConnectParameters, EmbeddedPostgres
from tests.store.sample import OS_USER, data_folder, store_of

T = TypeVar("T")

SETTINGS = """
[[links]]
name = "acme"
host = "127.0.0.1"
system_id = "lab"

[[links]]
name = "other"
host = "127.0.0.1"
system_id = "lab"
"""
ADD = (
    "shop", "add", "sample", "--name", "Sample Bridal", "--main-phone", "(212) 555-0100",
    "--contact-email", "owner@example.com", "--time-zone", "America/New_York",
)  # fmt: skip
ASSIGN = ("number", "assign", "+12125550101", "--shop", "sample", "--link", "acme")


class Terminal:
    """Runs commands and has what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *argv: str) -> str:
        """The standard output of a command that succeeds."""
        status = main(argv)
        out, err = self._capsys.readouterr()
        assert (status, err) == (0, "")
        return out

    def json(self, *argv: str) -> Any:
        """The data that a command prints."""
        return json.loads(self.run(*argv, "--json"))

    def fail(self, *argv: str) -> str:
        """The standard error of a command that fails."""
        status = main(argv)
        out, err = self._capsys.readouterr()
        assert (status, out) == (1, "")
        return err


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No settings but those of these tests."""
    for name in [name for name in os.environ if name.startswith("GATEWAY")]:
        monkeypatch.delenv(name)
    path = tmp_path / "gateway.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    monkeypatch.setenv("GATEWAY_CONFIG", str(path))
    return monkeypatch


@pytest.fixture
def terminal(
    environment: pytest.MonkeyPatch, database: ConnectParameters, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    """Commands on an empty store, which is given by its URL."""
    environment.setenv("GATEWAY__STORE__DATABASE_URL", url_of(database))
    return Terminal(capsys)


@pytest.fixture
def folder(environment: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data folder of an embedded store that no command has used yet."""
    with data_folder() as folder:
        environment.setenv("GATEWAY__STORE__DATA_DIR", str(folder))
        environment.setenv("GATEWAY__STORE__OS_USER", OS_USER)
        yield folder


def url_of(parameters: ConnectParameters) -> str:
    """A database's URL."""
    p = parameters
    return f"postgresql://{p['user']}@/{p['database']}?host={p['host']}&port={p['port']}"


def on(parameters: ConnectParameters, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Do something on a database beside the commands."""

    async def run() -> T:
        connection = await asyncpg.connect(**parameters)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_a_shop_from_first_to_last(terminal: Terminal) -> None:
    """A shop is added, shown, changed, held and released."""
    assert terminal.run(*ADD) == "added shop sample\n"
    assert terminal.json("shop", "show", "sample") == {
        "code": "sample",
        "name": "Sample Bridal",
        "main_phone": "+12125550100",
        "contact_email": "owner@example.com",
        "time_zone": "America/New_York",
        "support_until": None,
        "method": None,
        "is_held": False,
        "language": None,
        "voice": None,
        "engines": [],
        "allowed_engines": [],
        "numbers": [],
    }
    terminal.run("shop", "set", "sample", "--support-until", "2030-12-31", "--method", "sms")
    terminal.run("shop", "hold", "sample")
    (shop,) = terminal.json("shop", "list")
    assert (shop["support_until"], shop["method"], shop["is_held"]) == ("2030-12-31", "sms", True)
    terminal.run("shop", "release", "sample")
    terminal.run("shop", "set", "sample", "--support-until", "")
    shop = terminal.json("shop", "show", "sample")
    assert (shop["support_until"], shop["is_held"]) == (None, False)


def test_tables_for_people(terminal: Terminal) -> None:
    """Without --json a list is a table, and one shop a list of its fields."""
    terminal.run(*ADD)
    terminal.run(*ASSIGN)
    head, row = terminal.run("shop", "list").splitlines()
    assert head.startswith("code") and "+12125550101 by acme" in row
    assert "time zone        America/New_York" in terminal.run("shop", "show", "sample")
    assert "sample" in terminal.run("number", "list")
    terminal.run("key", "create", "--admin")
    assert "(admin)" in terminal.run("key", "list")


def test_every_faulty_option_is_named(terminal: Terminal) -> None:
    """One line a fault, each with what to do, and nothing is kept."""
    bad = ("--name", " ", "--main-phone", "1", "--contact-email", "x", "--time-zone", "y")
    lines = terminal.fail("shop", "add", "sample", *bad).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "name", "main_phone", "contact_email", "time_zone",
    ]  # fmt: skip
    assert terminal.json("shop", "list") == []


def test_one_fault_comes_with_its_hint(terminal: Terminal) -> None:
    """What this version cannot do is said, and what to do instead."""
    err = terminal.fail(*ADD, "--method", "email")
    assert "not in this version" in err and "use sms" in err


@pytest.mark.parametrize(
    "argv",
    [
        ("shop",),
        ("shop", "add", "sample"),
        ("shop", "set", "sample"),
        ("key", "create"),
        ("key", "create", "--admin", "--shop", "sample"),
        ("number", "assign", "+12125550101"),
    ],
)
def test_wrong_usage(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage ends with status 2, before anything is opened."""
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: gateway" in capsys.readouterr().err


def test_numbers(terminal: Terminal) -> None:
    """A number is assigned, listed and released; for another shop's number that shop is named."""
    terminal.run(*ADD)
    terminal.run("shop", "add", "second", *ADD[3:])
    assert "+12125550101" in terminal.run(*ASSIGN)
    (number,) = terminal.json("number", "list")
    assert (number["number"], number["shop"], number["link"]) == ("+12125550101", "sample", "acme")
    err = terminal.fail("number", "assign", "212-555-0101", "--shop", "second", "--link", "acme")
    assert "sample" in err and "gateway number release" in err
    terminal.run("number", "release", "212-555-0101")
    assert terminal.json("number", "list") == []


def test_a_number_may_leave_by_a_route(
    environment: pytest.MonkeyPatch, terminal: Terminal
) -> None:
    """By the name that the settings give it."""
    environment.setenv("GATEWAY__ROUTES__EAST__LINKS", "acme")
    terminal.run(*ADD)
    assert "by east" in terminal.run(*ASSIGN[:-1], "east")
    err = terminal.fail(*ASSIGN[:-1], "west")
    assert "acme, east" in err


def test_a_number_may_have_a_campaign(terminal: Terminal) -> None:
    """It is shown, stays when the number is assigned once more, and can be changed."""
    terminal.run(*ADD)
    assert "campaign CABC123" in terminal.run(*ASSIGN, "--campaign", "CABC123")
    terminal.run(*ASSIGN)
    assert terminal.json("number", "list")[0]["campaign"] == "CABC123"
    terminal.run(*ASSIGN, "--campaign", "CXYZ789")
    assert terminal.json("number", "list")[0]["campaign"] == "CXYZ789"
    assert "1 to 32" in terminal.fail(*ASSIGN, "--campaign", "C 1")


def test_a_link_has_to_be_known(terminal: Terminal) -> None:
    """A link that the settings do not name is refused, with those that they do."""
    terminal.run(*ADD)
    err = terminal.fail(*ASSIGN[:-1], "acne")
    assert "acne" in err and "acme, other" in err


def test_keys(terminal: Terminal, database: ConnectParameters) -> None:
    """A key is printed alone and works at once; a revoked one does not."""
    terminal.run(*ADD)
    token = terminal.run("key", "create", "--shop", "sample").removesuffix("\n")
    (key,) = terminal.json("key", "list")
    assert (key["label"], key["shop"], key["revoked"]) == (token[:10], "sample", None)

    async def is_valid(_: asyncpg.Connection) -> bool:
        directory = Directory(store_of(database))
        await directory.load()
        directory.close()
        return directory.key(token) is not None

    assert on(database, is_valid)
    terminal.run("key", "revoke", token[:10])
    assert not on(database, is_valid)
    assert "key list" in terminal.fail("key", "revoke", "gw_nothing")


def test_a_refused_command_keeps_nothing(terminal: Terminal) -> None:
    """A key for a shop that is not there is not made."""
    assert "no shop 'nobody'" in terminal.fail("key", "create", "--shop", "nobody")
    assert terminal.json("key", "list") == []


def test_embedded_store(
    folder: Path, capsys: pytest.CaptureFixture[str], environment: pytest.MonkeyPatch
) -> None:
    """Commands start the embedded store by themselves, and work beside another user of it."""
    terminal = Terminal(capsys)
    assert terminal.run(*ADD) == "added shop sample\n"
    assert "nothing to apply" in terminal.run("migrate")
    server = EmbeddedPostgres(folder, os_user=OS_USER)
    try:
        parameters = asyncio.run(server.start())
        terminal.run("shop", "hold", "sample")
        assert on(parameters, lambda c: c.fetchval("SELECT is_held FROM shop"))

        on(parameters, lambda c: c.execute("CREATE DATABASE real"))
        environment.setenv(
            "GATEWAY__STORE__DATABASE_URL", url_of({**parameters, "database": "real"})
        )
        assert "gateway migrate" in terminal.fail("shop", "list")
        assert main(["check"]) == 1
        assert "gateway migrate" in capsys.readouterr().out
        assert terminal.run("migrate").startswith("applied 1")
        assert main(["check"]) == 0
        capsys.readouterr()
        assert terminal.json("shop", "list") == []
    finally:
        server.release()


def test_check_and_migrate_refuse_an_unfit_database(terminal: Terminal) -> None:
    """A server without fsync (the tests' own) is told by both, and not migrated."""
    assert "fsync" in terminal.fail("migrate")
    assert main(["check"]) == 1


def test_no_database(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database that does not answer is told with what to look at."""
    environment.setenv("GATEWAY__STORE__DATABASE_URL", f"postgresql://gateway@/x?host={tmp_path}")
    assert "database_url" in Terminal(capsys).fail("shop", "list")
