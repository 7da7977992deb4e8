"""`gateway demo`: the whole gateway with a simulated carrier and mail host, and a story that shows
what it does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from config.settings import (
    HttpSettings,
    LogSettings,
    NodeSettings,
    SandboxSettings,
    Settings,
    StoreSettings,
)
from gateway.app import Gateway
from gateway.cli.frame import CommandError, add_command
from gateway.cli.output import has_colour, paint, visible
from gateway.cli.serve import serve
from gateway.errors import GatewayError
from gateway.observe.logs import set_up_logging
from gateway.sandbox.installation import LINK, Sandbox
from gateway.sandbox.mailbox import render
from gateway.store.keys import create_key
from gateway.store.numbers import assign_number
from gateway.store.opening import opened_store
from gateway.store.shops import add_shop

if TYPE_CHECKING:
    from gateway.cli.frame import Subparsers
    from gateway.sandbox.mail_host import Mail

SHOP = "sample"
NUMBER = "+12125550150"
SENDS = (
    ("+12125550123", "Your gown is ready for pickup.", "a text, its receipts, and it is there"),
    ("+12125550112", "Your fitting is tomorrow at 10:00.", "a carrier that throttles at first"),
    ("+12125550110", "Your alterations are done.", "a phone that cannot be reached"),
    (
        "+12125550119",
        "The bridesmaids' dresses have arrived 👗👗👗 — come by any day this week between ten and"
        " six to try them on. Bring the shoes that you will wear, and somebody you trust! 🎉",
        "a long text with emoji, in segments, which the customer answers",
    ),
)
CONTACT = {"kind": "customer", "id": "C1041", "name": "Sample Customer", "sms_alerts": "SMS OK"}
WAIT_S = 30.0


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "demo", "Show the gateway at work, with simulated peers")
    parser.add_argument("--once", action="store_true", help="end when the story is told")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    """Tell the story, then keep running until interrupted."""
    with _folder() as folder:
        settings = _settings(folder)
        set_up_logging(settings.log)
        sandbox = Sandbox(settings)
        try:
            async with sandbox as settings:
                return await _play(settings, sandbox, is_once=args.once)
        except GatewayError as error:
            raise CommandError(str(error), "free what it names, then try again") from error


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A data folder for this run alone. The database's own user must be able to enter it."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(folder: Path) -> Settings:
    """Defaults, but for addresses that are taken here: then any free port."""
    listen = {8080: "", 2775: "", 2525: "", 8081: ""}
    for port in listen:
        listen[port] = f"127.0.0.1:{port if _is_free(port) else 0}"
    return Settings(
        http=HttpSettings(listen=listen[8080]),
        store=StoreSettings(data_dir=folder),
        node=NodeSettings(name="demo"),
        sandbox=SandboxSettings(
            smsc_listen=listen[2775], smtp_listen=listen[2525], page_listen=listen[8081]
        ),
        log=LogSettings(level="error"),
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


async def _play(settings: Settings, sandbox: Sandbox, *, is_once: bool) -> int:
    _say("Starting the database, a simulated carrier (SMPP) and a simulated mail host (SMTP)")
    key = await _prepare(settings)
    gateway = Gateway(settings)
    story = asyncio.Event()

    async def tell() -> None:
        async with _client(gateway.url, key) as client:
            await _tell(client, sandbox)
        _invite(gateway.url, key, sandbox.page_url, is_once=is_once)
        if is_once:
            story.set()

    return await serve(gateway, began=tell, ended=story)


async def _prepare(settings: Settings) -> str:
    """A shop with a number and a key, made as an operator would by command. Returns the key."""
    values = {
        "code": SHOP,
        "name": "Sample Bridal",
        "main_phone": "+12125550100",
        "contact_email": "owner@sample.example.com",
        "time_zone": "America/New_York",
    }
    async with opened_store(settings.store) as database:
        await database.run(lambda c: add_shop(c, values, settings.sms))
        await database.run(lambda c: assign_number(c, NUMBER, SHOP, LINK, "smpp", settings.sms))
        key = await database.run(lambda c: create_key(c, SHOP))
    _done(f"gateway shop add {SHOP} --name 'Sample Bridal' ...")
    _done(f"gateway number assign {NUMBER} --shop {SHOP} --link {LINK}")
    _done(f"gateway key create --shop {SHOP}")
    return key


@contextlib.asynccontextmanager
async def _client(url: str, key: str) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(url, headers=headers) as client:
        yield client


async def _tell(client: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    for to, text, what in SENDS:
        _say(f"POST /v1/messages: {what}")
        body = {"contact": CONTACT | {"primary_phone": to}, "text": text, "source": "demo"}
        async with client.post("/v1/messages", json=body) as response:
            answer = await response.json()
        print(f"  {response.status} {paint(json.dumps(answer), 'cyan')}")
        await _show_timeline(client, answer["id"])
    _say("The customer's answer has come back over SMPP, and lies in the shop's mailbox")
    mail = await sandbox.mail_host.wait_for(lambda _: True, timeout_s=WAIT_S)
    _show_mail(mail)
    answer = await _poll(client, "/v1/replies", lambda page: bool(page["replies"]))
    for reply in answer["replies"]:
        shown = {name: reply[name] for name in ("id", "from", "to", "forward") if name in reply}
        print(f"\n  GET /v1/replies tells of it too: {paint(json.dumps(shown), 'cyan')}")
        if "forward" in reply:
            await _show_timeline(client, reply["forward"]["id"])


async def _poll(
    client: aiohttp.ClientSession, path: str, is_done: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Ask until the answer is what is waited for, or the patience of an onlooker ends."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_S
    while True:
        async with client.get(path) as response:
            answer: dict[str, Any] = await response.json()
        if is_done(answer) or loop.time() > deadline:
            return answer
        await asyncio.sleep(0.05)


async def _show_timeline(client: aiohttp.ClientSession, id_: str) -> None:
    """Wait until nothing more is to come, and print what happened to the message on the way."""

    def is_over(found: dict[str, Any]) -> bool:
        last = "submitted" if found["channel"] == "email" else "delivered"
        return found["status"] in (last, "undelivered", "failed")

    message = await _poll(client, f"/v1/messages/{id_}", is_over)
    async with client.get(f"/v1/messages/{id_}/events") as response:
        events = (await response.json())["events"]
    for event in events:
        _show_event(event)
    good = message["status"] in ("delivered", "submitted")
    print(f"  => {paint(message['status'], 'green' if good else 'yellow')}")


def _show_event(event: dict[str, Any]) -> None:
    time = event["at"][11:23]
    print(f"  {paint(time, 'dim')}  {event['kind']:<12} {visible(event['text'])}")


def _show_mail(mail: Mail) -> None:
    for line in render([mail], is_colored=has_colour(sys.stdout)).splitlines():
        print(f"  {line}")


def _invite(url: str, key: str, page: str, *, is_once: bool) -> None:
    authorization = f"-H 'Authorization: Bearer {key}'"
    _say("Now you: paste these")
    print(
        f"  curl -s {authorization} {url}/v1/messages \\\n"
        f"""    -d '{{"to": "+12125550114", "text": "Hello from me"}}'\n"""
        f"  curl -s {authorization} {url}/v1/queues\n"
        f"  curl -s {authorization} {url}/v1/replies\n"
    )
    print(f"  {paint('API', 'bold')}       {url}/openapi.json  {url}/metrics")
    print(f"  {paint('Mailbox', 'bold')}   {page}")
    numbers = "+1 212 555 0110 to 0123 each behave in their own way: see the README"
    print(f"  {paint('Numbers', 'bold')}   {numbers}")
    if not is_once:
        print("\n  Running until you press Ctrl-C. Everything is thrown away then.", flush=True)


def _say(text: str) -> None:
    print(f"\n{paint('■', 'blue')} {paint(text, 'bold')}", flush=True)


def _done(text: str) -> None:
    print(f"  {paint('✓', 'green')} {text}", flush=True)
