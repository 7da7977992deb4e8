"""`gateway check`: every fault of the settings, with its file and line, in one run."""

from __future__ import annotations

import argparse
import os
import pwd
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from config.breach import Breach
from config.faults import KeyPath
from config.loading import Fault, in_order, load, survey
from config.routes import RouteSettings, effective_routes
from config.settings import Settings
from gateway.channels.checks import link_breaches, link_hints
from gateway.cli.frame import add_command, config_path
from gateway.cli.output import paint, print_json, print_table
from gateway.cli.store import database_by_url
from gateway.cli.tls_files import listener_breaches
from gateway.dispatch.choosing import Routing
from gateway.voice.checks import trunk_breaches, trunk_hints
from gateway.voice.engines import speech_breaches

if TYPE_CHECKING:
    from gateway.cli.frame import Subparsers

Check = Callable[[Settings], Awaitable[Iterable[Breach]]]
"""Looks at what the settings point to: files, users, databases. Where a key has a fault it sees the
key's default, and what it says of that key is not told.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "check", "Name every fault of the settings")
    parser.add_argument("--json", action="store_true", help="print the faults as JSON")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    """Print the faults, or that there are none."""
    path = config_path(args)
    faults = await find_faults(path)
    if args.json:
        print_json([_record(fault) for fault in faults])
    else:
        for fault in faults:
            print(fault)
        print(_verdict(path, len(faults)))
        if not faults:
            settings = load(path, os.environ)
            print_routes(settings)
            for hint in [*link_hints(settings), *await trunk_hints(settings)]:
                print(paint(hint, "yellow"))
    return 1 if faults else 0


async def find_faults(path: Path | None) -> list[Fault]:
    """Faults of the settings themselves and of what they point to, in the order of the file."""
    found = survey(path, os.environ)
    faults = list(found.faults)
    for about, check in CHECKS:
        if not found.has_fault(about):
            faults += [
                found.places.fault(breach.path, breach.problem, breach.hint)
                for breach in await check(found.settings)
                if not found.has_fault(breach.path, *breach.others)
            ]
    return in_order(faults)


def print_routes(settings: Settings) -> None:
    """Which route each kind of message takes, where the settings have routes, and which of them
    none can.
    """
    if not settings.routes:
        return
    routes = effective_routes(settings.routes, settings.links)
    routing = Routing(routes)
    links = {route.name: _links(route) for route in routes}
    rows = [
        (home, words, route, links.get(route, "")) for home, words, route in routing.table()
    ]
    print()
    print_table(("numbers of", "messages", "route", "links"), rows)
    for order, reason in routing.unreachable():
        print(paint(f"no message takes route {routes[order].name}: {reason}", "yellow"))


def _links(route: RouteSettings) -> str:
    """`acme 3, beta 1, standby gamma`: the links of a route with their weights."""
    members = sorted(route.members, key=lambda member: member.standby)
    lowest = min((member.standby for member in members), default=0)
    words = []
    for member in members:
        peers = [each for each in members if each.standby == member.standby]
        weight = f" {member.weight}" if len(peers) > 1 else ""
        words.append(f"{'standby ' if member.standby > lowest else ''}{member.link}{weight}")
    return ", ".join(words)


async def tls_files(settings: Settings) -> list[Breach]:
    """The files for TLS of our listeners are there, and serve."""
    return listener_breaches(settings)


async def database_user(settings: Settings) -> list[Breach]:
    """The user for the embedded database exists."""
    name = settings.store.os_user
    try:
        if name:
            pwd.getpwnam(name)
    except KeyError:
        hint = "create it, or name another"
        return [Breach(("store", "os_user"), f'no user "{name}" on this machine', hint)]
    return []


async def trunks(settings: Settings) -> list[Breach]:
    """The files that trunks name serve."""
    return list(trunk_breaches(settings))


async def links(settings: Settings) -> list[Breach]:
    """The files and statuses that links name serve."""
    return link_breaches(settings)


async def engines(settings: Settings) -> list[Breach]:
    """The engines that speak are installed, and have their voices."""
    return speech_breaches(settings)


CHECKS: tuple[tuple[KeyPath, Check], ...] = (
    (("http",), tls_files),
    (("links",), links),
    (("trunks",), trunks),
    (("speech", "engines"), engines),
    (("store", "os_user"), database_user),
    (("store", "database_url"), database_by_url),
)
"""Each with the key without which it has nothing to look at."""


def _record(fault: Fault) -> dict[str, object]:
    return {
        "file": fault.source or None,
        "line": fault.line,
        "where": fault.where,
        "problem": fault.problem,
        "hint": fault.hint or None,
    }


def _verdict(path: Path | None, count: int) -> str:
    of_what = "the defaults and the environment" if path is None else str(path)
    if count == 0:
        return paint(f"settings are in order: {of_what}", "green")
    return paint(f"{count} {'fault' if count == 1 else 'faults'}: {of_what}", "red")
