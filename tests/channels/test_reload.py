"""Settings read again while the gateway runs: only what changed is touched."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path

from gateway.sandbox.smsc import SandboxSmsc
from gateway.store.database import Database
from gateway.store.keys import create_key
from tests.crash.stage import Process, Stage, eventually, staged


def config_of(stage: Stage) -> Path:
    """The settings of the first process."""
    return stage.folder / "gateway-1.toml"


def sessions(smsc: SandboxSmsc) -> list[int]:
    """The sessions that stand, by their numbers."""
    return [peer.number for peer in smsc.sessions]


def is_bound(smsc: SandboxSmsc) -> bool:
    """Whether one session stands."""
    return len(smsc.sessions) == 1


async def admin_key(stage: Stage) -> str:
    """A key of the operator's."""
    database = Database(stage.parameters)
    key = await database.run(lambda connection: create_key(connection, None))
    await database.close()
    return key


async def reload(stage: Stage, process: Process, key: str) -> tuple[int, dict[str, object]]:
    """Ask for it by HTTP."""
    headers = {"Authorization": f"Bearer {key}"}
    async with stage.client._session.post(f"{process.url}/v1/reload", headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def said(process: Process, words: str) -> None:
    """Wait until the log has it."""

    async def is_there() -> bool:
        return words in process.said()

    await eventually(is_there, f"{words} is logged")


async def test_only_links_that_changed_are_built_anew() -> None:
    """The others keep their sessions; messages that waited go out, none is lost or doubled."""
    async with staged(links=("acme", "other", "old")) as stage:
        process = await stage.start()
        acme, other, old = stage.links.values()
        for smsc in (acme, other, old):
            await smsc.wait_until(partial(is_bound, smsc))
        kept = sessions(other)
        other.behaviour.response_delay_s = 0.05
        posts = [
            asyncio.create_task(stage.client.post(process.url, text=f"No. {number}"))
            for number in range(50)
        ]
        text = config_of(stage).read_text()
        head, mark, tail = text.partition("[[links]]\nname = \"old\"")
        assert mark
        fresh = tail.replace("window = 20", "window = 10")
        first, second, third = head.partition('name = "acme"')
        changed = first + second + third.replace("window = 20", "window = 30\nbinds = 2", 1)
        config_of(stage).write_text(changed + '[[links]]\nname = "new"' + fresh)
        process.signal(signal.SIGHUP)
        await said(process, "settings read again")
        assert "links added: new; links changed: acme; links removed: old" in process.said()
        await acme.wait_until(lambda: len(acme.sessions) == 2)
        await old.wait_until(lambda: len(old.sessions) == 1 and old.unbinds == 1)
        assert sessions(other) == kept, "the same session as before"
        assert acme.unbinds == 1, "the old bind ended in good order"
        answers = await asyncio.gather(*posts)
        assert {status for status, _ in answers} == {202}
        await stage.drained()
        texts = sorted(text for smsc in stage.links.values() for text in smsc.texts())
        assert texts == sorted(f"No. {number}" for number in range(50))
        assert await process.stop() == 0


async def test_faulty_settings_change_nothing() -> None:
    """Every fault is answered, and what runs goes on; a shop may not ask."""
    async with staged() as stage:
        process = await stage.start()
        await stage.smsc.wait_until(lambda: len(stage.smsc.sessions) == 1)
        key = await admin_key(stage)
        good = config_of(stage).read_text()
        bad = good + '\ntls = true\ntls_ca = "nowhere.pem"\nstatuses = { ESME_RWRONG = "fail" }\n'
        config_of(stage).write_text(bad)

        async def is_known() -> bool:
            return (await reload(stage, process, key))[0] != 401

        await eventually(is_known, "the key is known")
        status, problem = await reload(stage, process, key)
        assert status == 400
        errors = problem["errors"]
        assert isinstance(errors, list)
        assert {error["field"] for error in errors} == {"links[0].tls_ca", "links[0].statuses"}
        assert sessions(stage.smsc) == [1]
        process.signal(signal.SIGHUP)
        await said(process, "nothing was changed")
        config_of(stage).write_text(good.replace("window = 20", "window = 21"))
        status, changes = await reload(stage, process, key)
        assert (status, changes["changed"]) == (200, ["acme"])
        await stage.smsc.wait_until(lambda: sessions(stage.smsc) == [2])
        status, problem = await reload(stage, process, stage.keys["sample"])
        assert status == 404
        assert await process.stop() == 0


async def test_sections_that_a_running_gateway_cannot_take_over_are_named() -> None:
    """They wait for the next start."""
    async with staged() as stage:
        process = await stage.start()
        key = await admin_key(stage)
        text = config_of(stage).read_text()
        config_of(stage).write_text(text.replace("retry_min_s = 0.1", "retry_min_s = 0.2"))

        async def is_known() -> bool:
            return (await reload(stage, process, key))[0] == 200

        await eventually(is_known, "the key is known")
        _, changes = await reload(stage, process, key)
        assert changes["at_restart"] == ["limits"]
        assert await process.stop() == 0
