"""The messages that speech is judged by, in two halves of equal kind."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "corpus"
HALVES = ("tuned", "held_out")
"""The gate counts the second alone: nothing was ever tuned with it."""


class Message(NamedTuple):
    """What a shop sends, and what a caller should hear."""

    text: str
    spoken: str


def messages(half: str) -> list[Message]:
    """The messages of one half, in the order of the file."""
    with (_FOLDER / f"{half}.toml").open("rb") as file:
        return [Message(m["text"], m["spoken"]) for m in tomllib.load(file)["message"]]
