"""Bytes no sound peer sends, against the listening server: a good bind beside them stays served."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.store.embedded import ConnectParameters
from protocols.smpp import Bind, encode
from tests.channels.esme.stage import PHONE, EsmeStage, esme_stage
from tests.channels.esme.test_long_texts import parts
from tests.channels.esme.test_submitting import submission
from tests.fuzz.test_smpp_fuzz import mutated
from tests.sandbox.esme import Esme

CONNECTIONS = 40
PDUS = 2_000


@pytest.fixture
async def open_stage(database: ConnectParameters, tmp_path: Path) -> AsyncIterator[EsmeStage]:
    """A gateway that bans nobody."""
    limits = {"attempts": 1_000, "connections_per_minute": 100_000, "session_init_s": 2.0}
    async with esme_stage(database, tmp_path, limits) as made:
        await made.account(binds=60, window=10)
        yield made


def conversation(stage: EsmeStage) -> list[bytes]:
    """A bind, submissions of each kind, and an unbind, as they would be sent."""
    bind = Bind(sequence=1, system_id="pos", password=stage.passwords["pos"])
    return [encode(bind), encode(submission(sequence=2))]


async def shout(stage: EsmeStage, chunks: Iterator[bytes]) -> None:
    """Send what comes, and read until the server hangs up or nothing is left to send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    with suppress(OSError):
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    await reader.read(65536)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def served(esme: Esme, rounds: int) -> None:
    """The good bind gets an answer to each of its submissions."""
    for _ in range(rounds):
        assert (await esme.send(PHONE)).status == 0


async def test_a_conversation_byte_by_byte(open_stage: EsmeStage) -> None:
    """It is understood all the same."""
    stage = open_stage
    bind, submit = conversation(stage)
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    for octet in bind:
        writer.write(bytes([octet]))
        await writer.drain()
    async with asyncio.timeout(20):
        head = await reader.readexactly(16)
        await reader.readexactly(int.from_bytes(head[:4], "big") - 16)
        assert head[4:12] == b"\x80\x00\x00\x09\0\0\0\0"
        for octet in submit:
            writer.write(bytes([octet]))
            await writer.drain()
        head = await reader.readexactly(16)
        assert head[4:12] == b"\x80\x00\x00\x04\0\0\0\0"
    writer.close()


async def test_everything_in_one_segment(open_stage: EsmeStage) -> None:
    """What stands behind a bind that is not answered yet is refused; the bind is not."""
    stage = open_stage
    bind, submit = conversation(stage)
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(bind + submit * 50)
    commands = []
    async with asyncio.timeout(20):
        for _ in range(51):
            head = await reader.readexactly(16)
            await reader.readexactly(int.from_bytes(head[:4], "big") - 16)
            commands.append(head[4:8])
    assert commands.count(b"\x80\x00\x00\x09") == 1
    writer.write(submit * 50)
    async with asyncio.timeout(20):
        for _ in range(50):
            head = await reader.readexactly(16)
            await reader.readexactly(int.from_bytes(head[:4], "big") - 16)
            assert head[4:12] == b"\x80\x00\x00\x04\0\0\0\0"
    writer.close()


async def test_broken_pdus_hurt_nobody_else(open_stage: EsmeStage) -> None:
    """Before the bind and behind it, framed and not: the server lives, and the good bind is
    served."""
    stage = open_stage
    rng = random.Random(20261122)  # noqa: S311
    bind, _ = conversation(stage)
    broken = list(mutated(PDUS, is_framed=True)) + list(mutated(PDUS // 4, is_framed=False))
    rng.shuffle(broken)
    async with stage.esme() as good:
        serving = asyncio.create_task(served(good, 60))
        size = len(broken) // CONNECTIONS
        for start in range(0, len(broken), size * 8):
            batch = []
            for n in range(8):
                chunks = broken[start + n * size : start + (n + 1) * size]
                begin = [bind] if n % 2 else []
                batch.append(shout(stage, iter([*begin, *chunks])))
            await asyncio.gather(*batch)
        await serving
        assert good.ending is None
        assert not stage.gateway.failed.is_set()


async def test_parts_of_texts_by_chance_make_no_text_twice(open_stage: EsmeStage) -> None:
    """In any order, doubled, on any bind: each text once, and none is lost."""
    stage = open_stage
    rng = random.Random(7)  # noqa: S311
    async with stage.esme() as one, stage.esme() as two:
        binds = [one, two]
        texts = {f"{n:03} " + "Sample text. " * 20: n for n in range(25)}
        bodies = [
            body
            for text, n in texts.items()
            for body in parts(text, reference=n, registered=0)
            for _ in range(rng.choice((1, 1, 2)))
        ]
        # A copy that comes after its text was accepted would begin another one, as it should:
        # here all parts of a text are sent before its last one is answered.
        rng.shuffle(bodies)
        now = asyncio.get_running_loop().time()
        for n, body in enumerate(bodies):
            binds[n % 2].connection.session.request(body, now)
        for esme in binds:
            esme.connection.flush()
        for n, esme in enumerate(binds):
            await esme.answered(len(bodies[n::2]))
        rows = await stage.store.fetch("SELECT body FROM message")
        assert sorted(row["body"] for row in rows) == sorted(texts)
