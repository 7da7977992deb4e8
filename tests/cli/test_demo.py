"""`gateway demo`: what a newcomer sees within a minute."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import urllib.request
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


def test_the_lines_to_paste_work() -> None:
    """While the demo runs each of the three curl lines gets its answer; Ctrl-C ends it in order."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert demo.stdout is not None
        told = ""
        while "Running until" not in told:
            line = demo.stdout.readline()
            assert line, told
            told += line
        pasted = [shlex.split(line) for line in told.replace("\\\n", " ").splitlines()
                  if line.lstrip().startswith("curl ")]  # fmt: skip
        assert [_status(arguments) for arguments in pasted] == [202, 200, 200]
        demo.send_signal(signal.SIGINT)
        assert demo.wait(STORY_S) == 0
    finally:
        demo.kill()
        demo.communicate()


def _status(curl: list[str]) -> int:
    """What the gateway answers to a command line of curl."""
    told = dict(zip(curl, curl[1:], strict=False))
    name, _, value = told["-H"].partition(": ")
    (url,) = [word for word in curl if word.startswith("http://127.0.0.1:")]
    body = told["-d"].encode() if "-d" in told else None
    request = urllib.request.Request(url, data=body, headers={name: value})  # noqa: S310
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        return int(answer.status)
