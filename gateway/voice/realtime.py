"""Real-time priority for a process that carries sound and does nothing else.

A packet is due every 20 ms on every call, whatever else the machine does: databases, other roles,
backups. Where the system lets it (Linux, with CAP_SYS_NICE or a limit on RTPRIO), such a process
runs before all ordinary ones, as sound servers do. It needs little: one that runs on and on instead
loses the priority at once, so that a fault here stands in nobody's way.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
from types import FrameType
from typing import Final

log = logging.getLogger(__name__)

PRIORITY: Final = 1
"""The lowest of real time: before ordinary processes, behind the system's own."""
MOST_S: Final = 0.5
"""How long the process may run without a rest before it is ordinary again."""


def run_ahead(most_s: float = MOST_S) -> bool:
    """Run the calling thread, the main one, ahead of ordinary processes; False where the system
    does not let it. Threads and processes that it starts are ordinary.
    """
    if not hasattr(os, "sched_setscheduler"):
        return False
    try:
        _watch(int(most_s * 1_000_000))
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(PRIORITY))
    except (OSError, ValueError):
        return False
    return True


def _watch(most_us: int) -> None:
    """Have the kernel tell when the thread has run for so long without a rest: well before the
    hard limit, if there is one, at which it would end the process.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    if hard != resource.RLIM_INFINITY:
        most_us = min(most_us, hard // 2)
    signal.signal(signal.SIGXCPU, _fall_back)
    resource.setrlimit(resource.RLIMIT_RTTIME, (most_us, hard))


def _fall_back(_number: int, _frame: FrameType | None) -> None:
    """The process ran on without a rest (SIGXCPU by RLIMIT_RTTIME, setrlimit(2)).

    The flag stays: taking it back needs a right that a limit on RTPRIO does not give (sched(7)).
    """
    os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    log.warning("calls had no rest for too long: the process runs at ordinary priority from now on")
