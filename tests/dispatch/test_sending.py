"""From the queue to the carrier's answer: claims, and what becomes of each message."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import Category, Cause, EventKind, State, fold
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import Stage, stage
from tests.dispatch.waits import clear, waiting

LONG = "Your gown is ready for pickup. " * 12
"""Three segments."""


async def test_claimed_messages_go_in_order_of_rank_and_are_in_a_flight(
    database: ConnectParameters,
) -> None:
    """Transactional before marketing, shops in turn, first come first served within a shop."""
    async with stage(database) as node:
        one, two = node.shops
        blast = [await waiting(node, category="marketing") for _ in range(2)]
        alerts = [await waiting(node, shop=one) for _ in range(3)]
        late = await waiting(node, shop=two)
        node.link.allow(10)
        taken = await node.link.has_taken(6)
        order = [alerts[0], late, alerts[1], alerts[2], *blast]
        assert [message.id for message in taken] == order
        flights = await node.rows("SELECT ids FROM flight")
        assert sorted(i for (ids,) in flights for i in ids) == sorted(order)


async def test_a_link_gets_no_more_than_it_has_room_for(database: ConnectParameters) -> None:
    """The rest stays in the queue until an answer makes room."""
    async with stage(database) as node:
        ids = [await waiting(node) for _ in range(3)]
        node.link.allow(2)
        await node.link.has_taken(2)
        assert await node.place(ids[2]) == "queue"
        node.link.accept("c1")
        node.link.allow(2)
        await node.link.has_taken(3)


async def test_an_accepted_segment_is_submitted_with_the_carriers_id(
    database: ConnectParameters,
) -> None:
    """And the flight is over when each of its messages is answered for."""
    async with stage(database) as node:
        first, second = [await waiting(node) for _ in range(2)]
        node.link.allow(2)
        await node.link.has_taken(2)
        node.link.accept("c1")
        await node.settled()
        assert await node.rows("SELECT id, link, state, tries, carrier FROM status") == [
            (first, 1, State.SUBMITTED, 1, "c1")
        ]
        assert await node.place(second) == "flight"
        node.link.accept("c2")
        await node.settled()
        assert await node.rows("SELECT id FROM flight") == []
        assert await node.rows("SELECT route, lane FROM virtual_time") == [(1, 0)]


async def test_a_refused_message_fails_once_with_the_carriers_words(
    database: ConnectParameters,
) -> None:
    """It is final, and never tried again."""
    async with stage(database) as node:
        id_ = await waiting(node)
        node.link.allow(1)
        await node.link.has_taken(1)
        node.link.refuse("ESME_RINVDSTADR: the destination\0 is wrong \ud800")
        await node.settled()
        ((state, error),) = await node.rows("SELECT state, error FROM status WHERE id = $1", id_)
        assert (state, error) == (State.FAILED, "ESME_RINVDSTADR: the destination  is wrong ?")
        assert await node.events(id_) == [EventKind.FAILED]
        await node.turn()
        assert len(node.link.taken) == 1


async def test_a_throttled_message_returns_to_the_queue_at_its_rank(
    database: ConnectParameters,
) -> None:
    """It is the first to go when the link has room again."""
    async with stage(database) as node:
        ids = [await waiting(node) for _ in range(2)]
        ((rank,),) = await node.rows("SELECT rank FROM queue WHERE id = $1", ids[0])
        node.link.allow(1)
        await node.link.has_taken(1)
        node.link.most = 0
        node.link.put_off(EventKind.THROTTLED)
        await node.settled()
        assert await node.rows("SELECT rank, tries FROM queue WHERE id = $1", ids[0]) == [
            (rank, 1)
        ]
        node.link.allow(1)
        assert (await node.link.has_taken(2))[1].id == ids[0]
        assert await node.events(ids[0]) == [EventKind.THROTTLED]


async def test_a_retried_message_waits_but_not_past_its_validity(
    database: ConnectParameters,
) -> None:
    """It keeps its rank while it waits for its time."""
    async with stage(database) as node:
        id_ = await waiting(node)
        node.link.allow(1)
        (message,) = await node.link.has_taken(1)
        node.link.put_off(EventKind.RETRIED, delay_s=10 * 86_400)
        await node.settled()
        assert await node.rows("SELECT due_ms, id, rank, tries FROM later") == [
            (message.expires_ms, id_, message.rank, 1)
        ]
        assert await node.events(id_) == [EventKind.RETRIED]


async def test_a_transactional_text_in_doubt_is_sent_again(database: ConnectParameters) -> None:
    """At least once, and the timeline says so."""
    async with stage(database) as node:
        id_ = await waiting(node)
        node.link.allow(1)
        await node.link.has_taken(1)
        node.link.cut()
        taken = await node.link.has_taken(2)
        assert taken[1].id == id_
        node.link.accept("c1")
        await node.settled()
        assert await node.states(id_) == {0: State.SUBMITTED}
        assert await node.events(id_) == [EventKind.RESENT]


async def test_a_marketing_text_in_doubt_is_never_sent_again(database: ConnectParameters) -> None:
    """At most once: it waits for a receipt."""
    async with stage(database) as node:
        id_ = await waiting(node, category="marketing")
        node.link.allow(1)
        await node.link.has_taken(1)
        node.link.cut(Cause.TIMEOUT)
        await node.settled()
        await node.turn()
        assert len(node.link.taken) == 1
        assert await node.states(id_) == {0: State.IN_DOUBT}
        assert await node.rows("SELECT link, target, id, segment FROM in_doubt") == [
            (1, "+12125550123", id_, 0)
        ]
        assert await node.events(id_) == [EventKind.IN_DOUBT]


async def test_only_segments_without_an_answer_are_sent_again(database: ConnectParameters) -> None:
    """The answered one keeps its row."""
    async with stage(database) as node:
        id_ = await waiting(node, text=LONG)
        node.link.allow(3)
        await node.link.has_taken(1)
        node.link.accept("c1", segment=1)
        node.link.cut()
        await node.link.has_taken(2)
        assert node.link.sent[3:] == [(id_, 0), (id_, 2)]
        node.link.accept("c0")
        node.link.accept("c2")
        await node.settled()
        assert await node.states(id_) == dict.fromkeys(range(3), State.SUBMITTED)


ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["accept", "throttle", "cut", "refuse", "again", "lost answer"]),
        st.integers(0, 5),
    ),
    max_size=25,
)


@given(
    categories=st.lists(st.sampled_from(["transactional", "marketing"]), min_size=1, max_size=4),
    answers=ANSWERS,
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_no_segment_is_sent_after_its_answer_whatever_happens(
    database: ConnectParameters, categories: list[str], answers: list[tuple[str, int]]
) -> None:
    """Long texts, answered, refused, put off and cut in any order: the accounts hold at any moment,
    marketing is sent at most once, and in the end everything is settled.
    """
    async with stage(database, room=100) as node:
        await clear(node)
        ids = [await node.accept(text=LONG, category=c) for c in categories]
        await node.link.has_taken(len(ids))
        answered: set[tuple[int, int]] = set()
        for what, which in answers:
            await _answer(node, what, which, answered)
            await node.settled()
            await node.check()
        while not await _all_settled(node, ids):
            while node.link.unanswered:
                await _answer(node, "accept", 0, answered)
            await node.settled()
            await node.turn()
        ends = (State.SUBMITTED, State.FAILED, State.IN_DOUBT)
        for id_ in ids:
            states = await node.states(id_)
            assert fold(3, list(states.values()), State.QUEUED) in ends


async def _answer(node: Stage, what: str, which: int, answered: set[tuple[int, int]]) -> None:
    """The carrier does something, and what is sent after it is checked."""
    link = node.link
    for pair in link.sent[node.seen :]:
        assert pair not in answered, f"{pair} was sent again after its answer"
    node.seen = len(link.sent)
    if not link.unanswered:
        return
    message, segment = link.unanswered[which % len(link.unanswered)]
    link.unanswered.insert(0, link.unanswered.pop(which % len(link.unanswered)))
    if what == "accept":
        link.accept(f"{message.id}-{segment}")
        answered.add((message.id, segment))
    elif what == "refuse":
        link.refuse()
        answered.add((message.id, segment))
    elif what == "cut":
        for one, number in link.unanswered:
            if one.category is Category.MARKETING:
                answered.add((one.id, number))
        link.cut()
    elif what == "lost answer":
        node.settler_connection.drop()
    else:
        link.put_off(EventKind.THROTTLED)


async def _all_settled(node: Stage, ids: list[int]) -> bool:
    for table in ("queue", "later", "hold", "flight"):
        if await node.rows(f"SELECT id FROM {table}"):  # noqa: S608
            return False
    return not node.link.unanswered
