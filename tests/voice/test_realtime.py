"""Real-time priority, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from gateway.voice import realtime

CHILD = """
import json, os, subprocess, sys, threading, time
from gateway.voice.realtime import run_ahead

POLICY = 41 - 3  # the field of proc(5)'s stat, counted from the one behind the name

def policy():
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK

if sys.argv[1] == "ordinary" and os.getuid() == 0:
    os.setuid(65534)
told = {"granted": run_ahead(0.05), "policy": policy()}
thread = threading.Thread(target=lambda: told.update(thread=policy()))
thread.start()
thread.join()
stat = subprocess.check_output(["cat", "/proc/self/stat"])
told["child"] = int(stat.rpartition(b")")[2].split()[POLICY])
end = time.monotonic() + 10
while policy() != os.SCHED_OTHER and time.monotonic() < end:
    pass
told["after"] = policy()
print(json.dumps(told))
"""

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setscheduler"), reason="the system has no real-time priorities"
)


def told_by(user: str) -> dict[str, Any]:
    """What a process of this kind of user says of itself."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, user], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_process_runs_ahead_until_it_runs_on_without_a_rest() -> None:
    """Where it may; what it starts does not, and neither does it itself once it takes too much."""
    told = told_by("this")
    assert told["policy"] == (os.SCHED_RR if told["granted"] else os.SCHED_OTHER)
    assert told["thread"] == told["child"] == told["after"] == os.SCHED_OTHER


GIVING_BACK = """
import os, resource
from gateway.voice import realtime

if os.getuid() == 0:
    os.setuid(65534)
os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
realtime._fall_back(0, None)
resource.setrlimit(resource.RLIMIT_RTTIME, (100_000, 100_000))
realtime.run_ahead()
soft, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
assert soft < hard, "the kernel would end the process without a word"
"""


def test_the_priority_can_be_given_back_by_an_ordinary_user() -> None:
    """Who has it by a limit alone; and a limit that the system has set is kept away from."""
    done = subprocess.run(
        [sys.executable, "-c", GIVING_BACK], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_who_may_not_is_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right nothing fails, and nothing changes."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert not realtime.run_ahead()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_an_ordinary_user_serves_too() -> None:
    """Whatever the system says to it, the process goes on and tells its policy as it is."""
    told = told_by("ordinary")
    assert told["policy"] == (os.SCHED_RR if told["granted"] else os.SCHED_OTHER)
    assert told["after"] == os.SCHED_OTHER
