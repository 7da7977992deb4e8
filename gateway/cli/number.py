"""`gateway number`: which shop a number belongs to, and the route that its texts leave by."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from config.routes import effective_routes
from gateway.cli.frame import CommandError, add_command
from gateway.cli.output import print_json, print_table
from gateway.cli.store import add_group, in_store
from gateway.dispatch.network import SMPP
from gateway.store import numbers

if TYPE_CHECKING:
    import asyncpg

    from config.settings import Settings
    from gateway.cli.frame import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command and its actions."""
    actions = add_group(subparsers, "number", "Assign numbers to shops")
    assigned = add_command(actions, "assign", "Give a number to a shop")
    assigned.add_argument("--shop", metavar="ID", required=True, help="the shop's code")
    assigned.add_argument(
        "--link", metavar="LINK", required=True, help="a link or route: its texts' way out"
    )
    assigned.add_argument(
        "--campaign", metavar="ID", help="the 10DLC campaign that the number is registered for"
    )
    assigned.set_defaults(run=assign)
    released = add_command(actions, "release", "Take a number from its shop")
    released.set_defaults(run=release)
    for parser in (assigned, released):
        parser.add_argument("number", metavar="NUMBER", help="+12125550123, or a short code")
    listed = add_command(actions, "list", "List the numbers that are assigned")
    listed.add_argument("--json", action="store_true", help="print JSON")
    listed.set_defaults(run=list_all)


async def assign(args: argparse.Namespace) -> int:
    """Give a number to a shop."""

    async def work(connection: asyncpg.Connection, settings: Settings) -> numbers.Assignment:
        known = {each.name for each in effective_routes(settings.routes, settings.links)}
        known |= {link.name for link in settings.links}
        known |= await numbers.running_routes(connection)
        if args.link not in known:
            names = ", ".join(sorted(known))
            hint = f"there are: {names}" if names else "add one to the settings, under [[links]]"
            raise CommandError(f"there is no link or route {args.link!r}", hint)
        return await numbers.assign_number(
            connection, args.number, args.shop, args.link, SMPP, settings.sms, args.campaign
        )

    done = await in_store(args, work)
    registered = f", registered for campaign {done.campaign}" if done.campaign else ""
    print(f"{done.number} is assigned to shop {done.shop}, by {done.route_name}{registered}")
    return 0


async def release(args: argparse.Namespace) -> int:
    """Take a number from its shop."""
    number = await in_store(
        args, lambda c, settings: numbers.release_number(c, args.number, settings.sms)
    )
    print(f"{number} is released")
    return 0


def describe(assignment: numbers.Assignment) -> dict[str, Any]:
    """A number that is assigned, as JSON has it."""
    return {
        "number": assignment.number,
        "shop": assignment.shop,
        "link": assignment.route_name,
        "since": assignment.since,
        "campaign": assignment.campaign,
    }


async def list_all(args: argparse.Namespace) -> int:
    """List the numbers that are assigned now."""
    found = await in_store(args, lambda c, _: numbers.list_numbers(c))
    if args.json:
        print_json([describe(assignment) for assignment in found])
    else:
        rows = [
            (a.number, a.shop, a.route_name, f"{a.since:%Y-%m-%d}", a.campaign or "") for a in found
        ]
        print_table(("number", "shop", "link", "since", "campaign"), rows)
    return 0
