"""Tables, JSON and colour."""

from __future__ import annotations

import io

import pytest

from gateway.cli.output import has_colour, paint, print_json, print_table


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are as wide as their widest cell; None is an empty cell; no space ends a line."""
    print_table(["name", "n"], [["acme", 1], ["b", None]])
    assert capsys.readouterr().out == "name  n\nacme  1\nb\n"


def test_nothing_in_a_table_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in what came from outside are shown as replaced."""
    print_table(["text"], [["a\x1b[31mb\n"]])
    assert capsys.readouterr().out == "text\na\ufffd[31mb\ufffd\n"


def test_json_is_indented(capsys: pytest.CaptureFixture[str]) -> None:
    """What programs read, people can read too."""
    print_json({"a": [1]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n'


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, NO_COLOR and a dumb terminal get plain text."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    assert paint("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colour(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colour(Terminal())
