"""`gateway send`, `queue`, `message show` and `health`, beside a server that runs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from config.settings import HttpSettings, Settings, SmsSettings
from gateway.api.context import ApiContext
from gateway.api.server import ApiServer
from gateway.cli.main import main
from gateway.dispatch.acceptance import Acceptance
from gateway.dispatch.depths import Depths
from gateway.ids import IdSource, wall_ms
from gateway.model import State
from gateway.observe.metrics import Metrics
from gateway.store.database import Database
from gateway.store.directory import Directory
from gateway.store.keys import list_keys
from gateway.store.numbers import assign_number
from gateway.store.shops import add_shop
from tests.api.fixtures import MemoryIntake
from tests.postgres import ConnectParameters
from tests.store.sample import SAMPLE, store_of

SMS = SmsSettings()
SEND = ("send", "--shop", "sample", "--to", "(212) 555-0123")


class StoringIntake(MemoryIntake):
    """Stores each message as a link would leave it that got its final receipt at once."""

    def __init__(self, database: Database, state: State) -> None:
        super().__init__()
        self._database = database
        self._state = state

    async def accept(self, drafts: Any, keys: Any = ()) -> Any:
        """Accept the drafts, and store message and status."""
        outcomes = await super().accept(drafts, keys)
        for draft in drafts:
            m = draft.message
            await self._database.fetch(
                "INSERT INTO message (id, shop, route, rank, place, channel, category, encoding,"
                " segments, expires_ms, sender, target, body)"
                " VALUES ($1, $2, $3, 1, 2, 1, 1, 0, 1, $4, $5, $6, $7)",
                m.id,
                m.shop,
                m.route,
                m.expires_ms,
                m.sender,
                m.target,
                m.body,
            )
            await self._database.fetch(
                "INSERT INTO status (id, segment, state, tries, sent_ms, done_ms, carrier, error)"
                " VALUES ($1, 0, $2, 1, $3, $3, '1A', $4)",
                m.id,
                self._state,
                wall_ms(),
                None if self._state is State.DELIVERED else "UNDELIV 01B",
            )
        return outcomes


@dataclass
class Running:
    """A server, and commands beside it."""

    database: Database
    context: ApiContext
    capsys: pytest.CaptureFixture[str]

    async def run(self, *argv: str) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of a command."""
        status = await asyncio.to_thread(main, argv)
        out, err = self.capsys.readouterr()
        return status, out, err


@pytest.fixture
async def running(
    monkeypatch: pytest.MonkeyPatch,
    database: ConnectParameters,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> AsyncIterator[Running]:
    """A server whose messages are all delivered at once."""
    for name in [name for name in os.environ if name.startswith("GATEWAY")]:
        monkeypatch.delenv(name)
    p = database
    url = f"postgresql://{p['user']}@/{p['database']}?host={p['host']}&port={p['port']}"
    monkeypatch.setenv("GATEWAY__STORE__DATABASE_URL", url)
    monkeypatch.setenv("GATEWAY__STORE__DATA_DIR", str(tmp_path))
    store = store_of(database)

    async def set_up(connection: asyncpg.Connection) -> None:
        await add_shop(connection, SAMPLE, SMS)
        await assign_number(connection, "+12125550140", "sample", "acme", "smpp", SMS)

    await store.run(set_up)
    directory = Directory(store)
    await directory.load()
    following = asyncio.create_task(directory.run())
    settings = Settings(http=HttpSettings(listen="127.0.0.1:0"))
    context = ApiContext(
        settings,
        directory,
        Acceptance(SMS, settings.limits, IdSource(1), {}),
        StoringIntake(store, State.DELIVERED),  # type: ignore[arg-type]
        store,
        Depths(store),
        Metrics(),
        ids=IdSource(2),
        has_link=lambda _: True,
    )
    server = ApiServer(context)
    await server.start()
    monkeypatch.setenv("GATEWAY__HTTP__LISTEN", server.url.removeprefix("http://"))
    yield Running(store, context, capsys)
    await server.stop()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await store.close()


async def test_a_text_is_sent_and_followed(running: Running) -> None:
    """With --wait each state is a line, and exit 0 means delivered; the key made for it is
    gone, and no list grows.
    """
    status, out, err = await running.run(*SEND, "--wait", "Your gown is ready.")
    assert (status, err) == (0, "")
    first, second = out.splitlines()
    assert first.endswith(" queued")
    assert second.endswith(" delivered")
    assert await running.database.run(list_keys) == []


async def test_exit_1_means_it_will_not_arrive(running: Running) -> None:
    """A message that is finally undelivered ends --wait with 1 and the carrier's word."""
    running.context.intake._state = State.UNDELIVERED  # type: ignore[attr-defined]
    status, out, _ = await running.run(*SEND, "--wait", "Your gown is ready.")
    assert status == 1
    assert out.splitlines()[-1].endswith(" undelivered: UNDELIV 01B")


async def test_a_refused_text_says_what_to_do(running: Running) -> None:
    """The problem document's fields stand on the terminal, one a line."""
    status, out, err = await running.run("send", "--shop", "sample", "--to", "12", "Hello")
    assert (status, out) == (1, "")
    assert err.count("an example: +12125550123") == 1, "each advice is given once"
    assert "  to " in err
    status, _, err = await running.run("send", "--shop", "nobody", "--to", "2125550123", "Hello")
    assert status == 1
    assert "there is no shop" in err


async def test_a_key_may_be_given(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of the environment is used and left alone; a wrong one is refused."""
    monkeypatch.setattr("gateway.cli.send.KEY_SPREADS_S", 0.0)
    _, made, _ = await running.run("key", "create", "--shop", "sample")
    monkeypatch.setenv("GATEWAY_KEY", made.strip())
    status, out, _ = await running.run(*SEND, "--json", "Hello")
    assert status == 0
    assert json.loads(out)["status"] == "queued"
    keys = await running.database.run(list_keys)
    assert [key.revoked for key in keys] == [None]
    status, _, err = await running.run(*SEND, "--key", "gw_wrong", "Hello")
    assert status == 1
    assert "no valid key" in err


async def test_a_message_is_shown_with_its_timeline(running: Running) -> None:
    """The message a field a line, what happened below, and the same as JSON."""
    _, out, _ = await running.run(*SEND, "Your gown is ready.")
    id_ = out.split()[0]
    status, out, _ = await running.run("message", "show", id_)
    assert status == 0
    assert "Your gown is ready." in out
    assert "accepted by acme as 1A" in out
    _, out, _ = await running.run("message", "show", id_, "--json")
    shown = json.loads(out)
    assert shown["message"]["status"] == "delivered"
    assert [event["kind"] for event in shown["events"]][-1] == "delivered"
    status, _, err = await running.run("message", "show", "msg_0000000000000")
    assert (status, "there is no message" in err) == (1, True)
    status, _, err = await running.run("message", "show", "nonsense")
    assert (status, "no id" in err) == (1, True)


async def test_the_queue_is_shown_with_a_sentence_a_route(running: Running) -> None:
    """Lanes, shops, and what the link does."""
    _, out, _ = await running.run("queue")
    assert out == "acme: nothing waiting, no link has served it yet\n"
    await running.database.fetch(
        "INSERT INTO queue SELECT 1, 1, g, 1, 0 FROM generate_series(1, 3) g"
    )
    status, out, _ = await running.run("queue")
    assert status == 0
    assert out.splitlines()[1].split()[:3] == ["acme", "transactional", "3"]
    assert out.splitlines()[-1].startswith("acme: 3 waiting, oldest ")
    _, out, _ = await running.run("queue", "--json")
    (route,) = json.loads(out)["routes"]
    assert (route["waiting"], route["shops"][0]["shop"]) == (3, "sample")


async def test_health_is_an_exit_status(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 where a gateway answers, with a note if it is not ready; 1 where none does."""
    status, out, _ = await running.run("health")
    assert (status, out[:10]) == (0, "ok http://")
    running.context.readiness = lambda: ["no link is bound"]
    status, out, _ = await running.run("health")
    assert (status, out.rstrip()[-16:]) == (0, "no link is bound")
    monkeypatch.setenv("GATEWAY__HTTP__LISTEN", "127.0.0.1:1")
    status, _, err = await running.run("health")
    assert status == 1
    assert "gateway serve" in err
    monkeypatch.setenv("GATEWAY__HTTP__LISTEN", "127.0.0.1:0")
    status, _, err = await running.run("health")
    assert (status, "fixed port" in err) == (1, True)
