"""ESMEs for the benchmark of the SMPP server, in a process of their own: good ones and others.

It reads its `Task` as one line of JSON, says `ready`, waits for a line, runs, and prints one line
of JSON. Addresses of 127.0.0.0/8 stand for machines.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from protocols.smpp import (
    Answered,
    BindKind,
    BindRefused,
    Bound,
    Closed,
    Event,
    Received,
    Role,
    Session,
    encode_submit_body,
    status_name,
)
from protocols.smpp.connection import SmppConnection, connect


@dataclass(frozen=True)
class Task:
    """What to do for `seconds`: `submit`, `bind` or `attack`."""

    what: str
    port: int
    seconds: float
    password: str = ""
    address: str = "127.0.0.2"
    binds: int = 1
    window: int = 100
    rate: float = 0.0
    """Submissions or binds a second; 0: as fast as the answers come."""
    registered_delivery: int = 0
    half_open: int = 1_000
    wrong_per_s: float = 100.0
    first: int = 0


@dataclass
class Result:
    """What was seen. Latencies are milliseconds."""

    count: int = 0
    per_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    worst_ms: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    receipts: int = 0
    faults: int = 0


def _result(latencies: list[float], statuses: Counter[str], seconds: float) -> Result:
    ordered = sorted(latencies) or [0.0]
    return Result(
        len(latencies),
        len(latencies) / seconds,
        ordered[len(ordered) // 2] * 1e3,
        ordered[int(len(ordered) * 0.99)] * 1e3,
        ordered[-1] * 1e3,
        dict(statuses),
    )


class Submitter:
    """One good bind that submits."""

    def __init__(self, task: Task, latencies: list[float], statuses: Counter[str]) -> None:
        self._task = task
        self._latencies = latencies
        self._statuses = statuses
        self._next = task.first
        self._until = 0.0
        self.receipts = 0
        self.bound: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.connection: SmppConnection

    def on_events(self, events: list[Event]) -> None:
        session = self.connection.session
        for event in events:
            if isinstance(event, Answered):
                assert isinstance(event.context, float)  # noqa: S101
                self._latencies.append(time.perf_counter() - event.context)
                self._statuses[status_name(event.status)] += 1
            elif isinstance(event, Received):
                self.receipts += 1
                session.respond(event.message)
            elif isinstance(event, Bound | BindRefused | Closed) and not self.bound.done():
                self.bound.set_result(isinstance(event, Bound))
        if not self._task.rate and time.perf_counter() < self._until:
            self.fill()
        self.connection.flush()

    def fill(self) -> None:
        """As many submissions as the window takes."""
        session, now = self.connection.session, asyncio.get_running_loop().time()
        while session.room and session.pending < self._task.window:
            self.submit(now)

    def submit(self, now: float) -> None:
        """One submission."""
        self._next += 1
        phone = f"1212555{2_000 + self._next % 8_000}"
        body = encode_submit_body(
            "", phone, b"Your gown is ready for pickup at Sample Bridal.", dest_ton=1, dest_npi=1,
            registered_delivery=self._task.registered_delivery,
        )  # fmt: skip
        self.connection.session.request(body, now, time.perf_counter())

    async def run(self) -> None:
        """Submit for the time of the task."""
        task, loop = self._task, asyncio.get_running_loop()
        self._until = time.perf_counter() + task.seconds
        if task.rate:
            start = loop.time()
            for n in range(int(task.rate * task.seconds)):
                wait_s = start + n / task.rate - loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                if self.connection.session.room:
                    self.submit(loop.time())
                    self.connection.flush()
        else:
            self.fill()
            self.connection.flush()
            await asyncio.sleep(task.seconds)
        for _ in range(1_000):
            if not self.connection.session.pending:
                break
            await asyncio.sleep(0.01)


async def _bound(task: Task, latencies: list[float], statuses: Counter[str]) -> Submitter:
    one = Submitter(task, latencies, statuses)
    session = Session(Role.ESME, window=task.window)
    one.connection = await connect(
        "127.0.0.1", task.port, session, one.on_events, local_addr=(task.address, 0)
    )
    now = asyncio.get_running_loop().time()
    session.bind(BindKind.TRANSCEIVER, "good", task.password, now)
    one.connection.flush()
    if not await one.bound:
        raise SystemExit("the good ESME could not bind")
    return one


async def submit(task: Task) -> Result:
    """Submit by `binds` binds."""
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    ones = [await _bound(task, latencies, statuses) for _ in range(task.binds)]
    start = time.perf_counter()
    await asyncio.gather(*(one.run() for one in ones))
    result = _result(latencies, statuses, time.perf_counter() - start)
    result.receipts = sum(one.receipts for one in ones)
    for one in ones:
        one.connection.close("the benchmark is over")
    return result


async def bind(task: Task) -> Result:
    """Connect, bind and unbind, so many times a second."""
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    start = loop.time()
    faults = 0
    for n in range(int(task.rate * task.seconds)):
        await asyncio.sleep(max(0.0, start + n / task.rate - loop.time()))
        began = time.perf_counter()
        try:
            async with asyncio.timeout(10):
                one = await _bound(task, [], statuses)
        except (OSError, SystemExit):
            faults += 1
            continue
        latencies.append(time.perf_counter() - began)
        one.connection.session.unbind(loop.time())
        one.connection.flush()
        await one.connection.wait_closed()
    result = _result(latencies, statuses, loop.time() - start)
    result.faults = faults
    return result


async def attack(task: Task) -> Result:
    """Keep connections open that never bind, and guess passwords, each from a new address."""
    statuses: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    until = loop.time() + task.seconds
    holders = [asyncio.create_task(_hold(task, n, until)) for n in range(task.half_open)]
    guesses: set[asyncio.Task[None]] = set()
    number, start = 0, loop.time()
    while loop.time() < until:
        number += 1
        guess = asyncio.create_task(_guess(task, number, statuses))
        guesses.add(guess)
        guess.add_done_callback(guesses.discard)
        await asyncio.sleep(max(0.0, start + number / task.wrong_per_s - loop.time()))
    for each in [*holders, *guesses]:
        each.cancel()
    await asyncio.gather(*holders, *guesses, return_exceptions=True)
    return Result(number, number / task.seconds, statuses=dict(statuses))


async def _hold(task: Task, number: int, until: float) -> None:
    """One half-open connection, opened again whenever it is closed."""
    address = f"127.1.{number // 250}.{number % 250 + 1}"
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", task.port, local_addr=(address, 0)
            )
            await reader.read()
            writer.close()
        await asyncio.sleep(1.0)


async def _guess(task: Task, number: int, statuses: Counter[str]) -> None:
    """One wrong password."""
    address = f"127.{2 + number // 62_500 % 200}.{number // 250 % 250}.{number % 250 + 1}"
    session = Session(Role.ESME)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_events(events: list[Event]) -> None:
        for event in events:
            if isinstance(event, BindRefused):
                statuses[status_name(event.status)] += 1
            if isinstance(event, Closed) and not done.done():
                done.set_result(None)

    try:
        connection = await connect(
            "127.0.0.1", task.port, session, on_events, local_addr=(address, 0)
        )
    except OSError:
        statuses["not let in"] += 1
        return
    name = "good" if number % 2 else f"user{number}"
    session.bind(BindKind.TRANSCEIVER, name, "wrong123", asyncio.get_running_loop().time())
    connection.flush()
    try:
        await done
    finally:
        connection.close("over")


def main() -> None:
    """Run one task."""
    task = Task(**json.loads(sys.stdin.readline()))
    print("ready", flush=True)
    sys.stdin.readline()
    work: dict[str, Any] = {"submit": submit, "bind": bind, "attack": attack}
    print(json.dumps(asdict(asyncio.run(work[task.what](task)))), flush=True)


if __name__ == "__main__":
    main()
