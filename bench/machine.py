"""What the machine says: processor time of processes, and what a durable write takes."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sync:
    """How long fdatasync takes after a write of 8 KiB, in microseconds."""

    median_us: float
    p99_us: float


def measure_sync(folder: Path, times: int = 300) -> Sync:
    """Write and sync a file in `folder` over and over."""
    path = folder / "sync-test"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        page = os.urandom(8192)
        os.pwrite(descriptor, page * 64, 0)
        os.fsync(descriptor)
        took = []
        for n in range(times):
            os.pwrite(descriptor, page, n % 64 * 8192)
            start = time.perf_counter_ns()
            os.fdatasync(descriptor)
            took.append(time.perf_counter_ns() - start)
    finally:
        os.close(descriptor)
        path.unlink()
    took.sort()
    return Sync(took[times // 2] / 1000, took[int(times * 0.99)] / 1000)


def processor_s(pid: int, *, with_ended: bool = False) -> float:
    """Processor seconds of a process, user and system; `with_ended`: also of its ended children."""
    fields = _stat(pid)
    ticks = sum(map(int, fields[11 : 15 if with_ended else 13]))
    return ticks / _TICKS


def family_s(pid: int) -> float:
    """Processor seconds of a process and all its children, those that ended included."""
    total = processor_s(pid, with_ended=True)
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                if int(_stat(int(path.name))[1]) == pid:
                    total += processor_s(int(path.name), with_ended=True)
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total


def busy_s() -> float:
    """Processor seconds that everything on this machine has used, interrupts included."""
    user, nice, system, _idle, _wait, irq, soft, steal = map(
        int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + soft + steal) / _TICKS


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: the second may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def describe() -> dict[str, str]:
    """The machine in words."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processors": f"{os.cpu_count()} x {model}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }
