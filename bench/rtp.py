"""`python -m bench.rtp`: how steadily calls get their packets, and what a call costs.

One process plays to many calls and hears them (the role `voice`); another is their far end and
takes the times at which the kernel received each packet; a third does nothing but wait for a timer,
so that what the machine itself does to timers stands beside; others may make work, or be a whole
gateway that handles texts (`bench/rtp_parts.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench import machine
from bench.rtp_parts import Gaps, Load, Part
from bench.texts import Flow


@dataclass(frozen=True)
class Figures:
    """What one measurement found. `core` is the share of one core of the role, in percent."""

    load: str
    packets: Gaps
    timer: Gaps
    core: float
    core_per_call: float
    heard: int
    lost: int
    wrong_source: int
    skipped_ticks: int
    is_ahead: bool
    flow: Flow | None = None


def measure(load: Load) -> Figures:
    """Run one load; at most its seconds and a minute or two."""
    parts: list[Part] = []

    def start(name: str) -> Part:
        parts.append(Part(name, load))
        return parts[-1]

    try:
        beside = start("texts") if load.texts else None
        if beside is not None:
            beside.hear()
            beside.tell("go")
        timer, peer, role = start("timer"), start("peer"), start("role")
        if load.has_work:
            start("work")
        ports = role.hear(), peer.hear()
        role.tell(ports[1])
        peer.tell(ports[0])
        told = role.hear()
        return Figures(
            load.name,
            Gaps(**peer.hear()),
            Gaps(**timer.hear()),
            round(100 * told["used"] / load.seconds, 1),
            round(100 * told["used"] / load.seconds / load.calls, 3),
            told["heard"],
            told["lost"],
            told["wrong_source"],
            told["skipped"],
            told["is_ahead"],
            None if beside is None else Flow(**beside.hear()),
        )
    finally:
        for part in parts:
            part.end()


def show(found: list[Figures]) -> None:
    """A line for one load: the medians of its runs."""

    def middle(of: Callable[[Figures], float]) -> float:
        return median(map(of, found))

    print(
        f"{found[0].load:32}{middle(lambda f: f.packets.p50):7.1f}"
        f"{middle(lambda f: f.packets.p99):7.1f}{middle(lambda f: f.packets.p999):7.1f}"
        f"{middle(lambda f: f.packets.worst):7.1f}{middle(lambda f: f.timer.p99):11.1f}"
        f"{middle(lambda f: f.timer.p999):7.1f}{middle(lambda f: f.core):9.1f}"
        f"{middle(lambda f: f.core_per_call):8.3f}{middle(lambda f: f.lost):7.0f}",
        flush=True,
    )
    if not found[0].is_ahead:
        print(f"{'':4}at ordinary priority")
    flows = [each.flow for each in found if each.flow is not None]
    if flows:
        rate, p50, p99 = (
            median(getattr(flow, name) for flow in flows)
            for name in ("per_s", "submit_p50_ms", "submit_p99_ms")
        )
        print(
            f"{'':4}texts meanwhile: {rate:,.0f}/s, request to submit_sm p50 {p50:.1f} ms,"
            f" p99 {p99:.1f} ms"
        )


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.rtp", description="Measure media.")
    add = parser.add_argument
    add("--calls", type=int, default=300, metavar="N", help="calls at once (default 300)")
    add("--seconds", type=float, default=10.0, metavar="S", help="length of a run (default 10)")
    add("--runs", type=int, default=5, metavar="N", help="runs of each load (default 5)")
    add("--only", default="", metavar="WORDS", help="only loads whose name contains this")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()

    def load(name: str, *, texts: int = 0, flood: int = 0, **marks: bool) -> Load:
        return Load(name, options.calls, options.seconds, texts=texts, flood=flood, **marks)

    loads = [
        load("alone"),
        load("beside 1,000 texts a second", texts=1000),
        load("the same, ordinary priority", texts=1000, is_ordinary=True),
        load("beside a busy process", has_work=True),
        load("SRTP", is_secure=True),
        load("10,000/s from a wrong source", flood=1000),
    ]
    for name, value in machine.describe().items():
        print(f"{name:12} {value}")
    print(
        f"\n{options.calls} calls, both ways. Gaps between packets of a call in ms, as the kernel"
        "\nof the far end saw them; beside them those of a timer in a process that does nothing"
        "\nelse. Shares of one core in percent, of all calls and of one. Medians of the runs.\n\n"
        f"{'load':32}{'p50':>7}{'p99':>7}{'p99.9':>7}{'max':>7}{'timer p99':>11}{'p99.9':>7}"
        f"{'core':>9}{'a call':>8}{'lost':>7}"
    )
    told = []
    for each in loads:
        if options.only in each.name:
            found = [measure(each) for _ in range(options.runs)]
            told += [asdict(one) for one in found]
            show(found)
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
