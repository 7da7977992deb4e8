"""`gateway demo`: what a newcomer sees within a minute."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

STORY_S = 60
"""The story has to be told within a minute."""


@cache
def _told() -> subprocess.CompletedProcess[str]:
    """One run of the demo, which takes the addresses that are free."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--once"],
        capture_output=True,
        text=True,
        timeout=STORY_S,
        check=False,
    )


def test_the_story_is_told_to_its_end() -> None:
    """It ends well, and says nothing of errors."""
    assert (_told().returncode, "ERROR" in _told().stderr) == (0, False), _told().stderr


@pytest.mark.parametrize(
    "line",
    [
        "=> delivered",
        "=> undelivered",
        "throttled by sandbox",
        "segment 3 of 3: delivered",
        "Subject: Text from Sample Customer (212) 555-0119",
        "| Thank you so much, that is wonderful news!",
        "accepted by mail",
        "/v1/queues",
    ],
)
def test_a_newcomer_sees_each_part(line: str) -> None:
    """Texts out, receipts, a carrier that throttles, an answer as a mail, and what to try next."""
    assert line in _told().stdout
