"""`gateway queue`: what waits, for how long and why, read from the store."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gateway.cli.frame import add_command
from gateway.cli.output import print_json, print_table, visible
from gateway.cli.store import in_store
from gateway.dispatch.depths import take_sample
from gateway.dispatch.queue_report import RouteReport, describe, report, span

if TYPE_CHECKING:
    from gateway.cli.frame import Subparsers

SHOPS_SHOWN = 10


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "queue", "Show what waits, for how long and why")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    """Print lanes and shops that have something waiting, and one sentence a route."""
    snapshot = await in_store(args, lambda connection, _: take_sample(connection))
    told = report(snapshot)
    if args.json:
        print_json(told)
        return 0
    lanes = [row for route in told.routes for row in _lanes(route)]
    if lanes:
        print_table(("route", "lane", "waiting", "oldest"), lanes)
        print()
    shops = [row for route in told.routes for row in _shops(route)]
    if shops:
        print_table(("route", "shop", "waiting", "later", "held", "oldest"), shops)
        print()
    for line in describe(snapshot):
        print(visible(line))
    if not told.routes:
        print("there is no route yet: assign a number, or start the gateway with a link")
    return 0


def _lanes(route: RouteReport) -> list[tuple[str, ...]]:
    return [
        (route.route, lane.lane, f"{lane.waiting:,}", span(lane.oldest_s)) for lane in route.lanes
    ]


def _shops(route: RouteReport) -> list[tuple[str, ...]]:
    return [
        (
            route.route,
            shop.shop,
            f"{shop.waiting:,}",
            f"{shop.scheduled:,}",
            f"{shop.held:,}",
            "" if shop.oldest_s is None else span(shop.oldest_s),
        )
        for shop in route.shops[:SHOPS_SHOWN]
    ]
