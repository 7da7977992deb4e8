"""`gateway esme`: the accounts of the programs and carriers that bind to us over SMPP."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from gateway.cli.frame import CommandError, add_command
from gateway.cli.output import print_json, print_table
from gateway.cli.store import add_group, in_store
from gateway.store import esmes
from gateway.store.esmes import EsmeOptions

if TYPE_CHECKING:
    import asyncpg

    from config.settings import Settings
    from gateway.cli.frame import Subparsers

_KINDS = {1: "receiver", 2: "transmitter", 9: "transceiver"}


def register(subparsers: Subparsers) -> None:
    """Add the command and its actions."""
    actions = add_group(subparsers, "esme", "Let programs and carriers bind to us over SMPP")
    added = add_command(actions, "add", "Add an account and print its password, once")
    whose = added.add_mutually_exclusive_group(required=True)
    whose.add_argument("--shop", metavar="ID", help="the shop whose texts it sends")
    whose.add_argument("--link", metavar="NAME", help="the link that a carrier's binds serve")
    changed = add_command(actions, "set", "Change an account; it holds from the next bind on")
    for parser in (added, changed):
        _add_options(parser)
    shown = add_command(actions, "show", "Show one account, its binds, and what waits for it")
    listed = add_command(actions, "list", "List all accounts")
    renewed = add_command(actions, "password", "Print a new password, and end the account's binds")
    revoked = add_command(actions, "revoke", "Make an account invalid for ever, and end its binds")
    for parser, run in (
        (added, add),
        (changed, change),
        (shown, show),
        (listed, list_all),
        (renewed, password),
        (revoked, revoke),
    ):
        parser.set_defaults(run=run, parser=parser)
        if parser is not listed:
            parser.add_argument("system_id", metavar="SYSTEM_ID", help="at most 15 characters")
    for parser in (shown, listed):
        parser.add_argument("--json", action="store_true", help="print JSON")


def _add_options(parser: argparse.ArgumentParser) -> None:
    """The options of an account; what is left out keeps its value, or gets its default."""
    give = parser.add_argument
    give("--allow", action="append", metavar="CIDR", help='a network it may bind from; "": any')
    give("--binds", type=int, metavar="N", help="binds at the same time (default 2)")
    give("--window", type=int, metavar="N", help="requests without answer on a bind (default 100)")
    give("--rate", type=float, metavar="N", help="submissions a second; 0: no limit (default)")
    give("--category", metavar="C", help="transactional (default) or marketing")
    give("--alphabet", metavar="A", help="what data_coding 0 means: gsm (default) or latin1")
    give("--replies", choices=("yes", "no"), help="whether texts to the shop's numbers go to it")
    give("--outbind", metavar="HOST:PORT", help='where we dial when it has no bind; "": nowhere')


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The options that the command line names."""
    found = {
        field: value
        for field in ("binds", "window", "rate", "category", "alphabet", "outbind")
        if (value := getattr(args, field)) is not None
    }
    if args.allow is not None:
        found["allowed"] = tuple(text for text in args.allow if text)
    if args.replies is not None:
        found["has_replies"] = args.replies == "yes"
    return found


async def add(args: argparse.Namespace) -> int:
    """Print the password of a new account, and nothing else."""
    options = EsmeOptions(**_given(args))

    async def work(connection: asyncpg.Connection, settings: Settings) -> str:
        link = args.link
        if link is not None:
            _require_accepted(settings, link)
        return await esmes.add_esme(
            connection, args.system_id, shop=args.shop, link=link, options=options
        )

    print(await in_store(args, work))
    return 0


def _require_accepted(settings: Settings, name: str) -> None:
    """Refuse a link that no carrier can bind to."""
    kind = next((link.kind for link in settings.links if link.name == name), None)
    if kind is None:
        raise CommandError(f"there is no link {name}", "add it to [[links]] of the settings")
    if kind != "smpp-server":
        hint = 'an account serves a link of kind "smpp-server", which its carrier opens'
        raise CommandError(f"link {name} is one that we dial", hint)


async def change(args: argparse.Namespace) -> int:
    """Change the options that are named."""
    changes = _given(args)
    if not changes:
        args.parser.error("name what to change")
    await in_store(args, lambda c, _: esmes.set_esme(c, args.system_id, changes))
    print(f"changed account {args.system_id}")
    return 0


async def password(args: argparse.Namespace) -> int:
    """Print another password, and nothing else."""
    print(await in_store(args, lambda c, _: esmes.new_password(c, args.system_id)))
    return 0


async def revoke(args: argparse.Namespace) -> int:
    """Make an account invalid."""
    await in_store(args, lambda c, _: esmes.revoke_esme(c, args.system_id))
    print(f"account {args.system_id} is revoked")
    return 0


async def show(args: argparse.Namespace) -> int:
    """Show one account, a field a line."""

    async def work(connection: asyncpg.Connection, _: Settings) -> dict[str, Any]:
        esme = await esmes.get_esme(connection, args.system_id)
        binds, waiting = await esmes.standing(connection, esme)
        for bind in binds:
            bind["kind"] = _KINDS.get(bind["kind"], "")
        return esmes.describe(esme) | {"bound": binds, "waiting": waiting}

    record = await in_store(args, work)
    if args.json:
        print_json(record)
        return 0
    bound = record.pop("bound")
    width = max(map(len, record))
    for field, value in record.items():
        print(f"{field.replace('_', ' '):{width}}  {_cell(value)}".rstrip())
    for bind in bound:
        since = f"{bind['since']:%Y-%m-%d %H:%M:%S}"
        print(f"bound as {bind['kind']} from {bind['address']} on {bind['node']} since {since}")
    return 0


async def list_all(args: argparse.Namespace) -> int:
    """List all accounts, revoked ones too."""
    records = [
        esmes.describe(esme) for esme in await in_store(args, lambda c, _: esmes.list_esmes(c))
    ]
    if args.json:
        print_json(records)
        return 0
    columns = ("system_id", "shop", "link", "binds", "window", "rate", "category", "revoked")
    rows = [[_cell(record[column]) for column in columns] for record in records]
    print_table([column.replace("_", " ") for column in columns], rows)
    return 0


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else f"{value:%Y-%m-%d}" if hasattr(value, "year") else str(value)
