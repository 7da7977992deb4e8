"""Shops as operators manage them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.store import fields, numbers, shops
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from tests.store.sample import NUMBER, SAMPLE, SMS, opened

FAULTY = [
    ("code", ""),
    ("code", "Sample"),
    ("code", "-sample"),
    ("code", "sample\n"),
    ("code", "a" * 65),
    ("name", " "),
    ("name", "Sample\x00Bridal"),
    ("name", "Sample\r\nBcc: all"),
    ("name", "Sample\udcff"),
    ("name", "s" * 201),
    ("main_phone", "555"),
    ("main_phone", "+442071838750"),
    ("main_phone", "+19005550100"),
    ("contact_email", "owner"),
    ("contact_email", "owner@host@example.com"),
    ("contact_email", "owner@example.com\r\nBcc: all@example.com"),
    ("contact_email", "Owner <owner@example.com>"),
    ("contact_email", '"the owner"@example.com'),
    ("contact_email", "öwner@example.com"),
    ("contact_email", "owner@exämple.com"),
    ("contact_email", "owner@localhost"),
    ("contact_email", "o" * 65 + "@example.com"),
    ("contact_email", "owner@" + "e" * 60 + ".example" * 30),
    ("time_zone", ""),
    ("time_zone", "Mars/Olympus"),
    ("time_zone", "../etc/passwd"),
    ("time_zone", "America"),
    ("time_zone", "America/New_York\x00"),
    ("support_until", "2030-02-30"),
    ("support_until", "31.12.2030"),
    ("support_until", "2030-W01-1"),
    ("method", "fax"),
    ("colour", "white"),
]


@pytest.fixture
async def store(database: ConnectParameters) -> AsyncIterator[Database]:
    """An open store without rows."""
    async with opened(database) as store:
        yield store


async def add(store: Database, **changes: str | None) -> shops.Shop:
    """Add the sample shop with some fields changed."""
    return await store.run(lambda c: shops.add_shop(c, SAMPLE | changes, SMS))


async def refusal_of(store: Database, **changes: str | None) -> Refusal:
    """Why the sample shop with some fields changed is refused."""
    with pytest.raises(Refusal) as caught:
        await add(store, **changes)
    assert await store.run(shops.list_shops) == []
    return caught.value


async def test_adds_a_shop(store: Database) -> None:
    """A shop is kept as given, its phone in E.164 form."""
    added = await add(store, support_until="2030-12-31", method="sms")
    shop = await store.run(lambda c: shops.get_shop(c, "sample"))
    assert shop == added
    assert shop.main_phone == "+12125550100"
    assert (shop.support_until, shop.method) == (date(2030, 12, 31), "sms")
    assert not shop.is_held


async def test_names_the_faulty_field(store: Database) -> None:
    """A faulty value is refused, with its field and what to do, and nothing is kept."""
    for field, value in FAULTY:
        refusal = await refusal_of(store, **{field: value})
        assert refusal.type == "invalid-request", (field, value)
        assert [fault.field for fault in refusal.faults] == [field], value
        assert refusal.faults[0].hint


async def test_names_every_faulty_field(store: Database) -> None:
    """All faults come in one answer."""
    refusal = await refusal_of(store, name="", main_phone="1", time_zone="x", method="email")
    assert refusal.type == "invalid-request"
    assert {f.field for f in refusal.faults} == {"name", "main_phone", "time_zone", "method"}


async def test_needs_the_required_fields(store: Database) -> None:
    """A field that is left out is a fault."""
    with pytest.raises(Refusal) as caught:
        await store.run(lambda c: shops.add_shop(c, {"code": "sample"}, SMS))
    assert {f.field for f in caught.value.faults} == set(shops.REQUIRED) - {"code"}


async def test_has_no_sms_via_email(store: Database) -> None:
    """What this version cannot do is refused as such."""
    refusal = await refusal_of(store, method="email")
    assert refusal.type == "not-available"
    assert refusal.faults[0].field == "method"


async def test_a_code_is_given_once(store: Database) -> None:
    """A second shop of the same code is refused."""
    await add(store)
    with pytest.raises(Refusal, match="already") as caught:
        await add(store)
    assert caught.value.faults[0].field == "code"


async def test_changes_only_what_is_named(store: Database) -> None:
    """Fields that are not named keep their values; None clears what may be empty."""
    before = await add(store, support_until="2030-12-31", method="sms")
    changes = {"name": "Sample Formal", "support_until": None}
    after = await store.run(lambda c: shops.set_shop(c, "sample", changes, SMS))
    assert (after.name, after.support_until) == ("Sample Formal", None)
    assert (after.method, after.time_zone) == (before.method, before.time_zone)


async def test_a_code_never_changes(store: Database) -> None:
    """Others' records name the shop by its code."""
    await add(store)
    with pytest.raises(Refusal) as caught:
        await store.run(lambda c: shops.set_shop(c, "sample", {"code": "other"}, SMS))
    assert caught.value.faults[0].field == "code"


async def test_calls_cannot_go_round(store: Database) -> None:
    """The main phone cannot become one of the shop's own SMS numbers."""
    await add(store)
    await store.run(lambda c: numbers.assign_number(c, NUMBER, "sample", "acme", "smpp", SMS))
    with pytest.raises(Refusal) as caught:
        await store.run(lambda c: shops.set_shop(c, "sample", {"main_phone": NUMBER}, SMS))
    assert caught.value.faults[0].field == "main_phone"


async def test_holds_and_releases(store: Database) -> None:
    """A held shop stays held until it is released."""
    await add(store)
    assert (await store.run(lambda c: shops.hold_shop(c, "sample"))).is_held
    assert (await store.run(lambda c: shops.get_shop(c, "sample"))).is_held
    assert not (await store.run(lambda c: shops.release_shop(c, "sample"))).is_held


async def test_unknown_shops(store: Database) -> None:
    """A code of no shop is told from a fault of the database."""
    for code in ("nobody", "", "\x00", "\udcff", "sample'; --"):
        with pytest.raises(Refusal) as caught:
            await store.run(lambda c, code=code: shops.get_shop(c, code))
        assert caught.value.type == "not-found"


async def test_lists_by_code(store: Database) -> None:
    """Lists are in the order of the codes, each shop with its own numbers."""
    await add(store, code="b")
    await add(store, code="a")
    await store.run(lambda c: numbers.assign_number(c, NUMBER, "b", "acme", "smpp", SMS))
    found = await store.run(shops.list_shops)
    assert [(s.code, [n.number for n in s.numbers]) for s in found] == [("a", []), ("b", [NUMBER])]


@given(st.text())
def test_addresses_are_headers_safe(text: str) -> None:
    """Whatever passes as an address is printable ASCII with one @ and no space or bracket."""
    try:
        address = fields.email(text)
    except fields.FieldError:
        return
    assert address.isascii() and address.isprintable()
    assert address.count("@") == 1 and not set(address) & set(' <>()[],;:"\\')


@given(st.text())
def test_readers_raise_nothing_else(text: str) -> None:
    """Any text is read or refused by every field."""
    readers: list[fields.Reader] = [
        fields.code,
        fields.name,
        fields.email,
        fields.time_zone,
        fields.support_until,
        fields.method,
        lambda value: fields.main_phone(value, "US", ("US",)),
        lambda value: fields.number(value, "US", ("US",)),
    ]
    for reader in readers:
        try:
            reader(text)
        except fields.FieldError as error:
            assert error.problem and error.hint
