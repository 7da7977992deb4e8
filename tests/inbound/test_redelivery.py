"""A carrier that delivers again what it has no acknowledgement for makes no second reply."""

from __future__ import annotations

from gateway.errors import StoreDown
from gateway.store.database import Database
from tests.inbound.parts import SETTINGS, Carrier, Node, bodies, now_ms, prepare, running, text


async def test_a_copy_after_the_bind_was_lost_makes_one_reply(store: Database, node: Node) -> None:
    """The acknowledgement may have been lost with the bind; the copy is acknowledged too."""
    first = Carrier(node.texts, 1)
    first.deliver(text("Hello", 5))
    await first.answered(1)
    first.cut()
    second = Carrier(node.texts, 2)
    second.deliver(text("Hello", 1))
    assert await second.answered(1) == [(1, 0)]
    assert await bodies(store) == ["Hello"]
    assert node.counts == ["reply", "copy"]


async def test_equal_texts_of_a_person_make_two_replies(store: Database, node: Node) -> None:
    """On one bind, one behind the other or at once, they are two texts."""
    carrier = Carrier(node.texts)
    carrier.deliver(text("Yes", 1))
    await carrier.answered(1)
    carrier.deliver(text("Yes", 2), text("Yes", 3))
    await carrier.answered(3)
    assert await bodies(store) == ["Yes", "Yes", "Yes"]


async def test_an_equal_text_behind_the_copy_is_a_text_of_its_own(
    store: Database, node: Node
) -> None:
    """Each text absorbs one copy."""
    first = Carrier(node.texts, 1)
    first.deliver(text("Yes", 1))
    await first.answered(1)
    first.cut()
    second = Carrier(node.texts, 2)
    second.deliver(text("Yes", 1), text("Yes", 2))
    await second.answered(2)
    assert await bodies(store) == ["Yes", "Yes"]


async def test_a_crash_between_store_and_answer_makes_one_reply(store: Database) -> None:
    """The new process learns from the store which texts may come again."""
    route = await prepare(store)
    killed = Node(store, 1, SETTINGS, route)
    async with running(killed) as texts:
        carrier = Carrier(texts)
        carrier.deliver(text("Hello", 1), text("Bye", 2))
        await carrier.answered(2)
    restarted = Node(store, 1, SETTINGS, route)
    async with running(restarted) as texts:
        carrier = Carrier(texts)
        carrier.deliver(text("Hello", 1), text("Bye", 2), text("Hello", 3))
        assert await carrier.answered(3) == [(1, 0), (2, 0), (3, 0)]
    assert await bodies(store) == ["Hello", "Bye", "Hello"]
    assert sorted(restarted.counts) == ["copy", "copy", "reply"]


async def test_a_bind_that_moves_to_another_node_brings_its_copies_there(store: Database) -> None:
    """A node that served the link before learns what another one stored meanwhile."""
    route = await prepare(store)
    first, second = Node(store, 1, SETTINGS, route), Node(store, 2, SETTINGS, route)
    async with running(first), running(second):
        before = Carrier(second.texts, 1)
        before.deliver(text("Good morning"))
        await before.answered(1)
        second.texts.session_ended(7, 1, is_clean=True)
        meanwhile = Carrier(first.texts, 1)
        meanwhile.deliver(text("Hello"))
        await meanwhile.answered(1)
        second.texts.session_began(7, 2)
        after = Carrier(second.texts, 2)
        after.deliver(text("Hello"))
        await after.answered(1)
    assert await bodies(store) == ["Good morning", "Hello"]


async def test_after_an_orderly_end_nothing_is_waited_for(store: Database) -> None:
    """The carrier has read every acknowledgement: an equal text after a restart is a new one."""
    route = await prepare(store)
    for session in (1, 2):
        node = Node(store, 1, SETTINGS, route)
        async with running(node) as texts:
            carrier = Carrier(texts, session)
            carrier.deliver(text("Yes"))
            await carrier.answered(1)
            texts.session_ended(7, session, is_clean=True)
            await texts.sweep(now_ms())
    assert await bodies(store) == ["Yes", "Yes"]
    assert await store.fetch("SELECT FROM mo_seen") == []


async def test_a_text_whose_commit_was_not_confirmed_is_stored_once(
    store: Database, node: Node
) -> None:
    """The connection breaks between the commit and its answer: again, and nothing changes."""
    transact = node.texts._connection.transact
    broken = 0

    async def break_once(work):  # type: ignore[no-untyped-def]
        nonlocal broken
        result = await transact(work)
        if not broken:
            broken += 1
            node.texts._connection.drop()
            raise StoreDown("the connection broke")
        return result

    node.texts._connection.transact = break_once  # type: ignore[method-assign]
    carrier = Carrier(node.texts)
    carrier.deliver(text("Hello"))
    assert await carrier.answered(1) == [(1, 0)]
    assert await bodies(store) == ["Hello"]
    assert len(await store.fetch("SELECT FROM queue")) == 1
