"""Pico in its worker processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from protocols.audio.g711 import RATE, Law, decode
from tests.tts import hostile
from tts import pool
from tts.confine import NICENESS
from tts.engine import MAX_SPOKEN_CHARS, EngineError, Overloaded, TooLong, Voice
from tts.phone_audio import LEAD_S, LEVEL_DBFS, active_level
from tts.pico import PicoEngine
from tts.speakers import pico as inside

pytest.importorskip("py_nanotts")

TEXT = "Your gown is ready for pickup."
VOICE = PicoEngine.voices[0]


@pytest.fixture
async def engine() -> AsyncIterator[PicoEngine]:
    made = PicoEngine(workers=1, timeout_s=60.0)  # others may have the processors
    yield made
    await made.close()


def pids(engine: PicoEngine) -> list[int]:
    return engine._pool.pids


async def test_speaks(engine: PicoEngine) -> None:
    """A sentence takes a second or two, and is heard."""
    pcm = await engine.synthesize(TEXT, VOICE)
    assert pcm.rate == 16_000
    assert 1.0 < pcm.duration_s < 4.0
    assert 5_000 < np.abs(pcm.samples.astype(int)).max() < 32_767


@pytest.mark.parametrize("voice", PicoEngine.voices, ids=str)
async def test_voices(engine: PicoEngine, voice: Voice) -> None:
    """Every voice that is offered speaks."""
    pcm = await engine.synthesize("Madame Müller, señora, città, uno due tre.", voice)
    assert pcm.duration_s > 1.0


@pytest.mark.parametrize("law", Law)
async def test_telephone_audio_is_made_where_it_is_spoken(engine: PicoEngine, law: Law) -> None:
    """A worker answers with octets of the law asked for, at the level of the telephone, and with
    silence before and after."""
    octets = await engine.telephone(TEXT, VOICE, law)
    silence = bytes([law.silence]) * (RATE // 10)
    assert 1.0 < len(octets) / RATE < 4.5
    assert octets.startswith(silence) and octets.endswith(silence)
    samples = decode(octets, law)[int(LEAD_S * RATE) :]
    level = active_level(samples.astype(np.float32) / 32_768)
    assert 20 * np.log10(level) == pytest.approx(LEVEL_DBFS, abs=1.0)


async def test_telephone_audio_is_refused_as_speech_is(engine: PicoEngine) -> None:
    """Too much is too much, a law that is none harms nobody, and the worker lives on."""
    await engine.telephone(TEXT, VOICE, "ulaw")
    before = pids(engine)
    with pytest.raises(TooLong):
        await engine.telephone("seven " * 400, VOICE, "ulaw")
    with pytest.raises(EngineError, match="the engine failed .ValueError."):
        await engine.telephone(TEXT, VOICE, "mulaw")
    assert pids(engine) == before


async def test_one_worker_serves_many(engine: PicoEngine) -> None:
    """Texts wait for the worker and are all spoken by it."""
    said = await asyncio.gather(*(engine.synthesize(f"Number {n}.", VOICE) for n in range(10)))
    assert all(pcm.duration_s > 0.4 for pcm in said)
    assert len(pids(engine)) == 1


async def test_as_many_workers_as_told() -> None:
    """Two workers speak two texts at a time."""
    engine = PicoEngine(workers=2)
    await asyncio.gather(*(engine.synthesize(TEXT, VOICE) for _ in range(6)))
    assert len(pids(engine)) == 2
    await engine.close()
    assert pids(engine) == []


def told_of(engine: PicoEngine, what: str) -> str:
    """What the system tells of a worker."""
    path = Path(f"/proc/{pids(engine)[0]}/{what}")
    if not path.exists():
        pytest.skip("other processes are shown on Linux only")
    return path.read_text()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, even if nobody has looked after it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


# --------------------------------------------------------------- hostile texts


async def test_markup_writes_no_file(engine: PicoEngine, tmp_path: Path) -> None:
    """Text that tells the engine to write a file is read as words."""
    target = tmp_path / "written.wav"
    for text in hostile.markup(target):
        await engine.synthesize(text, VOICE)
    assert os.listdir(tmp_path) == []


async def test_worker_cannot_write_even_by_markup(engine: PicoEngine, tmp_path: Path) -> None:
    """A worker has no file open for writing but its pipe, and may make none larger than nothing."""
    await engine.synthesize(TEXT, VOICE)
    rows = {line[:25].strip(): line[25:].split() for line in told_of(engine, "limits").splitlines()}
    assert rows["Max file size"][:2] == ["0", "0"]
    assert int(rows["Max open files"][0]) <= 32
    assert int(rows["Max address space"][0]) <= 512 << 20
    assert rows["Max core file size"][:2] == ["0", "0"]


async def test_hostile_texts(engine: PicoEngine) -> None:
    """The worker survives a thousand texts that mean harm, or says in words what is wrong."""
    await engine.synthesize(TEXT, VOICE)
    before = pids(engine)
    texts = [*hostile.STRANGE, *hostile.SILENT, *hostile.LONG]
    for text in [*texts, *hostile.random_texts(1_000 - len(texts))]:
        try:
            await engine.synthesize(text, VOICE)
        except EngineError as error:
            assert not error.is_temporary, error
    assert pids(engine) == before


async def test_audio_has_an_end(engine: PicoEngine) -> None:
    """A text that would be spoken for minutes is refused for good."""
    with pytest.raises(EngineError, match="more than 120 s") as caught:
        await engine.synthesize("seven " * 400, VOICE)
    assert not caught.value.is_temporary


async def test_the_longest_texts_are_spoken_or_refused_for_good(engine: PicoEngine) -> None:
    """As much as an engine may be given, of the quickest words and of the slowest."""
    quick = ("the of to in it is " * 200)[: MAX_SPOKEN_CHARS - 200]
    assert 90 < (await engine.synthesize(quick, VOICE)).duration_s <= 120
    before = pids(engine)
    for slow in ("a b ", "seven ", "a. ", "w ", "a, "):
        with pytest.raises(TooLong):
            await engine.synthesize((slow * MAX_SPOKEN_CHARS)[:MAX_SPOKEN_CHARS], VOICE)
    assert pids(engine) == before


async def test_an_end_while_a_worker_starts_leaves_none() -> None:
    """Whoever closes an engine has closed all of it."""
    engine = PicoEngine(workers=1)
    speaking = asyncio.create_task(engine.synthesize(TEXT, VOICE))
    started: list[int] = []
    plain = pool._Worker.connect

    async def slow(worker: pool._Worker) -> None:
        started.append(worker.pid)
        await engine.close()
        await plain(worker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool._Worker, "connect", slow)
        with pytest.raises(EngineError, match="shut down"):
            await speaking
    assert pids(engine) == []
    assert is_gone(started[0])


async def test_second_try_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Pico cannot speak is tried once more in ASCII."""
    tried = []

    class Choking:
        def speak(self, text: str, **_: object) -> bytes:
            tried.append(text)
            if not text.isascii():
                raise RuntimeError("error in processing unit")
            return b"\0\0"

    monkeypatch.setattr(inside, "NanoTTS", Choking)
    handler = inside.load(0.9, 0.8, 0.5)
    assert handler({"text": "hasta mañana!", "voice": "es-ES"}, b"") == ({"rate": 16_000}, b"\0\0")
    assert tried == ["hasta mañana!", "hasta manana"]


SLOW, FAST = '<speed level="80">', '</speed><speed level="90">'


@pytest.mark.parametrize(
    ("voice", "text", "spoken"),
    [
        ("en-US", "Call two one two. now", f"Call {SLOW}two one two{FAST}. now"),
        ("en-GB", "zero one. two, three", f"{SLOW}zero one. two, three{FAST}"),
        ("en-US", "I D A, four four two.", f"I D A, {SLOW}four four two{FAST}."),
        ("es-ES", "al nueve uno uno.", f"al {SLOW}nueve uno uno{FAST}."),
        ("fr-FR", "le zéro un deux", f"le {SLOW}zéro un deux{FAST}"),
        ("en-US", "one two, someone two three tens", "one two, someone two three tens"),
        ("en-US", "two hundred one two", "two hundred one two"),
        ("de-DE", "eins zwei drei", "eins zwei drei"),
        ("en-US", "<speed> one two three", f"speed {SLOW}one two three{FAST}"),
    ],
)
def test_digits_one_by_one_are_spoken_slower(
    voice: str, text: str, spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three or more; the markup for it is ours alone."""
    given = []

    class Listening:
        def speak(self, text: str, **_: object) -> bytes:
            given.append(text)
            return b"\0\0"

    monkeypatch.setattr(inside, "NanoTTS", Listening)
    inside.load(0.9, 0.8, 0.5)({"text": text, "voice": voice}, b"")
    assert given == [spoken]


async def test_slower_digits_leave_the_rest_as_it_is() -> None:
    """A number takes longer, what follows it does not."""
    number, rest = "five five five. zero one two three.", " Your gown is ready on Saturday."
    took = {}
    for digit_speed in (0.9, 0.6):
        engine = PicoEngine(workers=1, timeout_s=60.0, digit_speed=digit_speed)
        for text in (number, rest, number + rest):
            took[digit_speed, text] = (await engine.synthesize(text, VOICE)).duration_s
        await engine.close()
    longer = took[0.6, number] - took[0.9, number]
    assert longer > 0.5
    assert took[0.6, rest] == took[0.9, rest]
    assert took[0.6, number + rest] - took[0.9, number + rest] == pytest.approx(longer, abs=0.4)


# --------------------------------------------------------------- failing workers


async def gone(pid: int) -> None:
    """Wait for the end of a process."""
    async with asyncio.timeout(10):
        while not is_gone(pid):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.01)


async def test_worker_that_dies_as_it_is_asked_is_replaced(engine: PicoEngine) -> None:
    """Nobody has noticed yet that it is gone: the text is spoken by a new one."""
    await engine.synthesize(TEXT, VOICE)
    first = pids(engine)
    os.kill(first[0], signal.SIGKILL)
    await engine.synthesize(TEXT, VOICE)
    assert pids(engine) != first


async def test_dead_worker_is_replaced(engine: PicoEngine) -> None:
    """A worker that dies at rest is replaced and nobody notices."""
    await engine.synthesize(TEXT, VOICE)
    first = pids(engine)
    os.kill(first[0], signal.SIGKILL)
    await gone(first[0])
    await engine.synthesize(TEXT, VOICE)
    assert pids(engine) != first


async def killed_while_speaking(engine: PicoEngine) -> None:
    """End the worker that was just asked, and the new one that takes its place."""
    await asyncio.sleep(0)
    (first,) = pids(engine)
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(10):
        while pids(engine) in ([], [first]):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.001)
    os.kill(pids(engine)[0], signal.SIGKILL)


async def test_death_while_speaking(engine: PicoEngine) -> None:
    """A text that two workers died of is answered with a temporary error; the next is spoken."""
    await engine.synthesize(TEXT, VOICE)
    os.kill(pids(engine)[0], signal.SIGSTOP)
    speaking = asyncio.create_task(engine.synthesize(TEXT, VOICE))
    await killed_while_speaking(engine)
    with pytest.raises(EngineError, match=r"(broke off|did not start) \(signal 9\)") as caught:
        await speaking
    assert caught.value.is_temporary
    assert (await engine.synthesize(TEXT, VOICE)).duration_s > 1.0


async def test_a_deadly_text_costs_two_workers_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are idle: the others are left for texts of others."""
    engine = PicoEngine(workers=3, timeout_s=60.0)
    await asyncio.gather(*(engine.synthesize(TEXT, VOICE) for _ in range(3)))
    before = set(pids(engine))
    asked: list[int] = []

    async def die(worker: pool._Worker, *_: object) -> None:
        asked.append(worker.pid)
        raise EOFError

    with monkeypatch.context() as patch:
        patch.setattr(pool._Worker, "ask", die)
        with pytest.raises(EngineError, match="broke off"):
            await engine.synthesize(TEXT, VOICE)
    assert len(asked) == 2
    assert len(before & set(pids(engine))) == len(before) - 1
    await engine.close()


async def test_how_a_worker_died_is_told(
    engine: PicoEngine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its signal, even if the system tells of its end after its pipe has ended; and the log has
    no riddles of children that nobody knows."""
    plain = os.waitpid

    def late(pid: int, options: int) -> tuple[int, int]:
        if options == 0:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            time.sleep(0.1)
        return plain(pid, options)

    monkeypatch.setattr(os, "waitpid", late)
    await engine.telephone("Hi.", VOICE, "ulaw")
    os.kill(pids(engine)[0], signal.SIGSTOP)
    speaking = asyncio.create_task(engine.telephone(TEXT, VOICE, "ulaw"))
    await killed_while_speaking(engine)
    with pytest.raises(EngineError, match=r"(broke off|did not start) \(signal 9\)"):
        await speaking
    assert caplog.messages == []


async def test_slow_worker_is_replaced() -> None:
    """A worker that does not answer in time is killed; the next text is spoken by another."""
    engine = PicoEngine(workers=1, timeout_s=2.0)
    await engine.synthesize("Hi.", VOICE)
    stuck = pids(engine)[0]
    os.kill(stuck, signal.SIGSTOP)
    with pytest.raises(EngineError, match="took over 2 s") as caught:
        await engine.synthesize("Hi.", VOICE)
    assert caught.value.is_temporary
    await engine.synthesize("Hi.", VOICE)
    assert stuck not in pids(engine)
    await engine.close()


async def test_asker_who_leaves_takes_the_worker_along(engine: PicoEngine) -> None:
    """A text nobody waits for any more does not hold a worker."""
    await engine.synthesize(TEXT, VOICE)
    os.kill(pids(engine)[0], signal.SIGSTOP)
    speaking = asyncio.create_task(engine.synthesize(TEXT, VOICE))
    await asyncio.sleep(0)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert (await engine.synthesize(TEXT, VOICE)).duration_s > 1.0


async def test_queue_is_bounded() -> None:
    """When as many wait as may, the next is refused at once, for now."""
    engine = PicoEngine(workers=1, queue=2)
    await engine.synthesize(TEXT, VOICE)
    os.kill(pids(engine)[0], signal.SIGSTOP)
    waiting = [asyncio.create_task(engine.synthesize(TEXT, VOICE)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await engine.synthesize(TEXT, VOICE)
    assert caught.value.is_temporary
    os.kill(pids(engine)[0], signal.SIGCONT)
    assert len(await asyncio.gather(*waiting)) == 3
    await engine.close()


async def test_library_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An engine that is not installed says so."""
    (tmp_path / "py_nanotts.py").write_text("raise ImportError('not for this system')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    engine = PicoEngine(workers=1)
    with pytest.raises(EngineError, match="cannot start: ImportError: not for this system"):
        await engine.synthesize(TEXT, VOICE)
    assert pids(engine) == []
    await engine.close()


async def test_workers_end_with_their_parent() -> None:
    """When the gateway is killed, its workers are gone too."""
    program = (
        "import asyncio, os, signal\n"
        "from tts.pico import PicoEngine\n"
        "async def main():\n"
        "    engine = PicoEngine(workers=1)\n"
        "    await engine.synthesize('Hello.', engine.voices[0])\n"
        "    os.kill(engine._pool.pids[0], signal.SIGSTOP)\n"
        "    print(engine._pool.pids[0], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await gateway.communicate()
    await gone(int(told))


async def test_secrets_stay_home(engine: PicoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is not told what the gateway's environment holds."""
    monkeypatch.setenv("GATEWAY__STORE__DATABASE_URL", "postgresql://lab:lab@localhost/lab")
    await engine.synthesize(TEXT, VOICE)
    assert "GATEWAY" not in told_of(engine, "environ")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has such priorities")
async def test_workers_stand_back(engine: PicoEngine) -> None:
    """The gateway has the processors first, woken or running; a terminal's Ctrl-C is its alone."""
    await engine.synthesize(TEXT, VOICE)
    (pid,) = pids(engine)
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    assert os.getsid(pid) == os.getsid(0)
    assert os.getpgid(pid) == pid


@pytest.mark.parametrize(("processors", "workers"), [({0}, 1), ({0, 1}, 1), ({0, 1, 2, 3}, 3)])
async def test_a_processor_is_left_to_calls(
    processors: set[int], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless told otherwise, workers are one fewer than the processors, but one at least."""
    if sys.platform == "linux":
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: processors)
    else:
        monkeypatch.setattr(os, "cpu_count", lambda: len(processors))
    engine = PicoEngine()
    await asyncio.gather(*(engine.synthesize(f"Number {n}.", VOICE) for n in range(6)))
    assert len(pids(engine)) == workers
    await engine.close()
