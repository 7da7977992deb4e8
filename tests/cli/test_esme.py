"""`gateway esme`, as operators type it."""

from __future__ import annotations

from tests.cli.test_admin import ADD, Terminal, environment, terminal

__all__ = ["environment", "terminal"]

ESME = ("esme", "add", "till", "--shop", "sample")


def test_an_account_is_added_shown_and_changed(terminal: Terminal) -> None:
    """Adding prints the password alone; afterwards nobody sees it."""
    terminal.run(*ADD)
    password = terminal.run(*ESME, "--allow", "203.0.113.7", "--replies", "yes").strip()
    assert len(password) == 8
    shown = terminal.json("esme", "show", "till")
    assert (shown["shop"], shown["binds"], shown["has_replies"]) == ("sample", 2, True)
    assert (shown["bound"], shown["waiting"]) == ([], 0)
    assert password not in str(shown)
    terminal.run("esme", "set", "till", "--binds", "3", "--allow", "")
    (listed,) = terminal.json("esme", "list")
    assert (listed["binds"], listed["allowed"]) == (3, [])
    assert terminal.run("esme", "show", "till").startswith("system id")
    assert "till" in terminal.run("esme", "list")


def test_a_password_is_renewed_and_an_account_revoked(terminal: Terminal) -> None:
    """Printing another one; after that there is no account."""
    terminal.run(*ADD)
    first = terminal.run(*ESME)
    assert terminal.run("esme", "password", "till") != first
    assert "revoked" in terminal.run("esme", "revoke", "till")
    assert "no valid account" in terminal.fail("esme", "password", "till")
    assert terminal.json("esme", "list")[0]["revoked"] is not None


def test_what_cannot_be_is_explained(terminal: Terminal) -> None:
    """Each with what to do."""
    terminal.run(*ADD)
    assert "no link nowhere" in terminal.fail("esme", "add", "x", "--link", "nowhere")
    assert "we dial" in terminal.fail("esme", "add", "x", "--link", "acme")
    assert "no shop" in terminal.fail("esme", "add", "x", "--shop", "nobody")
    assert "CIDR" not in terminal.fail(*ESME, "--allow", "everywhere")
