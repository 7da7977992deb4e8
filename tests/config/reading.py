"""Reads settings from text, as the tests write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from config.loading import Fault, SettingsError, load
from config.settings import Settings

LINK = """
[[links]]
name = "acme"
host = "127.0.0.1"
system_id = "lab"
"""

ROUTE = """
[[routes]]
name = "east"
links = ["acme"]
"""


class Reader:
    """Writes a settings file and reads it with an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "gateway.toml"

    def read(self, text: str, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of a sound text."""
        self.path.write_text(text, encoding="utf-8")
        return load(self.path, environ or {})

    def faults(self, text: str, environ: Mapping[str, str] | None = None) -> list[Fault]:
        """The faults of an unsound one."""
        with pytest.raises(SettingsError) as caught:
            self.read(text, environ)
        return list(caught.value.faults)

    def fault(self, text: str, environ: Mapping[str, str] | None = None) -> Fault:
        """The only fault of an unsound one."""
        faults = self.faults(text, environ)
        assert len(faults) == 1, faults
        return faults[0]


