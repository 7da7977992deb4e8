"""Settings from a TOML file and the environment, with every fault found in one run.

`GATEWAY__SECTION__KEY` overrides a key, `GATEWAY__LINKS__ACME__HOST` one of the link named `acme`
(a `-` in its name is `_` there), `GATEWAY__LINKS__0__HOST` one of the first link; routes and trunks
likewise. A name that the file does not have makes a new one. Lists are written with commas. A key
that ends in `_file` names a file whose content is the secret. Paths are relative to the settings
file, in the environment to the working directory; an empty path is the same as none.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import NODEFAULT
from msgspec.structs import FieldInfo

from config.describe import expectation, value_text
from config.environment import LISTS, PREFIX, Override, overlay
from config.faults import Fault, KeyPath, SettingsError, path_text
from config.files import FileFault, read_secret, read_settings
from config.places import Places
from config.rules import RULES
from config.settings import (
    SECRETS,
    LinkSettings,
    RouteSettings,
    Section,
    Settings,
    TrunkSettings,
    default_data_dir,
)
from config.toml_lines import KeyLines

__all__ = ["Fault", "SettingsError", "Survey", "in_order", "load", "load_with_places", "survey"]

_Section = TypeVar("_Section", bound=Section)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings; without a file the defaults and the environment alone.

    Raises SettingsError with all faults: syntax, unknown and missing keys, types, ranges, secrets,
    and rules between keys.
    """
    return load_with_places(path, environ)[0]


def load_with_places(path: Path | None, environ: Mapping[str, str]) -> tuple[Settings, Places]:
    """As `load`, with the places of the keys, for who finds more faults than the settings show."""
    found = survey(path, environ)
    if found.faults:
        raise SettingsError(list(found.faults))
    return found.settings, found.places


def survey(path: Path | None, environ: Mapping[str, str]) -> Survey:
    """The settings, sound or not, with everything wrong with them."""
    faults = _Faults(Places(path))
    raw = _parse(path, faults)
    for applied in overlay(raw, environ):
        if applied.path is None:
            hint = f"like {PREFIX}HTTP__LISTEN or {PREFIX}LINKS__ACME__HOST"
            faults.found.append(Fault(applied.variable, None, "names no setting", hint))
        else:
            faults.places.variables[applied.path] = applied.variable
    settings = _Builder(path, environ, faults).settings(raw)
    for rule in RULES:
        # What one rule says of a key is all told; what follows from another fault is not.
        fresh = [each for each in rule(settings) if not faults.has_any(each.path, *each.others)]
        for breach in fresh:
            faults.add(breach.path, breach.problem, breach.hint)
    return Survey(settings, faults)


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Those of no line first, then as the lines of the file go."""
    return sorted(faults, key=lambda fault: fault.line or 0)


class Survey:
    """Settings that may have faults: where a key has one, `settings` holds its default."""

    def __init__(self, settings: Settings, faults: _Faults) -> None:
        self.settings = settings
        self.places = faults.places
        self.faults = tuple(in_order(faults.found))
        self.has_fault = faults.has_any


class _Faults:
    """Gathers faults, and knows which keys have one."""

    __slots__ = ("_paths", "found", "places")

    def __init__(self, places: Places) -> None:
        self._paths: set[KeyPath] = set()
        self.found: list[Fault] = []
        self.places = places

    def add(self, path: KeyPath, problem: str, hint: str = "") -> None:
        """Note a fault of a key or table."""
        self._paths.add(path)
        self.found.append(self.places.fault(path, problem, hint))

    def has_any(self, *paths: KeyPath) -> bool:
        """Whether one of the keys, or a table around it, has a fault already."""
        return any(path[:end] in self._paths for path in paths for end in range(1, len(path) + 1))


def _parse(path: Path | None, faults: _Faults) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        text = read_settings(path)
        raw = tomllib.loads(text)
    except FileFault as fault:
        hint = fault.hint or "name another file with --config or GATEWAY_CONFIG"
        faults.found.append(faults.places.file_fault(fault.problem, hint))
        return {}
    except RecursionError:
        faults.found.append(faults.places.file_fault("is nested too deeply"))
        return {}
    except ValueError as error:
        place = re.search(r" \(at line (\d+), (column \d+)\)\Z", str(error))
        problem = f"{str(error)[: place.start()]}, {place[2]}" if place else str(error)
        line = int(place[1]) if place else None
        faults.found.append(faults.places.file_fault(problem, "this is not TOML", line))
        return {}
    faults.places.lines = KeyLines(text)
    return raw


class _Builder:
    """Makes structs of raw tables; a faulty value is noted and its default taken."""

    __slots__ = ("_base", "_environ", "_faults")

    def __init__(self, path: Path | None, environ: Mapping[str, str], faults: _Faults) -> None:
        self._base = Path.cwd() if path is None else path.absolute().parent
        self._environ = environ
        self._faults = faults

    def settings(self, raw: dict[str, Any]) -> Settings:
        """All sections."""
        self._unknown_keys((), raw, Settings)
        parts: dict[str, Any] = {
            "links": tuple(self._tables(LinkSettings, "links", raw)),
            "routes": tuple(self._tables(RouteSettings, "routes", raw)),
            "trunks": tuple(self._tables(TrunkSettings, "trunks", raw)),
        }
        for info in msgspec.structs.fields(Settings):
            if info.name not in LISTS:
                table = raw.get(info.name, {})
                parts[info.name] = self._section(info.type, (info.name,), table)
        return Settings(**parts)

    def _tables(self, kind: type[_Section], name: str, raw: dict[str, Any]) -> Iterator[_Section]:
        tables = raw.get(name, [])
        if not isinstance(tables, list):
            self._faults.add((name,), f"expected [[{name}]], got {value_text(tables)}")
            return
        for index, table in enumerate(tables):
            yield self._section(kind, (name, index), table)

    def _section(self, kind: type[_Section], path: KeyPath, raw: Any) -> _Section:
        if not isinstance(raw, dict):
            self._faults.add(path, f"expected a table [{path_text(path)}], got {value_text(raw)}")
            raw = {}
        self._unknown_keys(path, raw, kind)
        fields = {info.name: info for info in msgspec.structs.fields(kind)}
        values = {name: self._value(info, (*path, name), raw) for name, info in fields.items()}
        for name in SECRETS & fields.keys():
            if (secret_file := values[f"{name}_file"]) is not None:
                values[name] = self._secret(fields[name], path, secret_file, raw)
        return kind(**values)

    def _unknown_keys(self, path: KeyPath, raw: Iterable[str], kind: type[Section]) -> None:
        known = kind.__struct_fields__
        for key in raw:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
                self._faults.add((*path, key), "unknown", hint)

    def _value(self, info: FieldInfo, path: KeyPath, table: Mapping[str, Any]) -> Any:
        if info.name not in table:
            if info.required and not self._faults.has_any(path):
                self._faults.add(path, "missing", expectation(info.type))
            return self._default(info, path)
        raw = table[info.name]
        try:
            converted = self._converted(info, raw)
        except (msgspec.ValidationError, ValueError):
            shown = raw.text if isinstance(raw, Override) else raw
            got = value_text(shown, is_secret=info.name in SECRETS)
            self._faults.add(path, f"expected {expectation(info.type)}, got {got}")
            converted = None
        return self._default(info, path) if converted is None else converted

    def _converted(self, info: FieldInfo, raw: Any) -> Any:
        """The typed value, None for an empty path. Raises ValueError or msgspec.ValidationError."""
        is_override = isinstance(raw, Override)
        value = raw.text if is_override else raw
        if info.type is Path or Path in get_args(info.type):
            base = Path.cwd() if is_override else self._base
            return _absolute(value, base)
        if is_override and get_origin(info.type) is tuple:
            value = [item.strip() for item in value.split(",") if item.strip()]
        return msgspec.convert(value, info.type, strict=not is_override)

    def _default(self, info: FieldInfo, path: KeyPath) -> Any:
        if info.name == "data_dir":
            folder = default_data_dir(self._environ)
            if folder is None and not self._faults.has_any(path):
                self._faults.add(path, "missing", "this user has no home folder to keep data in")
            return folder or self._base
        if info.default is NODEFAULT:
            return "" if info.default_factory is NODEFAULT else info.default_factory()
        return info.default

    def _secret(self, info: FieldInfo, path: KeyPath, file: Path, table: Mapping[str, Any]) -> str:
        where = (*path, f"{info.name}_file")
        if _is_set(table.get(info.name)):
            self._faults.add(where, f"{info.name} is set too", "keep one of the two")
            return ""
        try:
            secret = read_secret(file)
            msgspec.convert(secret, info.type)
        except FileFault as fault:
            self._faults.add(where, f"{file} {fault.problem}", fault.hint)
            return ""
        except msgspec.ValidationError:
            self._faults.add(where, f"{file} should hold {expectation(info.type)}")
            return ""
        return secret


def _absolute(value: Any, base: Path) -> Path | None:
    """A path as written, `~` and all, under `base` unless it is absolute; None for an empty one."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("not a path")
    return base / os.path.expanduser(value) if value else None


def _is_set(raw: Any) -> bool:
    return bool(raw.text if isinstance(raw, Override) else raw)
