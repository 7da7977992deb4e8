"""Lines of keys in a TOML document."""

from __future__ import annotations

import pytest

from config.faults import KeyPath
from config.toml_lines import KeyLines

DOCUMENT = '''# listen = "comment"
top.dotted = 1

[http] # [other]
"listen" = "a # b"
text = """
listen = 2
[store]
"""
after = \'\'\' x = 1 \'\'\'
quotes = "it's \\"\\"\\" here"
last = ''

[[links]]
name = "a"
countries = [
  "US", # port = 3
]
[[ links ]]
name = "b"
[links.inner]
x = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top", "dotted"), 2),
        (("http",), 4),
        (("http", "listen"), 5),
        (("http", "text"), 6),
        (("http", "after"), 10),
        (("http", "quotes"), 11),
        (("http", "last"), 12),
        (("links",), 14),
        (("links", 0), 14),
        (("links", 0, "name"), 15),
        (("links", 0, "countries"), 16),
        (("links", 1, "name"), 20),
        (("links", 1, "inner", "x"), 22),
        (("http", "absent"), 4),
        (("links", 0, "port"), 14),
        (("store", "data_dir"), None),
    ],
)
def test_a_key_is_found(path: KeyPath, line: int | None) -> None:
    """A key stands on its line; an absent one on that of the table around it, or nowhere."""
    assert KeyLines(DOCUMENT).find(path) == line
