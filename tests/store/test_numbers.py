"""Numbers and the shops that they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import Refusal
from gateway.store import numbers, shops
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from tests.store.sample import NUMBER, SAMPLE, SMS, opened


@pytest.fixture
async def store(database: ConnectParameters) -> AsyncIterator[Database]:
    """A store with the shops `sample` and `other`."""
    async with opened(database) as store:
        for code in ("sample", "other"):
            await store.run(lambda c, code=code: shops.add_shop(c, SAMPLE | {"code": code}, SMS))
        yield store


async def assign(
    store: Database, number: str = NUMBER, shop: str = "sample", link: str = "acme"
) -> numbers.Assignment:
    """Assign a number."""
    return await store.run(lambda c: numbers.assign_number(c, number, shop, link, "smpp", SMS))


async def test_assigns_a_number(store: Database) -> None:
    """A number in national form is kept in E.164 form, with a route named like its link."""
    done = await assign(store, "(212) 555-0101")
    assert (done.number, done.shop, done.route_name) == (NUMBER, "sample", "acme")
    (route,) = await store.fetch("SELECT name, kind FROM route")
    assert tuple(route) == ("acme", "smpp")
    shop = await store.run(lambda c: shops.get_shop(c, "sample"))
    assert [(n.number, n.route_name) for n in shop.numbers] == [(NUMBER, "acme")]


async def test_short_codes(store: Database) -> None:
    """Five or six digits are a short code, kept as they are."""
    for number in ("12345", "123456"):
        assert (await assign(store, number)).number == number


async def test_refuses_what_is_no_number(store: Database) -> None:
    """What is neither a phone number nor a short code is refused, and nothing is kept."""
    for number in ("", "1234", "abc", "+1212555", "12345\x00", "１２３４５"):
        with pytest.raises(Refusal) as caught:
            await assign(store, number)
        assert [f.field for f in caught.value.faults] == ["number"]
    assert await store.run(numbers.list_numbers) == []


async def test_a_number_has_one_shop(store: Database) -> None:
    """A number that another shop has is refused; the answer names that shop."""
    await assign(store)
    with pytest.raises(Refusal) as caught:
        await assign(store, shop="other")
    (fault,) = caught.value.faults
    assert "sample" in fault.problem and "release" in fault.hint


async def test_a_number_has_one_link(store: Database) -> None:
    """The same shop's number changes its link only by way of a release."""
    await assign(store)
    with pytest.raises(Refusal):
        await assign(store, link="other")


async def test_assigning_twice_is_no_error(store: Database) -> None:
    """The same again changes nothing."""
    first = await assign(store)
    assert await assign(store) == first
    assert await store.run(numbers.list_numbers) == [first]


async def test_of_two_at_once_one_wins(store: Database) -> None:
    """Of two shops that are given a number at the same time, one has it and the other is told."""
    outcomes = await asyncio.gather(
        assign(store), assign(store, shop="other"), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Assignment", "Refusal"]
    assert len(await store.run(numbers.list_numbers)) == 1


async def test_routes_are_shared(store: Database) -> None:
    """Numbers of one link have one route."""
    await assign(store)
    await assign(store, "+12125550102", "other")
    assert len(await store.fetch("SELECT FROM route")) == 1


async def test_the_main_phone_is_no_sms_number(store: Database) -> None:
    """Calls to the number would be transferred to itself."""
    with pytest.raises(Refusal) as caught:
        await assign(store, "+12125550100")
    assert caught.value.faults[0].field == "number"


async def test_unknown_shop(store: Database) -> None:
    """A number cannot be given to a shop that is not there."""
    with pytest.raises(Refusal) as caught:
        await assign(store, shop="nobody")
    assert caught.value.type == "not-found"


async def test_release_keeps_the_past(store: Database) -> None:
    """A released number can go to another shop; who had it before is still known."""
    await assign(store)
    await store.run(lambda c: numbers.release_number(c, "212-555-0101", SMS))
    assert await store.run(numbers.list_numbers) == []
    assert (await assign(store, shop="other")).shop == "other"
    rows = await store.fetch("SELECT until IS NULL FROM number_assignment ORDER BY id")
    assert [row[0] for row in rows] == [False, True]


async def test_release_of_a_free_number(store: Database) -> None:
    """A number that is assigned to nobody cannot be released."""
    with pytest.raises(Refusal) as caught:
        await store.run(lambda c: numbers.release_number(c, NUMBER, SMS))
    assert caught.value.type == "not-found"
