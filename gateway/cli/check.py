"""`gateway check`: every fault of the settings, with its file and line, in one run."""

from __future__ import annotations

import argparse
import os
import pwd
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from config.breach import Breach
from config.loading import Fault, SettingsError, load, load_with_places
from config.routes import RouteSettings, effective_routes
from config.settings import Settings
from gateway.channels.checks import link_breaches
from gateway.cli.frame import add_command, config_path
from gateway.cli.output import paint, print_json, print_table
from gateway.cli.store import database_by_url
from gateway.dispatch.choosing import Routing
from gateway.voice.checks import trunk_breaches, trunk_hints
from gateway.voice.engines import speech_breaches

if TYPE_CHECKING:
    from gateway.cli.frame import Subparsers

Check = Callable[[Settings], Awaitable[Iterable[Breach]]]
"""Looks at what the settings point to: files, users, databases. Runs only on sound settings."""


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
            for hint in await trunk_hints(settings):
                print(paint(hint, "yellow"))
    return 1 if faults else 0


async def find_faults(path: Path | None) -> list[Fault]:
    """Faults of the settings themselves, or if there are none of what they point to."""
    try:
        settings, places = load_with_places(path, os.environ)
    except SettingsError as error:
        return list(error.faults)
    return [
        places.fault(breach.path, breach.problem, breach.hint)
        for check in CHECKS
        for breach in await check(settings)
    ]


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
    """The files for TLS are there and this user may read them."""
    named = {"tls_cert": settings.http.tls_cert, "tls_key": settings.http.tls_key}
    return [
        Breach(("http", key), f"{file} cannot be read", "name a PEM file this user may read")
        for key, file in named.items()
        if file is not None and not os.access(file, os.R_OK)
    ]


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


CHECKS: tuple[Check, ...] = (tls_files, links, trunks, engines, database_user, database_by_url)


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
