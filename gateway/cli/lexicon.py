"""`gateway lexicon`: how words of a shop are said that are written oddly."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gateway.cli.frame import add_command
from gateway.cli.output import print_json, print_table, visible
from gateway.cli.store import add_group, in_store
from gateway.store import lexicon
from gateway.store.shops import get_shop

if TYPE_CHECKING:
    import asyncpg

    from config.settings import Settings
    from gateway.cli.frame import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command and its actions."""
    actions = add_group(subparsers, "lexicon", "Say how a shop's words are pronounced")
    added = add_command(actions, "set", "Say SPOKEN wherever a message has WRITTEN")
    removed = add_command(actions, "remove", "Say WRITTEN as it is written again")
    listed = add_command(actions, "list", "List what a shop has said otherwise")
    for parser, run in ((added, set_one), (removed, remove), (listed, list_all)):
        parser.add_argument("--shop", metavar="ID", required=True, help="the shop's code")
        parser.set_defaults(run=run)
    for parser in (added, removed):
        parser.add_argument("written", metavar="WRITTEN", help="whole words, as messages have them")
    added.add_argument("spoken", metavar="SPOKEN", help="how they are said: Vair a Wang")
    listed.add_argument("--json", action="store_true", help="print JSON")


async def set_one(args: argparse.Namespace) -> int:
    """Add or change an entry."""
    shop = await in_store(
        args, lambda c, _: lexicon.set_entry(c, args.shop, args.written, args.spoken)
    )
    print(f"shop {shop.code}: {visible(args.written)} is said as {visible(args.spoken)}")
    return 0


async def remove(args: argparse.Namespace) -> int:
    """Remove an entry."""
    shop = await in_store(args, lambda c, _: lexicon.remove_entry(c, args.shop, args.written))
    print(f"shop {shop.code}: {visible(args.written)} is said as it is written")
    return 0


async def list_all(args: argparse.Namespace) -> int:
    """List the entries, by what is written."""

    async def work(connection: asyncpg.Connection, _: Settings) -> dict[str, str]:
        shop = await get_shop(connection, args.shop)
        return await lexicon.read_lexicon(connection, shop.id)

    entries = await in_store(args, work)
    if args.json:
        print_json(entries)
    else:
        print_table(("written", "spoken"), list(entries.items()))
    return 0
