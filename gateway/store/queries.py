"""The SQL of the store: named blocks in `sql/*.sql`, read once.

A file holds blocks that each begin with `-- name: some_name`; comment lines behind it say what the
statement is for.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def load(file: str) -> dict[str, str]:
    """The statements of `sql/<file>.sql` by name."""
    text = files("gateway.store").joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {
        name: "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }
