"""`gateway link`: the ways out, as whichever node runs them last told."""

from __future__ import annotations

import argparse
import asyncio
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gateway.cli.frame import CommandError, add_command, load_settings
from gateway.cli.output import paint, print_json, print_table, visible
from gateway.cli.store import add_group, explained, in_store
from gateway.store import links
from gateway.store.opening import opened_store
from protocols.smpp.tlv import congestion_words

if TYPE_CHECKING:
    from gateway.cli.frame import Subparsers
    from gateway.cli.output import Colour
    from gateway.store.links import BindShown, LinkShown

_COLOURS: dict[str, Colour] = {
    "up": "green",
    "connecting": "yellow",
    "throttled": "yellow",
    "capped": "yellow",
    "stopped": "blue",
}
_COLUMNS = (
    *("link", "bind", "state", "since", "window"),
    *("a second", "round trip", "node", "error"),
)
_SECONDS_MAX = 3_600.0
_LINES_MAX = 200


def register(subparsers: Subparsers) -> None:
    """Add the command and its actions."""
    actions = add_group(subparsers, "link", "Show and steer the links to carriers")
    listed = add_command(actions, "list", "List all links, a bind a line")
    shown = add_command(actions, "show", "Show one link: figures, round trips, last errors")
    for parser, run in ((listed, list_all), (shown, show)):
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(run=run)
    stopped = add_command(actions, "stop", "Let a link rest on all nodes, also over restarts")
    stopped.set_defaults(run=stop)
    started = add_command(actions, "start", "Let a link go on")
    started.set_defaults(run=start)
    traced = add_command(actions, "trace", "Print a link's PDUs for a while, without texts")
    traced.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    traced.add_argument(
        "--rate", type=int, default=20, help="PDUs a second (default: 20); others are counted"
    )
    traced.set_defaults(run=trace, parser=traced)
    for parser in (shown, stopped, started, traced):
        parser.add_argument("name", metavar="NAME", help="the link's name in the settings")


async def list_all(args: argparse.Namespace) -> int:
    """One bind a line."""
    found = await in_store(args, lambda c, _: links.show_links(c))
    if args.json:
        print_json([describe(link) for link in found])
        return 0
    rows: list[tuple[object, ...]] = []
    for link in found:
        rows += [_row(link, bind) for bind in link.binds]
        if not link.binds:
            rows.append((link.name, "", "stopped" if link.is_stopped else "not run yet"))
    print_table(_COLUMNS, [(*row, *[""] * (len(_COLUMNS) - len(row))) for row in rows])
    return 0


def _row(link: LinkShown, bind: BindShown) -> tuple[object, ...]:
    return (
        link.name,
        bind.bind + 1,
        bind.state,
        _clock(bind.since),
        _window(bind),
        f"{bind.rate:,.0f}",
        _trip(bind),
        bind.node or "",
        bind.error or "",
    )


async def show(args: argparse.Namespace) -> int:
    """Everything that is known of one link."""
    (link,) = await in_store(args, lambda c, _: links.show_links(c, args.name))
    if args.json:
        print_json(describe(link))
        return 0
    told = ", told to rest: `gateway link start` ends it" if link.is_stopped else ""
    print(f"{paint(link.name, 'bold')} ({link.kind}){told}")
    if link.drawn is not None:
        print(f"daily cap: {link.drawn:,} segments drawn on its last day")
    for bind in link.binds:
        _show_bind(bind)
    if not link.binds:
        print("no node has run it yet")
    return 0


def _show_bind(bind: BindShown) -> None:
    state = paint(bind.state, _COLOURS.get(bind.state, "red"))
    print(f"\nbind {bind.bind + 1}: {state} since {_clock(bind.since)}, by node {bind.node or '?'}")
    if bind.error:
        print(f"  error       {visible(bind.error)}")
    if bind.next_try is not None and bind.state != "up":
        print(f"  next try    {_clock(bind.next_try)}")
    figures = bind.figures
    if not figures:
        return
    refused = ", ".join(f"{count:,} {kind}" for kind, count in figures["refused"].items())
    print(f"  window      {_window(bind)}")
    print(f"  rate        {bind.rate:,.1f} segments a second")
    print(f"  round trip  {_trip(bind) or 'none yet'}")
    if (load := figures.get("load")) is not None:
        print(f"  carrier     {congestion_words(load)}, as it says ({load} of 99)")
    print(f"  accepted    {figures['accepted']:,} segments; refused: {refused or 'none'}")
    print(f"  received    {figures['receipts']:,} receipts, {figures['texts']:,} texts")
    print(f"  bound       {figures['binds']:,} times since the node's start")
    for at, error in reversed(figures["errors"]):
        moment = datetime.fromtimestamp(at).astimezone()
        print(f"  {moment:%m-%d %H:%M:%S}  {visible(error)}")


def _window(bind: BindShown) -> str:
    figures = bind.figures
    return f"{figures['pending']}/{figures['window']}" if "window" in figures else ""


def _trip(bind: BindShown) -> str:
    trip = bind.figures.get("round_trip_ms")
    return f"{trip[0]:g}/{trip[1]:g} ms" if trip else ""


def _clock(moment: datetime) -> str:
    local = moment.astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M}"


def describe(link: LinkShown) -> dict[str, Any]:
    """A link as JSON has it."""
    return {
        "name": link.name,
        "kind": link.kind,
        "is_stopped": link.is_stopped,
        "drawn_of_cap": link.drawn,
        "binds": [
            {
                "bind": bind.bind,
                "node": bind.node,
                "state": bind.state,
                "since": bind.since,
                "error": bind.error,
                "next_try": bind.next_try,
                "rate": round(bind.rate, 1),
                "updated": bind.updated,
                **bind.figures,
            }
            for bind in link.binds
        ],
    }


async def stop(args: argparse.Namespace) -> int:
    """Let it rest."""
    await in_store(args, lambda c, _: links.set_stopped(c, args.name, True))
    print(f"link {args.name} is stopped: what waits for it waits on")
    return 0


async def start(args: argparse.Namespace) -> int:
    """Let it go on."""
    await in_store(args, lambda c, _: links.set_stopped(c, args.name, False))
    print(f"link {args.name} is started")
    return 0


async def trace(args: argparse.Namespace) -> int:
    """Print what nodes tell, until the time is over."""
    if not 0 < args.seconds <= _SECONDS_MAX:
        args.parser.error(f"--seconds is at most {_SECONDS_MAX:g}")
    if not 0 < args.rate <= _LINES_MAX:
        args.parser.error(f"--rate is from 1 to {_LINES_MAX}")
    settings = load_settings(args)
    with explained(settings):
        async with opened_store(settings.store) as database:
            await database.run(lambda c: links.show_links(c, args.name))
            connection = await database.connect()
            try:
                return await _follow(connection, args)
            finally:
                connection.terminate()


async def _follow(connection: Any, args: argparse.Namespace) -> int:
    token = secrets.token_hex(8)
    told: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener(
        links.TRACE_CHANNEL, lambda _c, _p, _ch, payload: told.put_nowait(str(payload))
    )
    wanted = f"trace {args.name} {args.seconds} {args.rate} {token}"
    await connection.execute("SELECT pg_notify($1, $2)", links.CHANNEL, wanted)
    heard = 0
    try:
        async with asyncio.timeout(args.seconds + 1.0):
            while True:
                head, *lines = (await told.get()).split("\n")
                if head != token:
                    continue
                heard += 1
                for line in lines:
                    print(visible(line), flush=True)
    except TimeoutError:
        if not heard:
            raise CommandError(
                f"no node answered for link {args.name}", "see `gateway link show` who runs it"
            ) from None
        return 0
    finally:
        await connection.execute("SELECT pg_notify($1, $2)", links.CHANNEL, f"end {token}")
