"""`python -m bench.speech`: what speech costs on this machine.

Rendering goes through everything that a message goes through: normaliser, worker process with
phone audio, cache on disk. While it runs, a probe in the same event loop sleeps for a millisecond
at a time and notes how late it wakes; a like probe in a process that does nothing else notes at the
same moment what is the machine's share of it ("idle"). Two more figures are ours whatever else
runs: how late it woke less what its thread waited for a processor meanwhile ("own"; on Linux), and
the longest processor time of one turn of the loop, between two looks at timers and sockets (in
Python's own loop: uvloop's, in which all else is measured, lets nobody look in). All texts are said
at once. The first text of a server, for which it loads what speaks, is measured apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from bench import machine
from bench.lag import at_most, calm_collector, probed, turns_noted
from protocols.audio import g711, wav
from protocols.audio.g711 import Law
from speech.messages import messages as corpus
from tts.cache import Cache
from tts.engine import Pcm
from tts.phone_audio import to_phone
from tts.pico import PicoEngine
from tts.piper import PiperEngine
from tts.speech import Audio, Speech, Utterance

CLIP_S = 18.0
CLIP_RATE = 22_050


@dataclass(frozen=True)
class Rendering:
    """Messages rendered at full load. `cpu_ms` is the processor time of all processes together,
    a message."""

    engine: str
    workers: int
    messages: int
    per_s: float
    per_core_s: float
    cpu_ms: float
    audio_s: float
    lag_p999_ms: float
    lag_max_ms: float
    own_max_ms: float
    idle_max_ms: float


@dataclass(frozen=True)
class Lag:
    """How late a sleeper wakes without any rendering."""

    beside: str
    p999_ms: float
    max_ms: float
    own_max_ms: float


def main() -> int:
    """Measure, print, and write JSON if told."""
    parser = argparse.ArgumentParser(prog="python -m bench.speech", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run; little is measured")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each (default 3)")
    parser.add_argument("--piper", metavar="VOICE", help="measure this voice of Piper too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    told: dict[str, Any] = {"machine": machine.describe()}
    for name, value in told["machine"].items():
        print(f"{name:12} {value}")
    told["phone_audio_ms"] = phone_audio()
    print("\n18 s of audio, one thread, median ms")
    for name, cost in told["phone_audio_ms"].items():
        print(f"{cost:9.2f}  {name}")
    calm_collector()
    told |= uvloop.run(_in_loop(options))
    told["turn_max_ms"] = [_longest_turn(options) for _ in range(options.runs)]
    turns = ", ".join(f"{turn_ms:.2f}" for turn_ms in told["turn_max_ms"])
    print(f"the longest turn of the loop while texts are spoken, processor ms: {turns}")
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


async def _in_loop(options: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = {"rest": [], "renderings": []}
    seconds = 0.5 if options.quick else 3.0
    print(f"\n{'loop lag':34}{'p99.9 ms':>10}{'max ms':>10}{'own max ms':>12}")
    for burners in (0, os.cpu_count() or 1):
        rest = await _rest(seconds, burners)
        told["rest"].append(asdict(rest))
        late = f"{rest.p999_ms:>10.2f}{rest.max_ms:>10.2f}{rest.own_max_ms:>12.2f}"
        print(f"{rest.beside:34}{late}", flush=True)
    await _first()  # where nothing was installed, this makes the bytecode
    told["first"] = [await _first() for _ in range(1 if options.quick else options.runs)]
    for own_ms, took_ms in told["first"]:
        print(f"the first text: {took_ms:.0f} ms, own lag {own_ms:.2f} ms at most")
    print(
        f"\n{'engine':8}{'workers':>8}{'messages/s':>12}{'/s a core':>11}{'cpu ms':>8}"
        f"{'audio s':>9}{'lag p99.9':>11}{'lag max':>9}{'own max':>9}{'idle max':>10}"
    )
    for engine, workers, messages in _plan(options):
        for _ in range(1 if options.quick else options.runs):
            done = await _render(engine, workers, messages, options.piper)
            told["renderings"].append(asdict(done))
            print(
                f"{done.engine:8}{done.workers:>8}{done.per_s:>12.1f}{done.per_core_s:>11.1f}"
                f"{done.cpu_ms:>8.1f}{done.audio_s:>9.1f}{done.lag_p999_ms:>11.2f}"
                f"{done.lag_max_ms:>9.2f}{done.own_max_ms:>9.2f}{done.idle_max_ms:>10.2f}",
                flush=True,
            )
    told["blast"] = await _blast()
    print(
        f"\n1,000 equal texts at a time: {told['blast']['first_ms']:.0f} ms; "
        f"again, from the cache: {told['blast']['again_ms']:.0f} ms; "
        f"one alone from the cache: {told['blast']['hit_us']:.0f} us"
    )
    return told


def _plan(options: argparse.Namespace) -> list[tuple[str, int, int]]:
    cores = os.cpu_count() or 1
    messages = 20 if options.quick else 150
    plan = [("pico", workers, messages) for workers in sorted({1, cores})]
    return plan + ([("piper", 1, 5 if options.quick else 20)] if options.piper else [])


def phone_audio() -> dict[str, float]:
    """What shaping costs, by step."""
    times = np.arange(int(CLIP_S * CLIP_RATE)) / CLIP_RATE
    chance = np.random.default_rng(1)
    words = np.clip(np.sin(2 * np.pi * 1.3 * times) * 2, 0, 1)
    samples = (chance.normal(size=len(times)) * 3_000 * words).astype(np.int16)
    file = wav.write(samples, CLIP_RATE)
    phone = to_phone(Pcm(samples, CLIP_RATE))

    def whole() -> bytes:
        heard = wav.read(file)
        return g711.encode(to_phone(Pcm(heard.samples, heard.rate), 0.7), Law.ULAW)

    return {
        "22.05 kHz WAV to phone audio in μ-law": _median_ms(whole),
        "μ-law alone": _median_ms(lambda: g711.encode(phone, Law.ULAW)),
    }


def _median_ms(work: Callable[[], object]) -> float:
    costs = []
    for _ in range(60):
        begun = time.perf_counter()
        work()
        costs.append(time.perf_counter() - begun)
    return statistics.median(costs[10:]) * 1e3


async def _render(
    engine: str,
    workers: int,
    messages: int,
    voice: str | None,
    *,
    watch: AbstractContextManager[object] | None = None,
) -> Rendering:
    """Say messages all at once, for what they cost, and as many others for how late the loop is:
    the probe costs something too. `watch` is entered for those."""
    made: PicoEngine | PiperEngine = (
        PicoEngine(workers=workers, queue=messages)
        if engine == "pico"
        else PiperEngine([voice or ""], workers=workers, queue=messages)
    )
    with tempfile.TemporaryDirectory() as folder:
        speech = Speech([made], Cache(Path(folder)))
        await speech.start()
        warm = [Utterance(f"Warm {n}.", engines=(engine,)) for n in range(2 * workers)]
        await asyncio.gather(*map(speech.say, warm))
        said = [Utterance(text, engines=(engine,)) for text in _texts(2 * messages)]
        pids = [os.getpid(), *made._pool.pids]
        cpu_s, begun = sum(map(machine.processor_s, pids)), time.perf_counter()
        audios = await _all_at_once(speech, said[:messages])
        took_s = time.perf_counter() - begun
        cpu_s = sum(map(machine.processor_s, pids)) - cpu_s
        idle = await _begin_idle()
        with watch or nullcontext():
            lags, _ = await probed(_all_at_once(speech, said[messages:]))
        told_idle, _ = await idle.communicate(b"")
        await speech.close()
    return Rendering(
        engine=engine,
        workers=workers,
        messages=messages,
        per_s=messages / took_s,
        per_core_s=messages / cpu_s,
        cpu_ms=1e3 * cpu_s / messages,
        audio_s=sum(audio.duration_s for audio in audios) / messages,
        lag_p999_ms=at_most(lags, 0.999),
        lag_max_ms=at_most(lags),
        own_max_ms=max(late.own_ms for late in lags),
        idle_max_ms=json.loads(told_idle)[0],
    )


async def _all_at_once(speech: Speech, said: list[Utterance]) -> list[Audio]:
    return await asyncio.gather(*map(speech.say, said))


def _texts(count: int) -> list[str]:
    """Messages as shops send them, no two alike."""
    plain = corpus("tuned")
    return [f"{plain[n % len(plain)].text} Line {n}." for n in range(count)]


def _longest_turn(options: argparse.Namespace) -> float:
    """The processor time of the longest turn of Python's own event loop, in ms."""
    engine, workers, messages = _plan(options)[0]
    turns: list[float] = []
    asyncio.run(_render(engine, workers, messages, None, watch=turns_noted(turns)))
    return max(turns)


async def _begin_idle() -> asyncio.subprocess.Process:
    """A process that does nothing but sleep, and will tell how late it woke."""
    command = (sys.executable, "-m", "bench.lag", "idle")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdout is not None  # noqa: S101
    await process.stdout.readline()
    return process


async def _rest(seconds: float, burners: int) -> Lag:
    command = ["nice", "-n", "10", sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command) for _ in range(burners)]  # noqa: ASYNC220
    lags, _ = await probed(asyncio.sleep(seconds))
    for process in running:
        process.kill()
        process.wait()
    beside = f"beside {burners} that burn time, nice 10" if burners else "at rest"
    return Lag(beside, at_most(lags, 0.999), at_most(lags), max(late.own_ms for late in lags))


async def _first() -> tuple[float, float]:
    """The own lag, and the duration, of the first text of a server that runs, in ms; it has its
    bytecode, as one that is installed."""
    kept = {name: value for name, value in os.environ.items() if "BYTECODE" not in name}
    command = (sys.executable, "-m", "bench.lag", "first")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, env=kept)
    told, _ = await process.communicate()
    own_ms, took_ms = json.loads(told)
    return own_ms, took_ms


async def _blast() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        speech = Speech([PicoEngine(workers=1)], Cache(Path(folder)))
        await speech.start()
        said = Utterance(_texts(1)[0])
        costs = []
        for times in (1_000, 1_000, 1):
            begun = time.perf_counter()
            await asyncio.gather(*(speech.say(said) for _ in range(times)))
            costs.append(time.perf_counter() - begun)
        await speech.close()
    return {"first_ms": costs[0] * 1e3, "again_ms": costs[1] * 1e3, "hit_us": costs[2] * 1e6}


if __name__ == "__main__":
    sys.exit(main())
