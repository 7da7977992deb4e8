"""Settings from environment variables, laid over those of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from config.faults import KeyPath
from config.settings import SECRETS

PREFIX = "GATEWAY__"
LISTS = ("links", "routes", "trunks")
"""Sections of which there may be several, each with a name."""


@dataclass(frozen=True, slots=True)
class Override:
    """A value from the environment, still as text."""

    text: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A variable and the key, link or route that it sets; no path when it names none."""

    variable: str
    path: KeyPath | None


def overlay(raw: dict[str, Any], environ: Mapping[str, str]) -> Iterator[Applied]:
    """Lay each `GATEWAY__…` variable over the raw settings, in the order of their names."""
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        parts = variable.removeprefix(PREFIX).lower().split("__")
        if len(parts) == 3 and parts[0] in LISTS:
            index, is_new = _item(raw, parts[0], parts[1])
            path: KeyPath | None = None if index is None else (parts[0], index, parts[2])
            if is_new and path is not None:
                yield Applied(variable, path[:2])
        else:
            is_key = len(parts) == 2 and parts[0] not in LISTS and all(parts)
            path = (parts[0], parts[1]) if is_key else None
        if path is not None:
            _put(raw, path, Override(environ[variable]))
        yield Applied(variable, path)


def _item(raw: dict[str, Any], kind: str, selector: str) -> tuple[int | None, bool]:
    """The index of the link or route of that name or number, and whether it is new."""
    items = raw.setdefault(kind, [])
    if not isinstance(items, list):
        return 0, False
    for index, table in enumerate(items):
        name = table.get("name") if isinstance(table, dict) else None
        name = name.text if isinstance(name, Override) else name
        if isinstance(name, str) and name.lower().replace("-", "_") == selector:
            return index, False
    if selector.isdecimal():
        return (int(selector), False) if int(selector) < len(items) else (None, False)
    items.append({"name": Override(selector.replace("_", "-"))})
    return len(items) - 1, True


def _put(raw: dict[str, Any], path: KeyPath, value: Override) -> None:
    table: Any = raw
    for part in path[:-1]:
        if isinstance(table, list) and isinstance(part, int):
            table = table[part]
        elif isinstance(table, dict):
            table = table.setdefault(part, {})
    if isinstance(table, dict):
        key = str(path[-1])
        table[key] = value
        _drop_other_form(table, key)


def _drop_other_form(table: dict[str, Any], key: str) -> None:
    """A secret from the environment replaces the file's, whichever of the two forms either has."""
    plain = key.removesuffix("_file")
    other = plain if key != plain else f"{plain}_file"
    if plain in SECRETS and not isinstance(table.get(other), Override):
        table.pop(other, None)
