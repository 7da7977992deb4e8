"""The accounts of ESMEs: what operators may write, and what is kept of a password."""

from __future__ import annotations

import pytest

from gateway.errors import Refusal
from gateway.store import esmes
from gateway.store.embedded import ConnectParameters
from gateway.store.esmes import EsmeOptions
from gateway.store.passwords import LENGTH, check_password, hash_password, make_password
from gateway.store.shops import add_shop
from tests.store.sample import SAMPLE, SMS, opened


def test_a_password_is_kept_as_its_hash_alone() -> None:
    """Twice the same password has two hashes, and only it is right."""
    password = make_password()
    assert len(password) == LENGTH
    one, two = hash_password(password), hash_password(password)
    assert one != two
    assert password not in one
    assert check_password(password, one) and check_password(password, two)
    assert not check_password(password + "x", one) and not check_password("", one)


async def test_accounts_are_added_changed_and_revoked(database: ConnectParameters) -> None:
    """Each belongs to a shop or to a link; a revoked name may be given again."""
    async with opened(database) as store:
        await store.run(lambda c: add_shop(c, SAMPLE, SMS))
        password = await store.run(lambda c: esmes.add_esme(c, "till", shop="sample"))
        esme = await store.run(lambda c: esmes.get_esme(c, "till"))
        assert (esme.shop_code, esme.link, esme.options) == ("sample", None, EsmeOptions())
        assert check_password(password, esme.password)
        changes = {"allowed": ("203.0.113.7",), "binds": 5, "has_replies": True}
        await store.run(lambda c: esmes.set_esme(c, "till", changes))
        renewed = await store.run(lambda c: esmes.new_password(c, "till"))
        esme = await store.run(lambda c: esmes.get_esme(c, "till"))
        assert esme.options == EsmeOptions(allowed=("203.0.113.7/32",), binds=5, has_replies=True)
        assert check_password(renewed, esme.password)
        assert not check_password(password, esme.password)
        await store.run(lambda c: esmes.revoke_esme(c, "till"))
        with pytest.raises(Refusal):
            await store.run(lambda c: esmes.get_esme(c, "till"))
        await store.run(lambda c: esmes.add_esme(c, "till", link="acme"))
        found = await store.run(esmes.list_esmes)
        assert [(each.system_id, each.link, each.revoked is None) for each in found] == [
            ("till", None, False),
            ("till", "acme", True),
        ]


@pytest.mark.parametrize(
    ("name", "options", "field"),
    [
        ("a name that is too long", {}, "system_id"),
        ("till", {"allowed": ("example.com",)}, "allow"),
        ("till", {"binds": 0}, "binds"),
        ("till", {"window": 100_000}, "window"),
        ("till", {"rate": -1.0}, "rate"),
        ("till", {"category": "news"}, "category"),
        ("till", {"alphabet": "ebcdic"}, "alphabet"),
        ("till", {"outbind": "example.com"}, "outbind"),
        ("till", {"has_replies": True}, "replies"),
    ],
)
async def test_what_cannot_be_is_refused(
    database: ConnectParameters, name: str, options: dict[str, object], field: str
) -> None:
    """With the name of the field."""
    async with opened(database) as store:
        with pytest.raises(Refusal) as refused:
            await store.run(
                lambda c: esmes.add_esme(c, name, link="acme", options=EsmeOptions(**options))  # type: ignore[arg-type]
            )
        assert [fault.field for fault in refused.value.faults] == [field]


async def test_a_name_is_given_once(database: ConnectParameters) -> None:
    """And only to shops that there are."""
    async with opened(database) as store:
        await store.run(lambda c: esmes.add_esme(c, "till", link="acme"))
        with pytest.raises(Refusal, match="already"):
            await store.run(lambda c: esmes.add_esme(c, "till", link="acme"))
        with pytest.raises(Refusal, match="no shop"):
            await store.run(lambda c: esmes.add_esme(c, "other", shop="nobody"))
