"""On which line of a TOML file a key stands; the parser of the standard library does not say."""

from __future__ import annotations

import re

from config.faults import KeyPath

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")
# Strings that end on their own line, the start of one that does not, and comments.
_TOKEN = re.compile(
    r'"""(?:\\.|(?!""").)*"""'
    r"|'''(?:(?!''').)*'''"
    r'|(?P<open>"""|\'\'\')'
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|#.*"
)


class KeyLines:
    """The lines of the tables and keys of one well-formed TOML document."""

    __slots__ = ("_array_sizes", "_lines", "_table")

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        self._array_sizes: dict[KeyPath, int] = {}
        self._table: KeyPath = ()
        closing = ""
        for number, line in enumerate(text.split("\n"), start=1):
            if closing:
                closing = "" if closing in line else closing
                continue
            self._read(line, number)
            closing = _left_open(line)

    def find(self, path: KeyPath) -> int | None:
        """The line of a key, or of the nearest table around it; None where neither stands."""
        for end in range(len(path), 0, -1):
            line = self._lines.get(path[:end])
            if line is not None:
                return line
        return None

    def _read(self, line: str, number: int) -> None:
        if header := _HEADER.match(line):
            self._open_table(_split(header[2]), number, is_array=header[1] == "[[")
        elif assignment := _ASSIGNMENT.match(line):
            self._lines.setdefault(self._table + _split(assignment[1]), number)

    def _open_table(self, name: KeyPath, number: int, *, is_array: bool) -> None:
        path: KeyPath = ()
        for part in name[:-1]:
            path = self._newest((*path, part))
        path = (*path, name[-1])
        if is_array:
            index = self._array_sizes.get(path, 0)
            self._array_sizes[path] = index + 1
            self._lines.setdefault(path, number)
            path = (*path, index)
        self._lines.setdefault(path, number)
        self._table = path

    def _newest(self, path: KeyPath) -> KeyPath:
        size = self._array_sizes.get(path)
        return path if size is None else (*path, size - 1)


def _split(dotted: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, dotted))


def _left_open(line: str) -> str:
    """The quotes of a multi-line string that starts on this line and does not end on it."""
    return next((token["open"] for token in _TOKEN.finditer(line) if token["open"]), "")
