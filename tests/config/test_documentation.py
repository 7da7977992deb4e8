"""`config/gateway.toml` documents every key with its default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

import config
from config.loading import load
from config.settings import LinkSettings, RouteSettings, Section, Settings, TrunkSettings

ROOT = Path(__file__).parents[2]
DOCUMENTED = ROOT / "config" / "gateway.toml"
LINKS_MARK = "# [[links]]\n"
ROUTES_MARK = "# [[routes]]\n"
TRUNKS_MARK = "# [[trunks]]\n"
LISTS: dict[str, type[Section]] = {
    "links": LinkSettings,
    "routes": RouteSettings,
    "trunks": TrunkSettings,
}


def _raw() -> dict[str, Any]:
    """The file with its commented examples of a link, a route and a trunk switched on."""
    text = DOCUMENTED.read_text(encoding="utf-8")
    head, mark, example = text.partition(LINKS_MARK)
    assert mark
    link, mark, route = example.partition(ROUTES_MARK)
    assert mark
    route, mark, trunk = route.partition(TRUNKS_MARK)
    assert mark
    link, route = link.partition("\n#\n")[0], route.partition("\n#\n")[0]
    example = f"[[links]]\n{link}\n[[routes]]\n{route}\n[[trunks]]\n{trunk}"
    lines = example.splitlines()
    return tomllib.loads(head + "\n".join(line.removeprefix("# ") for line in lines))


def test_config_is_this_project() -> None:
    """No other package of that name stands before it."""
    assert Path(config.__file__) == ROOT / "config" / "__init__.py"


def test_the_file_runs_as_it_is_and_changes_nothing() -> None:
    """It loads without a fault and means the same as no file."""
    assert load(DOCUMENTED, {}) == Settings()


@pytest.mark.parametrize(
    "info", msgspec.structs.fields(Settings), ids=lambda info: f"[{info.name}]"
)
def test_every_key_is_there_with_its_default(info: msgspec.structs.FieldInfo) -> None:
    """Section by section, the keys of the struct and those of the file are the same."""
    kind: type[Section] = LISTS.get(info.name, info.type)
    table = _raw()[info.name][0] if info.name in LISTS else _raw()[info.name]
    assert sorted(table) == sorted(kind.__struct_fields__)
    for key in msgspec.structs.fields(kind):
        is_example = info.name in ("links", "trunks") and key.name in ("host", "system_id")
        if not (key.required or is_example or key.default is msgspec.NODEFAULT):
            expected = "" if key.default is None else key.default
            expected = list(expected) if isinstance(expected, tuple) else expected
            assert table[key.name] == expected, key.name
            assert type(table[key.name]) is type(expected), key.name


def test_every_key_is_explained() -> None:
    """A comment stands above each key, or above the group of keys that it stands in, also in the
    examples of a link, a route and a trunk.
    """
    text = DOCUMENTED.read_text(encoding="utf-8")
    head, _, examples = text.partition(LINKS_MARK)
    unfolded = [line.removeprefix("#").removeprefix(" ") for line in examples.splitlines()]
    above, bare, count = "", [], 0
    for line in [*head.splitlines(), *unfolded]:
        if re.match(r"[a-z0-9_]+ = ", line):
            count += 1
            bare += [line] if above != "explained" else []
        else:
            above = "explained" if line.startswith("#") else "nothing"
    assert count == sum(len(table) for table in _tables())
    assert bare == []


def _tables() -> list[dict[str, Any]]:
    """Each section of the file, and its example of each list."""
    return [raw[0] if isinstance(raw, list) else raw for raw in _raw().values()]
