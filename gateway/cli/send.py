"""`gateway send`: one text through the running gateway, as a shop's own program would send it."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from config.settings import Settings
from gateway.cli.client import Client, connected, explain
from gateway.cli.frame import add_command, load_settings
from gateway.cli.output import paint, print_json, visible
from gateway.cli.store import explained
from gateway.model import FINAL, State
from gateway.store.keys import LABEL_LENGTH, create_key, forget_key
from gateway.store.opening import opened_store

if TYPE_CHECKING:
    from gateway.cli.frame import Subparsers

POLL_S = 0.1
POLL_MAX_S = 1.0
KEY_SPREADS_S = 5.0
"""How long the running gateway may take to hear of a new key."""
_FINAL = frozenset(state.word for state in FINAL)


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "send", "Send a text through the running gateway")
    parser.add_argument("--shop", metavar="ID", required=True, help="the shop's code")
    parser.add_argument("--to", metavar="PHONE", required=True, help="(212) 555-0123 or E.164")
    parser.add_argument("--channel", metavar="C", default="auto", help="auto, sms, email or voice")
    parser.add_argument(
        "--wait", action="store_true", help="exit 0 once it is delivered, 1 once it cannot be"
    )
    parser.add_argument(
        "--key", metavar="KEY", help="else GATEWAY_KEY, else one made for this command alone"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("text", metavar="TEXT", help="what to send")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    """Send, and with --wait follow the message until it is final."""
    settings = load_settings(args)
    async with connected(settings) as client:
        await client.call("GET", "/openapi.json")
        async with _key(args, settings) as key:
            client.key = key
            body = {"shop": args.shop, "to": args.to, "channel": args.channel, "text": args.text}
            told = await _post(client, body)
            if args.wait:
                return await _follow(client, told, args.json)
    if args.json:
        print_json(told)
    else:
        _print_state(told["id"], told["status"], told.get("reason"))
    return 0


@asynccontextmanager
async def _key(args: argparse.Namespace, settings: Settings) -> AsyncIterator[str]:
    """The key to send with; one made here is gone at the end."""
    given = args.key or os.environ.get("GATEWAY_KEY")
    if given:
        yield given
        return
    with explained(settings):
        async with opened_store(settings.store) as database:
            key = await database.run(lambda c: create_key(c, args.shop))
            try:
                yield key
            finally:
                await database.run(lambda c: forget_key(c, key[:LABEL_LENGTH]))


async def _post(client: Client, body: dict[str, str]) -> dict[str, Any]:
    """Post the message. A key that is not known yet may be a new one: try for a while."""
    deadline = asyncio.get_running_loop().time() + KEY_SPREADS_S
    while True:
        status, told = await client.call("POST", "/v1/messages", body)
        if status == 202:
            answer: dict[str, Any] = told
            return answer
        if status != 401 or asyncio.get_running_loop().time() > deadline:
            raise explain(told)
        await asyncio.sleep(POLL_S)


async def _follow(client: Client, told: dict[str, Any], is_json: bool) -> int:
    """Show each state that the message comes to, until it is final."""
    message, seen, pause_s = told, "", POLL_S
    while True:
        if message["status"] != seen:
            seen, pause_s = message["status"], POLL_S
            if not is_json:
                _print_state(message["id"], seen, message.get("reason"))
        if seen in _FINAL:
            break
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, POLL_MAX_S)
        status, message = await client.call("GET", f"/v1/messages/{told['id']}")
        if status != 200:
            raise explain(message)
    if is_json:
        print_json(message)
    return 0 if seen == State.DELIVERED.word else 1


def _print_state(id_: str, status: str, reason: str | None) -> None:
    colour = _colour(status)
    words = f": {visible(reason)}" if reason else ""
    print(f"{id_} {paint(status, colour)}{words}", flush=True)


def _colour(status: str) -> Any:
    if status == State.DELIVERED.word:
        return "green"
    return "red" if status in _FINAL else "yellow"
