"""What is wrong with the settings, in words for the person who wrote them."""

from __future__ import annotations

from dataclasses import dataclass

from config.describe import key_text

KeyPath = tuple[str | int, ...]
"""A place in the settings: `("links", 0, "port")`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `where` is a key (`links[0].port`) or the environment variable that set it.

    `source` is the file as it was named, empty for a fault of the environment; `line` counts from 1
    and is None where no line can be named.
    """

    where: str
    line: int | None
    problem: str
    hint: str = ""
    source: str = ""

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        parts = [part for part in (place, self.where) if part]
        hint = f" ({self.hint})" if self.hint else ""
        return f"{': '.join([*parts, self.problem])}{hint}"


class SettingsError(Exception):
    """The settings cannot be used; `faults` holds everything wrong with them, in file order."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def path_text(path: KeyPath) -> str:
    """`("links", 0, "port")` as `links[0].port`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{key_text(part)}" if text else key_text(part)
    return text
