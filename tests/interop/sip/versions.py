"""How peers call their version."""

from __future__ import annotations

import re
import subprocess


def version_of(program: str, option: str) -> str:
    """The first thing that a program prints and that looks like a version."""
    done = subprocess.run([program, option], capture_output=True, timeout=10, check=False)
    found = re.search(rb"v?(\d+\.\d+[\w.~]*)", done.stdout + done.stderr)
    assert found is not None, f"{program} {option} names no version"
    return found[1].decode()
