"""The simulated SMSC as a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.sandbox.tally import payload_hash
from tests.sandbox.esme import bound_esme

PHONE = "+12125550100"


@asynccontextmanager
async def running(*options: str) -> AsyncIterator[tuple[Process, int]]:
    """The process and its port; it has ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.sandbox.smsc", *options, stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        word, port = (await process.stdout.readline()).split()
        assert word == b"ready"
        yield process, int(port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def summary(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    counted: dict[str, Any] = json.loads(await process.stdout.readline())
    assert await process.wait() == 0
    return counted


async def test_summary_at_end_of_input() -> None:
    """At the end of its input it tells what came, to whom, and what came twice."""
    async with running("--delay", "0") as (process, port):
        async with await bound_esme(port) as esme:
            for text in ("one", "two", "two"):
                await esme.send(PHONE, text)
            await esme.send("+12125550113")
            await esme.delivered(3)
            esme.connection.session.unbind(asyncio.get_running_loop().time())
            esme.connection.flush()
            await esme.ended()
        assert process.stdin is not None
        process.stdin.close()
        assert await summary(process) == {
            "submits": 4,
            "taken": 3,
            "refused": 1,
            "duplicates": 1,
            "deliveries": 3,
            "connections": 1,
            "destinations": {PHONE: 3},
        }


async def test_log(tmp_path: Path) -> None:
    """The log has a line for each text taken, without its words; SIGTERM writes the last ones."""
    path = tmp_path / "log"
    async with running("--keep", "0", "--no-receipts", "--log", str(path)) as (process, port):
        async with await bound_esme(port) as esme:
            answers = [await esme.send(PHONE, text) for text in ("one", "two", "two")]
        process.terminate()
        counted = await summary(process)
    lines = [line.split() for line in path.read_text().splitlines()]
    assert [line[1:] for line in lines] == [
        ["1", PHONE, answer.message_id, payload_hash(text.encode())]
        for answer, text in zip(answers, ("one", "two", "two"), strict=True)
    ]
    assert [int(line[0]) for line in lines] == sorted(int(line[0]) for line in lines)
    assert (counted["taken"], counted["duplicates"], counted["destinations"]) == (3, 0, {})
