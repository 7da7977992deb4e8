"""`gateway trunk`: the ways to the telephone network, as the nodes that run them last told; and a
call to try one.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gateway.cli.frame import CommandError, add_command, load_settings
from gateway.cli.output import paint, print_json, print_table, visible
from gateway.cli.store import add_group, explained, in_store
from gateway.cli.trunk_call import register_call
from gateway.store import trunks
from gateway.store.opening import opened_store

if TYPE_CHECKING:
    import asyncpg

    from config.settings import Settings, TrunkSettings
    from gateway.cli.frame import Subparsers
    from gateway.cli.output import Colour
    from gateway.store.trunks import TrunkShown

_COLOURS: dict[str, Colour] = {"up": "green", "starting": "yellow", "unregistered": "red"}
_COLUMNS = ("trunk", "state", "since", "registered", "round trip", "calls", "node", "error")
_NEXT = {
    "down": "see that host, port and transport are what the carrier says, that no firewall is in"
    " between, and that the carrier knows our address; options_s = 0 for one that ignores OPTIONS",
    "unregistered": "see that user, password and registrar are what the carrier says",
    "unknown": "see whether its node runs: `gateway serve` with role voice",
    "not run": "start a node with role voice, or let a running one read its settings (SIGHUP)",
}
"""What an operator does about a state."""
_ANSWER_S = 3.0
_CALLS_MAX = 100


def register(subparsers: Subparsers) -> None:
    """Add the command and its actions."""
    actions = add_group(subparsers, "trunk", "Show and try the SIP trunks")
    listed = add_command(actions, "list", "List all trunks")
    listed.set_defaults(run=list_all)
    shown = add_command(actions, "show", "Show one trunk: servers, figures, last errors")
    shown.set_defaults(run=show)
    traced = add_command(actions, "trace", "Draw the last calls of a trunk, message by message")
    traced.add_argument("--calls", type=int, default=5, help="how many (default: 5)")
    traced.set_defaults(run=trace, parser=traced)
    for parser in (listed, shown, traced):
        parser.add_argument("--json", action="store_true", help="print JSON")
    for parser in (shown, traced):
        parser.add_argument("name", metavar="NAME", help="the trunk's name in the settings")
    register_call(actions)


async def list_all(args: argparse.Namespace) -> int:
    """One trunk of a node a line; those that no node runs, too."""
    settings, found = await _read(args, None)
    if args.json:
        print_json([describe(each) for each in found])
        return 0
    known = {each.name for each in found}
    rows = [_row(each) for each in found]
    rows += [
        (trunk.name, "not run", "", "", "", "", "", "")
        for trunk in settings.trunks
        if trunk.name not in known
    ]
    print_table(_COLUMNS, rows)
    return 0


async def show(args: argparse.Namespace) -> int:
    """Everything that is known of one trunk."""
    settings, found = await _read(args, args.name)
    own = _configured(settings, args.name)
    if not found and own is None:
        raise _unknown(args.name)
    if args.json:
        print_json([describe(each) for each in found])
        return 0
    print(f"{paint(args.name, 'bold')}{_way(own)}")
    for each in found:
        _show(each)
    if not found:
        print(f"no node runs it\n  next        {_NEXT['not run']}")
    return 0


async def trace(args: argparse.Namespace) -> int:
    """Ladder diagrams, from every node that runs the trunk."""
    if not 0 < args.calls <= _CALLS_MAX:
        args.parser.error(f"--calls is from 1 to {_CALLS_MAX}")
    settings = load_settings(args)
    with explained(settings):
        async with opened_store(settings.store) as database:
            nodes = [
                each
                for each in await database.run(lambda c: trunks.show_trunks(c, args.name))
                if each.is_fresh
            ]
            if not nodes:
                raise _unknown(args.name) if _configured(settings, args.name) is None else (
                    CommandError(f"no node runs trunk {args.name}", "start one with role voice")
                )
            connection = await database.connect()
            try:
                lines = await _ask(connection, args.name, args.calls, len(nodes))
            finally:
                connection.terminate()
    if args.json:
        print_json(lines)
        return 0
    for line in lines or ["no calls yet"]:
        print(visible(line))
    return 0


async def _ask(connection: asyncpg.Connection, name: str, calls: int, nodes: int) -> list[str]:
    """What the nodes say; those that do not within a few seconds are left out."""
    token = secrets.token_hex(8)
    told: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener(
        trunks.TOLD_CHANNEL, lambda _c, _p, _ch, payload: told.put_nowait(str(payload))
    )
    wanted = f"ladders {name} {calls} {token}"
    await connection.execute("SELECT pg_notify($1, $2)", trunks.CHANNEL, wanted)
    lines: dict[str, list[str]] = {}
    heard = 0
    try:
        async with asyncio.timeout(_ANSWER_S):
            while heard < nodes:
                head, *more = (await told.get()).split("\n")
                if head.startswith(f"{token} "):
                    _, node, what = head.split(" ")
                    lines.setdefault(node, []).extend(more)
                    heard += what == "end"
    except TimeoutError:
        if not heard:
            hint = "see whether it is busy, and ask again"
            raise CommandError(f"no node answered for trunk {name}", hint) from None
    told_by = [each for each in lines.values() if each]
    return [line for each in told_by for line in ("", *each)][1:]


async def _read(
    args: argparse.Namespace, name: str | None
) -> tuple[Settings, list[TrunkShown]]:
    async def work(
        connection: asyncpg.Connection, settings: Settings
    ) -> tuple[Settings, list[TrunkShown]]:
        return settings, await trunks.show_trunks(connection, name)

    return await in_store(args, work)


def describe(trunk: TrunkShown) -> dict[str, Any]:
    """A trunk as JSON has it."""
    return {
        "name": trunk.name,
        "node": trunk.node,
        "state": trunk.state,
        "since": trunk.since,
        "error": trunk.error,
        "updated": trunk.updated,
        **trunk.figures,
    }


def _row(trunk: TrunkShown) -> tuple[object, ...]:
    figures = trunk.figures
    trips = [each["round_trip_ms"] for each in figures["servers"] if each["round_trip_ms"]]
    since = figures["registered_since"]
    return (
        trunk.name,
        trunk.state,
        _clock(trunk.since),
        _moment(since) if since else "",
        f"{min(trips):g} ms" if trips else "",
        f"{figures['calls']}/{figures['max_calls']}",
        trunk.node or "",
        trunk.error,
    )


def _show(trunk: TrunkShown) -> None:
    figures = trunk.figures
    state = paint(trunk.state, _COLOURS.get(trunk.state, "red"))
    print(f"\n{state} since {_clock(trunk.since)}, by node {trunk.node or '?'}")
    if trunk.error:
        print(f"  error       {visible(trunk.error)}")
    if (at := figures.get("registering_at")) is not None:
        print(f"  registers   again at {_moment(at)}")
    if (words := _NEXT.get(trunk.state)) is not None:
        print(f"  next        {words}")
    if figures["registered_since"]:
        for_s = f"{figures['registered_for_s']:.0f} s at a time"
        print(f"  registered  since {_moment(figures['registered_since'])}, {for_s}")
    for server in figures["servers"]:
        print(f"  server      {visible(_server(server))}")
    print(f"  calls       {figures['calls']} of {figures['max_calls']} now")
    print(
        f"              {figures['out']:,} out, {figures['in']:,} in, {figures['answered']:,}"
        f" answered, {figures['failed']:,} failed, {figures['refused']:,} over the limits"
    )
    if figures["misdirected"] or figures["unreadable"]:
        print(
            f"  messages    {figures['unreadable']:,} unreadable,"
            f" {figures['misdirected']:,} to addresses outside of networks, not sent"
        )
    if figures.get("strangers"):
        print(
            f"  strangers   {figures['strangers']:,} times somebody outside of all trunks' networks"
            f" got no answer, the last {visible(figures['last_stranger'])}"
        )
    for at, error in reversed(figures["errors"]):
        print(f"  {_moment(at)}  {visible(error)}")


def _way(own: TrunkSettings | None) -> str:
    """Where a trunk leads, as the settings say."""
    if own is None:
        return ""
    host, port = (own.proxy, own.proxy_port) if own.proxy else (own.host, own.port)
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    return f" ({own.transport} to {place})"


def _server(server: dict[str, Any]) -> str:
    alive = {True: "answers", False: "does not answer", None: "not asked yet"}[server["is_up"]]
    trip = f" in {server['round_trip_ms']:g} ms" if server["round_trip_ms"] else ""
    name = f" ({server['name']})" if server["name"] else ""
    error = f": {server['error']}" if server["error"] else ""
    return f"{server['address']} {server['transport']}{name} {alive}{trip}{error}"


def _configured(settings: Settings, name: str) -> TrunkSettings | None:
    return next((each for each in settings.trunks if each.name == name), None)


def _unknown(name: str) -> CommandError:
    return CommandError(f"there is no trunk {name}", "`gateway trunk list` names them")


def _moment(at: float) -> str:
    return _clock(datetime.fromtimestamp(at).astimezone())


def _clock(moment: datetime) -> str:
    local = moment.astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M}"
