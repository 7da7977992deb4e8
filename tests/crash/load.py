"""Load for crash tests, and the judgement over what became of it."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from gateway.ids import read
from gateway.model import State
from gateway.sandbox.submitted import Submitted
from tests.crash.stage import Stage

POSTERS = 8
WINDOW = 20
"""Of every link on the stage."""
IN_HAND_S = 0.02
"""Traffic that may be in doubt after a crash, besides the window."""

_MARK = re.compile(r"m(\d{6})")

Segment = tuple[int, int]
"""A message by its number in the load, and a segment of it, from 0."""


def seeded() -> random.Random:
    """Chance that can be repeated: by CRASH_SEED, which is printed."""
    seed = int(os.environ.get("CRASH_SEED") or random.randrange(1 << 30))  # noqa: S311
    print(f"CRASH_SEED={seed}")
    return random.Random(seed)  # noqa: S311


@dataclass(slots=True)
class Posted:
    """One post. `id` is None unless it was answered with 202."""

    number: int
    category: str
    segments: int
    shop: str
    id: int | None = None

    @property
    def is_marketing(self) -> bool:
        return self.category == "marketing"


@dataclass
class Load:
    """Posts that go on while things break: of both categories, of one segment or three."""

    stage: Stage
    random: random.Random
    shops: tuple[str, ...] = ("sample",)
    posts: dict[int, Posted] = field(default_factory=dict)
    refused: Counter[int] = field(default_factory=Counter)
    """Other answers than 202, by status."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, url: str, posters: int = POSTERS) -> None:
        """Post to this address until `end`, or until it answers no more."""
        self._tasks = [asyncio.create_task(self._post_on(url)) for _ in range(posters)]

    async def end(self) -> None:
        """Stop posting. An answer that was under way still counts if it came."""
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        self._tasks = []

    async def finish(self) -> None:
        """Wait until the posters have ended by themselves, for nobody answers them any more."""
        await asyncio.gather(*self._tasks)
        self._tasks = []

    async def post(self, url: str, count: int) -> None:
        """Post so many, one after the other."""
        for _ in range(count):
            await self.post_one(url)

    async def _post_on(self, url: str) -> None:
        with suppress(aiohttp.ClientError, TimeoutError):
            while True:
                if await self.post_one(url) != 202:
                    await asyncio.sleep(0.05)

    async def post_one(self, url: str) -> int:
        """Post one; returns the status of the answer."""
        number = len(self.posts) + 1
        segments = self.random.choice((1, 1, 1, 3))
        category = self.random.choice(("transactional", "transactional", "marketing"))
        posted = self.posts[number] = Posted(
            number, category, segments, self.random.choice(self.shops)
        )
        mark = f"m{number:06d} "
        text = mark * 40 if segments == 3 else mark + "Your dress is ready."
        to = f"+1212555010{number % 10}"
        status, body = await self.stage.client.post(
            url, posted.shop, text=text, category=category, to=to
        )
        if status == 202:
            assert body["segments"] == segments
            posted.id = read("msg", body["id"])
        else:
            self.refused[status] += 1
        return status

    @property
    def accepted(self) -> list[Posted]:
        """What was answered with 202."""
        return [posted for posted in self.posts.values() if posted.id is not None]


def segment_of(one: Submitted) -> Segment:
    """Which segment of the load a submit_sm carries."""
    mark = _MARK.search(one.text)
    assert mark is not None, "a text that nobody posted"
    return int(mark[1]), one.part.number - 1


def sendings(submitted: Iterable[Submitted]) -> dict[Segment, list[Submitted]]:
    """The submit_sm of each segment, oldest first, but for those that the carrier refused."""
    found: dict[Segment, list[Submitted]] = defaultdict(list)
    for one in submitted:
        if not one.status:
            found[segment_of(one)].append(one)
    return found


def repeats(submitted: Iterable[Submitted]) -> list[tuple[Segment, Submitted]]:
    """Each submit_sm that was followed by another of the same segment."""
    return [(key, one) for key, ones in sendings(submitted).items() for one in ones[:-1]]


def densest(submitted: Iterable[Submitted], stretch_s: float = IN_HAND_S) -> int:
    """The most submit_sm that came within any stretch of this length."""
    times = [one.at for one in submitted]
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] > stretch_s:
            first += 1
        most = max(most, last - first + 1)
    return most


async def judge(load: Load) -> None:
    """What holds whatever broke.

    Nothing accepted is lost, no marketing segment goes twice, and the accounts are in order.
    """
    stage = load.stage
    submitted = [one for smsc in stage.links.values() for one in smsc.received]
    sent = sendings(submitted)
    again = {number for (number, _), ones in sent.items() if len(ones) > 1}
    twice = [number for number in again if load.posts[number].is_marketing]
    assert not twice, f"marketing texts went twice: {twice}"
    all_states = await _states_of_all(stage)
    for posted in load.accepted:
        states = all_states.get(posted.id or 0, {})
        for segment in range(posted.segments):
            took = any(one.is_accepted for one in sent.get((posted.number, segment), []))
            is_doubt = posted.is_marketing and states.get(segment) == State.IN_DOUBT
            assert took or is_doubt, f"{posted} was lost: {states}; {await _story(stage, posted)}"
    await stage.check_accounts()


async def recorded(load: Load) -> set[Segment]:
    """The segments whose answer the store has."""
    rows = await load.stage.fetch(
        "SELECT s.segment, m.body FROM status s JOIN message m ON m.id = s.id WHERE s.state <> $1",
        State.IN_DOUBT,
    )
    return {(int(row["body"][1:7]), row["segment"]) for row in rows}


async def _story(stage: Stage, posted: Posted) -> str:
    rows = await stage.fetch(
        "SELECT kind, segment, detail FROM event WHERE message = $1 ORDER BY id", posted.id
    )
    return str([tuple(row) for row in rows])


async def _states_of_all(stage: Stage) -> dict[int, dict[int, int]]:
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for row in await stage.fetch("SELECT id, segment, state FROM status"):
        found[row["id"]][row["segment"]] = row["state"]
    return found
