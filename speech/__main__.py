"""`python -m speech`: how well the default voice is understood. Exit 1 when it is not well enough.

Every message is rendered twice and taken through the whole phone path. The limits count for the
half of the messages that nothing was tuned with.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from speech.messages import HALVES, Message, messages
from speech.phone_path import DEFAULT, engines, installed, render
from speech.recogniser import NoRecogniser, Recogniser
from speech.report import Result, summary, with_results
from speech.score import Score, score
from tts.engine import TelephoneEngine

WORD_LIMIT = 0.10
DIGIT_LIMIT = 0.035
GATED = "held_out"
_STEP = 4
"""Messages from one sign of progress to the next."""
_PAGE = Path(__file__).parent.parent / "docs" / "speech.md"


def main(arguments: list[str] | None = None) -> int:
    """Run the gate; the exit code."""
    options = _parser().parse_args(arguments)
    names = installed() if options.all else options.engines.split(",")
    try:
        voices, recogniser = engines(names), Recogniser(os.cpu_count() or 1)
    except (NoRecogniser, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    results = asyncio.run(_listen(voices, recogniser, options))
    if options.write:
        page = _PAGE.read_text(encoding="utf-8")
        _PAGE.write_text(with_results(page, results), encoding="utf-8")
    print(summary(results))
    return 0 if passes(results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m speech", description=__doc__)
    parser.add_argument("--engines", default=DEFAULT, help="names, with commas")
    parser.add_argument("--all", action="store_true", help="every engine that runs here")
    parser.add_argument("--halves", default=",".join(HALVES), help="tuned, held_out or both")
    parser.add_argument("--renders", type=int, default=2, help="how often each message is said")
    parser.add_argument("--write", action="store_true", help=f"write docs/{_PAGE.name}")
    parser.add_argument(
        "--misheard", action="store_true", help="show what was misheard, of the tuned half"
    )
    return parser


async def _listen(
    voices: list[TelephoneEngine], recogniser: Recogniser, options: argparse.Namespace
) -> list[Result]:
    results = []
    for engine in voices:
        for half in options.halves.split(","):
            began = time.perf_counter()
            total = await _half(engine, recogniser, half, options)
            results.append(Result(engine.name, half, total, time.perf_counter() - began))
        await engine.close()
    return results


async def _half(
    engine: TelephoneEngine, recogniser: Recogniser, half: str, options: argparse.Namespace
) -> Score:
    total = Score()
    corpus = messages(half)
    for number, message in enumerate(corpus, 1):
        for _ in range(options.renders):
            total += await _heard(engine, recogniser, message, options.misheard and half == "tuned")
        if number % _STEP == 0:
            _progress(f"{engine.name} {half}: {number} of {len(corpus)}")
    _progress("")
    return total


async def _heard(
    engine: TelephoneEngine, recogniser: Recogniser, message: Message, is_shown: bool
) -> Score:
    rendered = await render(engine, message.text)
    heard = await asyncio.to_thread(recogniser.write_down, rendered.ulaw)
    one = score(message.spoken, heard)
    if is_shown and one.word_edits:
        print(f"\r{one.word_edits} {one.digit_edits}\n  {rendered.spoken}\n  {heard}")
    return one


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    elif line:
        print(line, file=sys.stderr, flush=True)


def passes(results: list[Result]) -> bool:
    """Whether the default engine is within the limits; an engine that was not run passes."""
    return all(
        r.score.word_error_rate <= WORD_LIMIT and r.score.digit_error_rate <= DIGIT_LIMIT
        for r in results
        if r.engine == DEFAULT and r.half == GATED
    )


if __name__ == "__main__":
    sys.exit(main())
