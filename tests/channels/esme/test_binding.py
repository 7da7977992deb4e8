"""Who may bind, who is turned away, and at what cost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.esme import checks
from gateway.errors import StoreDown
from gateway.store import esmes, passwords
from gateway.store.embedded import ConnectParameters
from protocols.smpp import BindKind, BindRefused, Bound
from protocols.smpp import status as s
from tests.channels.esme.stage import DEADLINE_S, EsmeStage, esme_stage, eventually
from tests.sandbox.esme import Esme, open_esme


async def bind(stage: EsmeStage, system_id: str, password: str) -> int:
    """Try to bind, and return the status of the answer."""
    async with await open_esme(stage.port) as esme:
        told = await esme.bind(system_id, password)
        return told.status if isinstance(told, BindRefused) else s.ESME_ROK


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords whose hash was computed."""
    seen: list[str] = []
    true = passwords.check_password

    def check(password: str, stored: str) -> bool:
        seen.append(password)
        return true(password, stored)

    monkeypatch.setattr(checks, "check_password", check)
    return seen


async def test_a_right_password_binds(stage: EsmeStage) -> None:
    """As what it asks for; the answer names us."""
    for kind in BindKind:
        async with stage.esme(kind=kind) as esme:
            (bound,) = [event for event in esme.log if isinstance(event, Bound)]
            assert (bound.kind, bound.system_id) == (kind, "gateway")
            esme.connection.session.unbind(asyncio.get_running_loop().time())
            esme.connection.flush()
            await esme.ended()


async def test_wrong_names_and_wrong_passwords_look_alike(
    stage: EsmeStage, checked: list[str]
) -> None:
    """The same answer, for the same work."""
    await stage.account("office", allowed=("203.0.113.0/24",))
    told = [
        await bind(stage, "pos", "wrong"),
        await bind(stage, "nobody", "wrong"),
        await bind(stage, "office", stage.passwords["office"]),
    ]
    assert told == [s.ESME_RINVPASWD] * 3
    assert len(checked) == 3


async def test_a_right_password_is_hashed_once(stage: EsmeStage, checked: list[str]) -> None:
    """It is remembered; another one is not taken for it."""
    for _ in range(3):
        assert await bind(stage, "pos", stage.passwords["pos"]) == s.ESME_ROK
        await eventually(lambda: no_binds(stage))
    assert len(checked) == 1
    assert await bind(stage, "pos", "other") == s.ESME_RINVPASWD


async def no_binds(stage: EsmeStage) -> bool:
    """Whether no bind is counted."""
    return not await stage.count("esme_bind")


async def test_who_guesses_is_banned(stage: EsmeStage, checked: list[str]) -> None:
    """After so many wrong passwords nothing of the address is looked at; who is bound stays."""
    async with stage.esme() as good:
        for _ in range(5):
            assert await bind(stage, "pos", "wrong") == s.ESME_RINVPASWD
        count = len(checked)
        for _ in range(3):
            async with await open_esme(stage.port) as esme:
                await esme.ended()
        assert len(checked) == count
        assert (await good.send("+12125550105")).status == s.ESME_ROK


async def test_no_more_binds_than_the_account_has(stage: EsmeStage) -> None:
    """Those that end make room."""
    async with stage.esme(), stage.esme():
        assert await bind(stage, "pos", stage.passwords["pos"]) == s.ESME_RALYBND
    await eventually(lambda: no_binds(stage))
    assert await bind(stage, "pos", stage.passwords["pos"]) == s.ESME_ROK


async def test_binds_of_all_nodes_are_counted_together(stage: EsmeStage) -> None:
    """A row of a living node counts, one of a dead node does not."""
    await stage.store.fetch(
        "INSERT INTO node (id, name, epoch, until) VALUES (900, 'living', 1, now() + '1 hour'), "
        "(901, 'dead', 1, now())"
    )
    await stage.store.fetch(
        "INSERT INTO esme_bind (esme, index, node, epoch, kind, address) "
        "SELECT id, 0, 900, 1, 9, '' FROM esme UNION ALL SELECT id, 1, 901, 1, 9, '' FROM esme"
    )
    async with stage.esme():
        assert await bind(stage, "pos", stage.passwords["pos"]) == s.ESME_RALYBND


@pytest.mark.parametrize("how", ["revoke", "password"])
async def test_a_changed_account_loses_its_binds(stage: EsmeStage, how: str) -> None:
    """At once, and the old password is worth nothing."""
    async with stage.esme() as esme:
        work: Any = esmes.revoke_esme if how == "revoke" else esmes.new_password
        await stage.store.run(lambda c: work(c, "pos"))
        await esme.ended()
    assert await bind(stage, "pos", stage.passwords["pos"]) == s.ESME_RINVPASWD


async def test_allowed_networks_are_those_alone(stage: EsmeStage) -> None:
    """An address within them binds."""
    password = await stage.account("office", allowed=("127.0.0.0/8", "203.0.113.7"))
    assert await bind(stage, "office", password) == s.ESME_ROK


@pytest.fixture
async def narrow(database: ConnectParameters, tmp_path: Path) -> AsyncIterator[EsmeStage]:
    """A gateway with room for few."""
    limits = {"unbound_max": 10, "session_init_s": 60.0, "checks_per_s": 1.0}
    async with esme_stage(database, tmp_path, limits | {"checks_waiting_max": 2}) as made:
        await made.account()
        yield made


async def test_silent_connections_make_way(narrow: EsmeStage) -> None:
    """The oldest of those that are not bound goes; a good ESME finds a place and keeps it."""
    silent: list[Esme] = []
    try:
        silent += [await open_esme(narrow.port) for _ in range(30)]
        async with narrow.esme() as good:
            silent += [await open_esme(narrow.port) for _ in range(15)]
            assert good.ending is None
            await eventually(lambda: sum(esme.ending is None for esme in silent) <= 10)
            assert (await good.send("+12125550105")).status == s.ESME_ROK
    finally:
        for esme in silent:
            esme.connection.close("the test is over")


async def test_strangers_wait_in_a_small_room(narrow: EsmeStage) -> None:
    """Beyond it they are told to come again; an address that has bound is served first."""
    password = narrow.passwords["pos"]
    async with narrow.esme():
        pass
    second = await narrow.account("second", allowed=("127.0.0.1",))
    strangers = [asyncio.create_task(bind(narrow, "nobody", "wrong")) for _ in range(8)]
    async with asyncio.timeout(DEADLINE_S):
        assert await bind(narrow, "second", second) == s.ESME_ROK
        assert await bind(narrow, "pos", password) == s.ESME_ROK
    told = set()
    for task in strangers:
        task.cancel()
    for result in await asyncio.gather(*strangers, return_exceptions=True):
        if isinstance(result, int):
            told.add(result)
    assert told <= {s.ESME_RINVPASWD, s.ESME_RBINDFAIL}
    assert s.ESME_RBINDFAIL in told


async def test_a_quiet_connection_is_hung_up_on(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """Who does not bind in time, and who is bound and silent for too long."""
    limits = {"session_init_s": 1.0, "inactivity_s": 0.3}
    async with esme_stage(database, tmp_path, limits) as stage:
        async with await open_esme(stage.port) as esme:
            await esme.ended()
        await stage.account()
        async with stage.esme() as bound:
            ending = await bound.ended()
            assert re.search("unb", ending.reason)


async def test_a_full_address_is_turned_away(database: ConnectParameters, tmp_path: Path) -> None:
    """Before anything is spent on it."""
    async with esme_stage(database, tmp_path, {"connections_per_address": 3}) as stage:
        kept = [await open_esme(stage.port) for _ in range(3)]
        async with await open_esme(stage.port) as fourth:
            await fourth.ended()
        assert all(esme.ending is None for esme in kept)
        for esme in kept:
            esme.connection.close("the test is over")


async def test_what_is_no_smpp_is_hung_up_on(stage: EsmeStage) -> None:
    """A browser that lost its way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(DEADLINE_S):
        assert (await reader.read())[4:8] == b"\x80\x00\x00\x00"
    writer.close()


async def test_the_gateway_unbinds_when_it_stops(stage: EsmeStage) -> None:
    """In good order, and forgets the binds."""
    async with stage.esme() as esme:
        for _ in range(20):
            esme.post("+12125550105", "Your gown is ready.")
        assert (await esme.send("+12125550105")).status == s.ESME_ROK
        assert stage.gateway.smpp is not None
        await stage.gateway.smpp.stop(asyncio.get_running_loop().time() + 5)
        ending = await esme.ended()
        assert (ending.reason, ending.unanswered) == ("the peer unbound", [])
        assert await no_binds(stage)


async def test_a_place_whose_commit_was_not_heard_is_free_again(
    stage: EsmeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bind is refused for now, and the account keeps all its places."""
    assert stage.gateway.smpp is not None
    connection = stage.gateway.smpp._admission._connection
    transact = connection.transact

    async def cut(work: Any) -> Any:
        await transact(work)
        raise StoreDown("the test says so")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "transact", cut)
        assert await bind(stage, "pos", stage.passwords["pos"]) == s.ESME_RSYSERR
    async with stage.esme(), stage.esme():
        assert await stage.count("esme_bind") == 2


async def test_a_password_that_is_changed_during_the_bind_is_worth_nothing(
    stage: EsmeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was judged by the old one does not get in."""
    assert stage.gateway.smpp is not None
    admission = stage.gateway.smpp._admission
    take = admission._take

    async def slow(*args: Any) -> Any:
        index = await take(*args)
        await stage.store.run(lambda c: esmes.new_password(c, "pos"))
        await admission._accounts.load()
        return index

    monkeypatch.setattr(admission, "_take", slow)
    assert await bind(stage, "pos", stage.passwords["pos"]) == s.ESME_RINVPASWD
    await eventually(lambda: no_binds(stage))


async def test_a_rate_is_shared_by_the_nodes_that_have_the_binds(stage: EsmeStage) -> None:
    """Half of the binds, half of the rate; all of it again when the others are gone."""
    await stage.account("slow", rate=2.0)
    first = stage.gateway
    await stage.start("two")
    try:
        assert first.smpp is not None and stage.gateway.smpp is not None
        shares, esme = first.smpp._shares, first.smpp.accounts.named("slow")
        assert esme is not None
        async with await open_esme(first.smpp.ports[0]) as one:
            await one.bind("slow", stage.passwords["slow"])
            async with stage.esme("slow"):
                await eventually(lambda: shares.of(esme.id) == 0.5)
                statuses = {(await one.send("+12125550105")).status for _ in range(3)}
                assert statuses == {s.ESME_ROK, s.ESME_RTHROTTLED}
            await eventually(lambda: shares.of(esme.id) == 1.0)
    finally:
        await first.stop()


async def test_a_bind_whose_place_is_lost_is_made_anew(stage: EsmeStage) -> None:
    """Another node thought this one dead: it would be counted nowhere, and get no receipts."""
    assert stage.gateway.smpp is not None
    admission = stage.gateway.smpp._admission
    async with stage.esme() as lost:
        await stage.store.fetch("DELETE FROM esme_bind")
        async with stage.esme() as kept:
            await admission.verify()
            assert "unbound" in (await lost.ended()).reason
            assert (await kept.send("+12125550105")).status == s.ESME_ROK
            assert kept.ending is None


async def test_an_account_without_a_hash_lets_nobody_in(stage: EsmeStage) -> None:
    """And ends no process: somebody wrote into the table by hand."""
    await stage.store.fetch("UPDATE esme SET password = 'secret'")
    await stage.store.fetch("SELECT pg_notify('gateway_esme', '')")
    server = stage.gateway.smpp
    assert server is not None
    await eventually(lambda: getattr(server.accounts.named("pos"), "password", "") == "secret")
    assert await bind(stage, "pos", "secret") == s.ESME_RINVPASWD
    assert await bind(stage, "pos", "other") == s.ESME_RINVPASWD
