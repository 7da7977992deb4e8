"""`gateway key`: the keys that requests over HTTP carry."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gateway.cli.frame import add_command
from gateway.cli.output import print_json, print_table
from gateway.cli.store import add_group, in_store
from gateway.store import keys

if TYPE_CHECKING:
    from gateway.cli.frame import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command and its actions."""
    actions = add_group(subparsers, "key", "Make and revoke API keys")
    created = add_command(actions, "create", "Print a new key, once: only its hash is kept")
    whose = created.add_mutually_exclusive_group(required=True)
    whose.add_argument("--shop", metavar="ID", help="a key of this shop, for its messages only")
    whose.add_argument("--admin", action="store_true", help="a key for all shops")
    created.set_defaults(run=create)
    revoked = add_command(actions, "revoke", "Make a key invalid for ever")
    revoked.add_argument("label", metavar="LABEL", help="the key's first 10 characters")
    revoked.set_defaults(run=revoke)
    listed = add_command(actions, "list", "List all keys by their labels")
    listed.add_argument("--json", action="store_true", help="print JSON")
    listed.set_defaults(run=list_all)


async def create(args: argparse.Namespace) -> int:
    """Print a new key, and nothing else: `KEY=$(gateway key create --admin)`."""
    print(await in_store(args, lambda c, _: keys.create_key(c, args.shop)))
    return 0


async def revoke(args: argparse.Namespace) -> int:
    """Make a key invalid."""
    await in_store(args, lambda c, _: keys.revoke_key(c, args.label))
    print(f"key {args.label} is revoked")
    return 0


async def list_all(args: argparse.Namespace) -> int:
    """List all keys, revoked ones too."""
    found = await in_store(args, lambda c, _: keys.list_keys(c))
    if args.json:
        print_json(found)
        return 0
    rows = [
        (
            key.label,
            key.shop or "(admin)",
            f"{key.created:%Y-%m-%d}",
            f"{key.revoked:%Y-%m-%d}" if key.revoked else None,
        )
        for key in found
    ]
    print_table(("label", "shop", "created", "revoked"), rows)
    return 0
