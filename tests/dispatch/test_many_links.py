"""Links of one route that go, come, refuse and lose answers, on two nodes: every text gets through,
and no segment that a carrier took is sent again.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gateway.dispatch.flights import Outgoing
from gateway.model import Cause, EventKind
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import PlayedLink, Stage, stage

LONG = "A long text, in two segments. " * 8
STEPS = 150
ROUNDS = 60


class Carriers:
    """What carriers took, by message and segment, of links that do as chance has it."""

    def __init__(self, chance: random.Random, links: dict[PlayedLink, Stage]) -> None:
        self.chance = chance
        self.links = links
        self.taken: Counter[tuple[int, int]] = Counter()

    def accept(self, link: PlayedLink, message: Outgoing, segment: int) -> None:
        """A carrier takes a segment."""
        self.taken[message.id, segment] += 1
        link.accept(f"c{message.id}-{segment}", message, segment)

    def answer(self, link: PlayedLink) -> None:
        """It answers one segment, or the bind is cut."""
        message, segment = self.chance.choice(link.unanswered)
        match self.chance.randrange(8):
            case 0:
                link.put_off(EventKind.RETRIED, is_its_own=True)
            case 1:
                link.put_off(EventKind.RETRIED, 0.001, is_its_own=True)
            case 2:
                link.put_off(EventKind.THROTTLED)
            case 3:
                link.cut(Cause.CUT)
            case _:
                self.accept(link, message, segment)

    def turn(self, link: PlayedLink) -> None:
        """It comes or goes, or an operator stops it; then nothing more is taken, and what is in
        hand is answered.
        """
        link.is_up = not link.is_up
        link.is_stopped = not link.is_up and self.chance.random() < 0.3
        link.allow(self.chance.randrange(1, 6) if link.is_up else 0)

    def serve(self) -> None:
        """All are well."""
        for link in self.links:
            link.is_up, link.is_stopped = True, False
            link.allow(50)
            while link.unanswered:
                self.accept(link, *link.unanswered[0])


@pytest.mark.parametrize("seed", range(3))
async def test_every_text_gets_through_and_none_that_was_taken_goes_again(
    database: ConnectParameters, seed: int
) -> None:
    """Whatever happened on the way."""
    chance = random.Random(seed)  # noqa: S311 - the same every time
    async with stage(database, room=3) as one, stage(database, node=2, has_link=False) as two:
        links = {
            one.link: one,
            one.add_link(2, weight=2, room=3): one,
            one.add_link(3, standby=1, room=3): one,
            two.add_link(1, room=3): two,
            two.add_link(2, weight=2, room=3): two,
        }
        carriers = Carriers(chance, links)
        texts: dict[int, int] = {}
        for _ in range(STEPS):
            node = chance.choice([one, two])
            link = chance.choice(list(links))
            match chance.randrange(10):
                case 0 | 1 | 2:
                    is_long = chance.random() < 0.5
                    id_ = await node.accept(text=LONG if is_long else "Your gown is ready.")
                    texts[id_] = 1 + is_long
                case 3:
                    carriers.turn(link)
                case 4:
                    node.now += chance.choice([0.5, 6.0])
                    await node.turn()
                case _:
                    if link.unanswered:
                        carriers.answer(link)
        for _ in range(ROUNDS):
            carriers.serve()
            for node in (one, two):
                await node.settled()
                await node.turn()
            waiting = await one.rows(
                "SELECT id FROM queue UNION ALL SELECT id FROM later"
                " UNION ALL SELECT unnest(ids) FROM flight"
            )
            if not waiting:
                break
        assert waiting == []
        for id_, segments in texts.items():
            assert len(await one.states(id_)) == segments
            for segment in range(segments):
                assert carriers.taken[id_, segment] == 1, "taken once, however often it was sent"
