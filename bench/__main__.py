"""`python -m bench`: measures this version on this machine; prints a table, writes JSON if told."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine, micro, report
from bench.scenarios import Scenario, idle, measure, profile
from bench.site import BenchmarkError, new_site

SINGLE = Scenario("single posts", 40_000, 32)
NEW = Scenario("single posts to new phones", 20_000, 32, are_phones_new=True)
BATCH = Scenario("batches of 500", 60_000, 8, batch=500)
RECEIPTS = Scenario("with receipts", 30_000, 32, has_receipts=True)
LIGHT = Scenario("light load, 100/s", 600, 32, rate=100.0)


def main() -> int:
    """Run what was asked for."""
    options = _options()
    try:
        told = asyncio.run(_run(options))
    except BenchmarkError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the gateway.")
    add = parser.add_argument
    add("--quick", action="store_true", help="a smoke run; its figures mean little")
    add("--runs", type=int, default=3, metavar="N", help="runs of each load (default 3)")
    add("--only", metavar="WORDS", help="only loads whose name contains this; no profile, no rest")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> dict[str, Any]:
    scenarios = [LIGHT, SINGLE, NEW, BATCH, RECEIPTS]
    if options.only:
        scenarios = [each for each in scenarios if options.only in each.name]
    if options.quick:
        scenarios = [_shorter(each) for each in scenarios]
    told: dict[str, Any] = {"machine": machine.describe()}
    report.conditions(told["machine"])
    async with new_site() as site:
        told["sync"] = asdict(machine.measure_sync(site.folder))
        report.sync(told["sync"])
        told["loads"] = []
        first = 1_000_000
        for scenario in scenarios:
            for _ in range(1 if options.quick else options.runs):
                figures = asdict(await measure(site, scenario, first))
                first += scenario.messages
                told["loads"].append(figures)
                report.load(figures)
        if not options.only:
            load = _shorter(SINGLE) if options.quick else SINGLE
            told["dearest"] = await profile(site, load, first)
            report.dearest(told["dearest"])
            told["store"] = await micro.store(site)
            told["idle"] = []
            for dead_links in (0,) if options.quick else (0, 200):
                rest = asdict(await idle(site, dead_links, 3.0 if options.quick else 15.0))
                told["idle"].append(rest)
                report.idle(rest)
    if not options.only:
        told["micro"] = micro.functions()
        report.micro(told["micro"], told["store"])
    return told


def _shorter(scenario: Scenario) -> Scenario:
    """A load for a smoke run."""
    return Scenario(**asdict(scenario) | {"messages": max(scenario.messages // 6, 200)})


if __name__ == "__main__":
    sys.exit(main())
