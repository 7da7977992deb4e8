"""The simulated SMSC as a process of its own: `python -m gateway.sandbox.smsc`.

It prints `ready PORT` when it listens. SIGTERM, SIGINT or the end of its standard input,
where that is a pipe, end it; then it prints one line of JSON with what it counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from gateway.sandbox.behaviour import Behaviour
from gateway.sandbox.smsc import LAB, SandboxSmsc
from gateway.sandbox.tally import Tally

STDIN: Final = 0
LOG_INTERVAL_S: Final = 0.1
"""How often the log is written."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to end."""
    options = _parser().parse_args(arguments)
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(options))
    else:
        uvloop.run(_serve(options))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.sandbox.smsc", description="A simulated SMSC on loopback."
    )
    flag = argparse.BooleanOptionalAction
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0: any free port")
    add("--account", metavar="ID:PASSWORD", action="append", help="default lab:lab")
    add("--receipts", action=flag, default=True, help="send receipts when asked for")
    add("--parameters", action=flag, default=True, help="receipts as parameters beside the text")
    add("--delay", type=float, default=50.0, metavar="MS", help="from response to receipt")
    add("--response-delay", type=float, default=0.0, metavar="MS", help="before each response")
    add("--window", type=int, default=50, help="deliver_sm under way on a session")
    add(
        "--keep",
        type=int,
        default=1_000_000,
        metavar="N",
        help="how many texts to remember for the count per destination and of duplicates",
    )
    add("--log", type=Path, metavar="FILE", help="a line for each submit_sm taken")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        log = stack.enter_context(options.log.open("a")) if options.log is not None else None
        tally = Tally(keep_max=options.keep, log=log)
        smsc = SandboxSmsc(
            accounts=dict(name.split(":", 1) for name in options.account or ()) or LAB,
            behaviour=Behaviour(
                receipt_delay_s=options.delay / 1000,
                response_delay_s=options.response_delay / 1000,
                has_receipts=options.receipts,
                has_receipt_parameters=options.parameters,
            ),
            window=options.window,
            record=tally.record,
        )
        print("ready", await smsc.start(options.host, options.port), flush=True)
        await _wait_for_end(tally)
        await smsc.stop()
        tally.write_log()
        print(json.dumps(_summary(smsc, tally)), flush=True)


async def _wait_for_end(tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    watched = _is_stream(STDIN)
    if watched:
        loop.add_reader(STDIN, lambda: None if os.read(STDIN, 65_536) else end.set())
    while not end.is_set():
        tally.write_log()
        try:
            async with asyncio.timeout(LOG_INTERVAL_S):
                await end.wait()
        except TimeoutError:
            continue
    if watched:
        loop.remove_reader(STDIN)


def _is_stream(descriptor: int) -> bool:
    """Whether its end means that somebody closed it: /dev/null and files are at their end at
    once."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _summary(smsc: SandboxSmsc, tally: Tally) -> dict[str, object]:
    return {
        "submits": smsc.submits,
        "taken": tally.taken,
        "refused": tally.refused,
        "duplicates": tally.duplicates,
        "deliveries": smsc.deliveries,
        "connections": smsc.connections,
        "destinations": dict(tally.destinations),
    }
