"""What a worker process may do: compute, and read files. Nothing else.

Engines are large programs in C that read texts and audio of strangers. Each runs in a process that
cannot write a file (a file size limit of zero, and Landlock where the kernel has it), cannot reach
a network (a network namespace of its own, where one may be made), has bounded memory and
processor time, and ends with its parent. What a system does not offer is left out: the other
measures still hold, and `confine` tells which do.

Sources: setrlimit(2), sched(7), prctl(2), landlock(7), network_namespaces(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from dataclasses import dataclass
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWNET: Final = 0x4000_0000
_SYS_LANDLOCK_CREATE_RULESET: Final = 444
_SYS_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_CREATE_RULESET_VERSION: Final = 1

_LANDLOCK_FORBIDDEN: Final = (
    (1, 0, 0x1 | 0x2 | 0x1FF0),  # execute, write a file, remove and make anything
    (2, 0, 0x2000),  # move to another folder
    (3, 0, 0x4000),  # truncate
    (4, 1, 0x1 | 0x2),  # bind and connect TCP
    (6, 2, 0x1 | 0x2),  # abstract sockets and signals to others
)
"""The version of Landlock that knows it first, the field of its struct, the rights. Reading files
stays free."""

NICENESS: Final = 10
"""Rendering waits for whoever holds a call or a bind."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the machine a worker may use. `cpu_s` is for one request."""

    memory_bytes: int = 512 << 20
    cpu_s: int = 10
    open_files: int = 32


def confine(limits: Limits) -> list[str]:
    """Give up every right that speaking does not need. Returns what is in force."""
    os.chdir("/")
    os.umask(0o077)
    _stand_back()
    for limit, value in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        _lower(limit, value)
    in_force = ["limits"]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        in_force += ["no network"] * _leave_network(libc)
        version = _forbid(libc)
        in_force += ["no writing"] * (version >= 1) + ["no TCP"] * (version >= 4)
    return in_force


def _stand_back() -> None:
    """Leave the processors to others: be nice and, on Linux, of those that are never in a hurry
    (SCHED_BATCH, sched(7)). Such a process, woken by a request, does not take the processor from
    who sent it.

    Workers share the gateway's session: Linux divides processors among sessions first, and only
    within one does it look at how nice each process is (sched(7), autogroup).
    """
    os.nice(NICENESS)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # forbidden in some containers
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def end_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends. The end of the pipe does so too, but
    not while a text is being spoken."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def grant_cpu(seconds: int) -> None:
    """Allow that much processor time from now on. Who uses more is ended by SIGXCPU."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + seconds + 1, is_soft=True)


def _lower(limit: int, value: int, *, is_soft: bool = False) -> None:
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(limit, (value, hard if is_soft else value))
    except (OSError, ValueError):  # macOS knows no limit of address space
        return


def _leave_network(libc: ctypes.CDLL) -> bool:
    """Move to a network without any way out. Who is not root needs a user namespace for it."""
    flags = (_CLONE_NEWNET,) if os.geteuid() == 0 else (_CLONE_NEWUSER | _CLONE_NEWNET,)
    return any(libc.unshare(each) == 0 for each in flags)


def _forbid(libc: ctypes.CDLL) -> int:
    """Forbid every change to any file, for this thread and what it starts.

    Returns the version of Landlock that does so, 0 without one.
    """
    create = _SYS_LANDLOCK_CREATE_RULESET
    version = int(libc.syscall(create, None, 0, _LANDLOCK_CREATE_RULESET_VERSION))
    known = [each for each in _LANDLOCK_FORBIDDEN if each[0] <= version]
    if not known:
        return 0
    handled = (ctypes.c_uint64 * (known[-1][1] + 1))()
    for _, field, rights in known:
        handled[field] |= rights
    size = ctypes.c_size_t(ctypes.sizeof(handled))
    ruleset = libc.syscall(create, ctypes.byref(handled), size, 0)
    if ruleset < 0:
        return 0
    is_done = libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return version if is_done else 0
