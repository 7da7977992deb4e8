"""A settings file of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.reading import Reader


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Reads texts as the settings file of an empty folder."""
    return Reader(tmp_path)
