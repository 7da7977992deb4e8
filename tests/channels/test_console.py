"""`gateway link`: beside a running gateway, through the store."""

from __future__ import annotations

import asyncio
import json
import sys

from protocols.smpp import status as s
from tests.crash.stage import _ROOT, Process, Stage, _environment, eventually, staged

TEXT = "The secret of the blue gown"


async def run(stage: Stage, *arguments: str) -> tuple[int, str]:
    """Run `gateway link …`; exit status and what it printed."""
    config = str(stage.folder / "gateway-1.toml")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "link", *arguments, "--config", config,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        cwd=_ROOT, env=_environment(),
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def bind_of(stage: Stage, name: str = "acme") -> dict[str, object]:
    """The first bind, as JSON tells."""
    status, out = await run(stage, "show", name, "--json")
    assert status == 0, out
    binds = json.loads(out)["binds"]
    return dict(binds[0]) if binds else {}


async def test_a_link_is_shown_stopped_and_started() -> None:
    """While messages wait; and it stays stopped over a restart."""
    async with staged() as stage:
        process = await stage.start()
        await stage.smsc.wait_until(lambda: len(stage.smsc.sessions) == 1)
        await stage.client.post(process.url, text=TEXT)
        await stage.drained()

        async def has_figures() -> bool:
            bind = await bind_of(stage)
            return bind.get("accepted") == 1 and bind.get("receipts") == 1

        await eventually(has_figures, "the figures are written")
        bind = await bind_of(stage)
        assert (bind["state"], bind["window"], bind["pending"]) == ("up", 20, 0)
        assert bind["round_trip_ms"]
        _, shown = await run(stage, "list")
        assert "acme" in shown
        assert "up" in shown

        assert await run(stage, "stop", "acme") == (
            0, "link acme is stopped: what waits for it waits on\n",
        )  # fmt: skip
        await stage.smsc.wait_until(lambda: not stage.smsc.sessions)
        await stage.client.post(process.url, text="later")
        assert await process.stop() == 0
        process = await stage.start()
        await said_stopped(stage)
        assert stage.smsc.connections == 1, "nothing was dialled"
        assert (await run(stage, "start", "acme"))[0] == 0
        await stage.drained()
        assert stage.smsc.texts() == [TEXT, "later"]
        assert (await run(stage, "stop", "nobody"))[0] == 1
        assert await process.stop() == 0


async def said_stopped(stage: Stage) -> None:
    """Wait until the node tells that the link rests."""

    async def is_stopped() -> bool:
        return (await bind_of(stage)).get("state") == "stopped"

    await eventually(is_stopped, "the link is shown as stopped")


async def test_errors_are_shown_in_words() -> None:
    """The last ones, with what the carrier said."""
    async with staged() as stage:
        stage.smsc.behaviour.bind_status = s.ESME_RINVPASWD
        process = await stage.start()

        async def is_told() -> bool:
            return "ESME_RINVPASWD: the password is wrong" in (await run(stage, "show", "acme"))[1]

        await eventually(is_told, "the error is shown")
        assert await process.stop() == 0


async def traced(stage: Stage, process: Process) -> str:
    """What `gateway link trace` prints while texts are sent."""
    printing = asyncio.create_task(run(stage, "trace", "acme", "--seconds", "4", "--rate", "100"))
    while not printing.done():
        await stage.client.post(process.url, text=TEXT, to="+12125550114")
        await asyncio.sleep(0.1)
    status, out = await printing
    assert status == 0, out
    return out


async def test_a_trace_shows_pdus_without_texts_and_phones() -> None:
    """Decoded, for a while; what passes is not changed."""
    async with staged() as stage:
        process = await stage.start()
        await stage.smsc.wait_until(lambda: len(stage.smsc.sessions) == 1)
        out = await traced(stage, process)
        assert "-> submit_sm" in out
        assert "<- submit_sm_resp" in out
        assert "receipt id=" in out
        assert f"text of {len(TEXT)} octets" in out
        for hidden in (TEXT, "blue gown", "2125550114", "12125550170", "on my way"):
            assert hidden not in out, hidden
        await stage.drained()
        assert await process.stop() == 0
