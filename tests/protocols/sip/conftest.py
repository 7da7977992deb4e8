"""What tests of SIP on sockets share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.channels.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority that signs certificates."""
    return Authority(tmp_path, "authority")
