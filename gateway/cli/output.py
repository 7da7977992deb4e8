"""What commands print: tables for people, JSON for programs, colour where it is wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TextIO

import msgspec

Colour = Literal["red", "green", "yellow", "blue", "cyan", "bold", "dim"]
_CODES: Mapping[Colour, int] = {
    "bold": 1,
    "dim": 2,
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "cyan": 36,
}


def has_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colour, and nobody set NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: Colour, stream: TextIO | None = None) -> str:
    """The text in a colour, or plain where the stream (standard output) has none."""
    if not has_colour(sys.stdout if stream is None else stream):
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def print_json(data: Any) -> None:
    """Print data as indented JSON. Dates, structs and dataclasses are written as msgspec does."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in aligned columns under their names; None is an empty cell."""
    cells = [["" if cell is None else visible(str(cell)) for cell in row] for row in rows]
    table = [list(columns), *cells]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    for number, line in enumerate(table):
        padded = zip(line, widths, strict=True)
        text = "  ".join(cell.ljust(width) for cell, width in padded).rstrip()
        print(paint(text, "bold") if number == 0 else text)


def visible(text: str) -> str:
    """Text without control characters, so that nothing from outside steers the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
