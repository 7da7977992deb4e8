"""What a rule about the settings finds."""

from __future__ import annotations

from dataclasses import dataclass

from config.faults import KeyPath


@dataclass(frozen=True, slots=True)
class Breach:
    """A broken rule: the key to point at, and the other keys that were weighed."""

    path: KeyPath
    problem: str
    hint: str = ""
    others: tuple[KeyPath, ...] = ()
