"""Several links of one route: tiers, weights, overflow, and messages that are one link's."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.dispatch.flights import Outgoing
from gateway.dispatch.members import Grant, Member, Way
from gateway.dispatch.ranking import Ranker, floor
from gateway.dispatch.routes import Route
from gateway.model import Lane

LINKS = st.sampled_from([0, 1, 2])


class PlayedWay:
    """A link as far as dispatch asks it."""

    def __init__(self, id_: int, free: int = 10) -> None:
        self.id = id_
        self.name = f"link-{id_}"
        self.free = free
        self.is_up = True
        self.is_stopped = False

    def room(self) -> int:
        """What the test allows."""
        return self.free if self.is_up else 0

    def take(self, messages: list[Outgoing]) -> None:
        """Nothing is sent here."""

    def is_usable(self) -> bool:
        """What the test says."""
        return self.is_up


class Crew:
    """A route with links, and a clock."""

    def __init__(self, *parts: tuple[int, int], free: int = 10) -> None:
        """`parts`: weight and tier of each link."""
        self.now = 0.0
        self.route = Route(1, "east", Ranker(), lambda: self.now)
        self.links = [PlayedWay(n + 1, free) for n in range(len(parts))]
        self.woken = [0] * len(parts)
        self.members = [
            self.route.add_link(Way(link, lambda n=n: self._wake(n)), *part)  # type: ignore[misc]
            for n, (link, part) in enumerate(zip(self.links, parts, strict=True))
        ]

    def _wake(self, n: int) -> None:
        self.woken[n] += 1

    def settle(self) -> None:
        """Every link has found the end of the queue."""
        for member in self.members:
            member.cursors.may_have = member.has_pinned = False

    def fill(self) -> None:
        """Messages wait for any of them."""
        for member in self.members:
            member.cursors.may_have = True

    def claim(self, n: int, found: int | None = None) -> Grant:
        """A link claims what it may, and finds as much unless told otherwise."""
        member = self.members[n]
        granted = self.route.grant(member, member.way.free())
        if granted.count:
            self.route.begin_claim(member, granted)
            count = granted.count if found is None else found
            self.route.end_claim(member, granted, list(range(1, count + 1)))
        return granted

    def share(self, count: int) -> list[int]:
        """How many of new messages each link is given."""
        shares = {member.id: part for member, part in self.route.share(count)}
        return [shares.get(link.id, 0) for link in self.links]


def test_new_messages_are_shared_by_weight() -> None:
    """At once, batch by batch, and one by one in the long run."""
    crew = Crew((3, 0), (1, 0), free=1000)
    crew.settle()
    assert crew.share(400) == [300, 100]
    singles = [crew.share(1) for _ in range(40)]
    assert [sum(each) for each in zip(*singles, strict=True)] == [30, 10]


def test_a_link_without_room_is_not_waited_for() -> None:
    """The others take what it cannot; there is no debt when it has room again."""
    crew = Crew((1, 0), (1, 0), free=1000)
    crew.settle()
    crew.links[0].free = 0
    assert crew.route.direct_room() == 1000
    for _ in range(5):
        assert crew.share(100) == [0, 100]
    crew.links[0].free = 1000
    assert crew.share(100)[0] <= 75
    assert crew.share(100) == [50, 50]


def test_a_standby_link_takes_nothing_while_a_lower_tier_is_able() -> None:
    """Neither new messages nor those in the queue; it does at once when no lower one is usable."""
    crew = Crew((1, 0), (1, 1))
    crew.settle()
    assert (crew.route.direct_room(), crew.share(5)) == (10, [5, 0])
    crew.fill()
    assert crew.claim(1).count == 0
    crew.links[0].is_up = False
    assert crew.claim(1).count == 10
    crew.settle()
    assert crew.share(5) == [0, 5]
    crew.links[0].is_up = True
    crew.fill()
    assert crew.claim(1).count == 0, "the first one is back"
    assert crew.claim(0).count == 10


def test_a_standby_link_helps_when_messages_wait_too_long_for_room() -> None:
    """After `overflow_s`, and until the lower tier has found the end of the queue again."""
    crew = Crew((1, 0), (1, 1))
    crew.route.overflow_s = 5.0
    crew.settle()
    crew.fill()
    crew.links[0].free = 0
    assert crew.claim(1).count == 0
    crew.now = 4.9
    assert crew.claim(1).count == 0
    crew.now = 5.1
    assert crew.claim(1).count == 10
    crew.links[0].free = 10
    assert crew.claim(0, found=3).count == 10
    crew.members[1].cursors.may_have = True
    assert crew.claim(1).count == 0, "the lower tier keeps up again"


def test_peers_claim_in_turn_by_weight() -> None:
    """As long as all have room and work waits: nobody gets ahead by asking more often."""
    crew = Crew((3, 0), (1, 0), free=40)
    crew.settle()
    crew.fill()
    got = [0, 0]
    for n in (1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1) * 4:
        granted = crew.claim(n)
        got[n] += granted.count
        if not granted.count:
            assert crew.woken[1 - n], "whose turn it is was told"
    assert 2.0 < got[0] / got[1] < 4.5


def test_a_message_that_a_link_refused_goes_to_another() -> None:
    """A standby link too, though it is not its turn; the one that refused only if nobody else is
    able.
    """
    crew = Crew((1, 0), (1, 1))
    crew.settle()
    crew.route.inserted(7, pin=-1)
    assert not crew.members[0].cursors.may_have
    assert crew.route.grant(crew.members[1], 10) == Grant(10, pinned=(2, -1))
    assert crew.claim(1, found=1).count == 10
    assert crew.claim(1).count == 0, "nothing more of that kind"
    crew.links[1].is_up = False
    crew.route.inserted(7, pin=-1)
    assert crew.route.grant(crew.members[0], 10) == Grant(10, passed_over=(2,))


def test_a_refused_message_goes_to_a_peer_before_a_standby_link() -> None:
    """The tiers hold for what was refused, too."""
    crew = Crew((1, 0), (1, 0), (1, 1))
    crew.settle()
    crew.route.inserted(7, pin=-1)
    assert crew.route.grant(crew.members[1], 10).passed_over == (1, 3, -2)
    pinned = crew.route.grant(crew.members[2], 10).pinned
    assert -1 not in pinned
    assert 3 in pinned


def test_a_pinned_message_is_for_its_link_alone() -> None:
    """Others pass it over, and are not kept from taking new messages by it."""
    crew = Crew((1, 0), (1, 0))
    crew.settle()
    crew.route.inserted(7, pin=2)
    assert crew.route.direct_room() == 10
    assert crew.share(4) == [4, 0]
    crew.fill()
    assert 2 in crew.route.grant(crew.members[0], 10).passed_over
    assert 2 not in crew.route.grant(crew.members[1], 10).passed_over


def test_a_pin_to_a_link_that_is_gone_is_void() -> None:
    """Whoever is there takes the message."""
    crew = Crew((1, 0), (1, 0), (1, 0))
    crew.settle()
    crew.route.remove_link(crew.members[2])
    assert all(3 not in crew.route.grant(m, 10).passed_over for m in crew.members[:2])
    crew.settle()
    crew.route.inserted(7, pin=3)
    assert all(member.cursors.may_have for member in crew.members[:2])
    crew.route.remove_link(crew.members[1])
    assert crew.route.grant(crew.members[0], 10) == Grant(10), "an only link takes everything"


def test_a_pin_to_a_link_that_is_stopped_is_void_until_it_is_started() -> None:
    """Nobody knows for how long it rests, and half a text is no text."""
    crew = Crew((1, 0), (1, 0))
    crew.links[1].is_stopped, crew.links[1].is_up = True, False
    crew.settle()
    crew.route.inserted(7, pin=2)
    assert crew.members[0].cursors.may_have
    assert crew.route.grant(crew.members[0], 10) == Grant(10)
    crew.links[1].is_stopped = False
    assert crew.route.grant(crew.members[0], 10).passed_over == (2,)


def test_what_a_link_leaves_is_looked_for_by_the_others() -> None:
    """At once: they are woken, and start at the front."""
    crew = Crew((1, 0), (1, 0))
    crew.settle()
    crew.members[0].cursors.positions[Lane.SERVICE] += 50
    crew.route.remove_link(crew.members[1])
    member = crew.members[0]
    assert (member.cursors.may_have, crew.woken[0]) == (True, 1)
    assert member.cursors.positions[Lane.SERVICE] == floor(Lane.SERVICE)


def test_a_link_that_another_node_has_bound_comes_before_a_standby_link_here() -> None:
    """Unless the other node does not keep up."""
    crew = Crew((1, 0), (1, 1))
    crew.settle()
    crew.links[0].is_up = False
    crew.route.elsewhere = frozenset({1})
    assert crew.route.direct_room() == 0
    crew.fill()
    assert crew.claim(1).count == 0
    crew.now = 4.0
    crew.route.others_keep_up()
    crew.route.inserted(9)
    assert crew.claim(1).count == 0
    crew.now = 8.0
    assert crew.claim(1).count == 0
    crew.now = 10.0
    assert crew.claim(1).count == 10
    crew.route.elsewhere = frozenset()
    crew.fill()
    assert crew.claim(1).count == 10


@given(
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    batches=st.lists(st.integers(1, 60), min_size=1, max_size=30),
)
@settings(deadline=None)
def test_shares_keep_to_the_weights(weights: list[int], batches: list[int]) -> None:
    """However the messages come, each link has its part to within a batch."""
    crew = Crew(*((weight, 0) for weight in weights), free=10_000)
    crew.settle()
    got = [0] * len(weights)
    for batch in batches:
        part = crew.share(batch)
        assert sum(part) == batch
        got = [a + b for a, b in zip(got, part, strict=True)]
    for weight, count in zip(weights, got, strict=True):
        fair = sum(batches) * weight / sum(weights)
        assert abs(count - fair) <= max(batches) + max(weights)


@dataclass(frozen=True, order=True)
class Row:
    """A row of the queue."""

    rank: int
    id: int
    pin: int | None


class Crowd(RuleBasedStateMachine):
    """Three links in two tiers claim what comes, come and go, and refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.crew = Crew((2, 0), (1, 0), (1, 1), free=4)
        self.rows: list[Row] = []
        self.ids = 0

    @rule(
        pin=st.sampled_from([None, None, None, 1, 2, 3, -1, -2, -3, 9]),
        lane=st.sampled_from(list(Lane)),
        start=st.integers(1, 40),
        is_told=st.booleans(),
    )
    def insert(self, pin: int | None, lane: Lane, start: int, is_told: bool) -> None:
        """Something is queued anew, at any rank; the word of it may be lost."""
        self.ids += 1
        row = Row(floor(lane) + start, self.ids, pin)
        insort(self.rows, row, key=lambda row: (row.rank, row.id))
        if is_told:
            self.crew.route.inserted(row.rank, pin)

    @rule(n=LINKS)
    def change(self, n: int) -> None:
        """A link goes, or comes back."""
        self.crew.links[n].is_up = not self.crew.links[n].is_up

    @rule(n=LINKS, free=st.integers(0, 4))
    def fill_up(self, n: int, free: int) -> None:
        """A link has more or less room."""
        self.crew.links[n].free = free

    @rule(seconds=st.sampled_from([0.1, 3.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        """Messages wait."""
        self.crew.now += seconds

    @rule(n=LINKS)
    def claim(self, n: int) -> None:
        """A link claims, as its feeder would."""
        crew, member = self.crew, self.crew.members[n]
        room = member.way.free()
        if room <= 0:
            return
        able = crew.route._able()
        granted = crew.route.grant(member, room)
        if not granted.count:
            return
        found = self._found(member, granted)
        crew.route.end_claim(member, granted, [row.rank for row in found])
        for row in found:
            self._judge(row, member, able)

    def _found(self, member: Member, granted: Grant) -> list[Row]:
        """What the statements would claim."""
        positions = self.crew.route.begin_claim(member, granted)
        if granted.pinned:
            found = [row for row in self.rows if row.pin in granted.pinned][: granted.count]
        else:
            found = []
            for lane in Lane:
                here = [
                    row
                    for row in self.rows
                    if positions[lane] <= row.rank < floor(lane + 1)
                    and (row.pin is None or row.pin not in granted.passed_over)
                ]
                found += here[: granted.count - len(found)]
        self.rows = [row for row in self.rows if row not in found]
        return found

    def _judge(self, row: Row, member: Member, able: list[Member]) -> None:
        others = [each for each in able if each is not member]
        if row.pin in (1, 2, 3):
            assert row.pin == member.id, "a pinned message went elsewhere"
        elif row.pin is not None and row.pin == -member.id:
            assert not others, "a link was given back what it had refused"
        elif row.pin is None:
            assert all(each.standby >= member.standby for each in others), "out of turn"

    @rule()
    def recover_and_drain(self) -> None:
        """Whatever happened: with all links back, a poll brings everything to its link."""
        for link in self.crew.links:
            link.is_up, link.free = True, 4
        self.crew.now += 100.0
        for _ in range(3):
            self.crew.route.reset()
            if self.rows:
                self.crew.route.inserted(min(row.rank for row in self.rows))
                self.crew.route.look_for_pinned()
            for _ in range(3 * len(self.rows) + 6):
                for n in range(3):
                    self.claim(n)
            self.crew.now += 1.0
        assert not self.rows

    @invariant()
    def nobody_gets_far_ahead(self) -> None:
        """Memory of turns is bounded: nothing is reserved for ever."""
        assert all(member.way.reserved == 0 for member in self.crew.members)


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
