"""The `gateway` command: finds the subcommand, runs it, and says what to do when it fails.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from gateway import __version__
from gateway.cli.frame import CommandError
from gateway.cli.output import paint

COMMANDS = (
    "check",
    "demo",
    "esme",
    "health",
    "key",
    "lexicon",
    "link",
    "message",
    "migrate",
    "number",
    "queue",
    "say",
    "send",
    "serve",
    "shop",
    "trunk",
    "voices",
)
"""Modules of `gateway.cli` that register a command; a `-` in its name is `_` in the module's."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    args = _parser(arguments).parse_args(arguments)
    try:
        status: int = _finish(args.run(args))
        sys.stdout.flush()
    except CommandError as error:
        _complain(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has seen enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway", description="Texts for the customers of shops, and their answers back."
    )
    parser.add_argument("--version", action="version", version=f"sms-voice-gateway {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _wanted(arguments):
        module = importlib.import_module(f"gateway.cli.{name}")
        module.register(subparsers)
    return parser


def _wanted(arguments: Sequence[str]) -> Sequence[str]:
    """The one command that is named, so that it does not wait for the others' imports, else all."""
    name = arguments[0].replace("-", "_") if arguments else ""
    return (name,) if name in COMMANDS else COMMANDS


def _finish(result: int | Coroutine[Any, Any, int]) -> int:
    return _run(result) if inspect.iscoroutine(result) else result  # type: ignore[return-value]


def _run(coroutine: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop where it is installed: there is none for every platform."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(coroutine)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)


def _complain(error: CommandError) -> None:
    print(f"{paint('gateway:', 'red', sys.stderr)} {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
