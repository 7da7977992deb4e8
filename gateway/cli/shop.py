"""`gateway shop`: the shops that messages are sent for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.cli.frame import add_command
from gateway.cli.output import print_json, print_table, visible
from gateway.cli.store import add_group, in_store
from gateway.store import shops
from gateway.store.records import Shop
from gateway.voice.voices import require_speakable

if TYPE_CHECKING:
    import asyncpg

    from config.settings import Settings
    from gateway.cli.frame import Subparsers

_OPTIONS = {
    "name": ("NAME", "what people call the shop"),
    "main_phone": ("PHONE", "where calls to its SMS number are transferred"),
    "contact_email": ("EMAIL", "where customers' texts are forwarded"),
    "time_zone": ("ZONE", "IANA name: America/New_York"),
    "support_until": ("DATE", "last active day, 2030-12-31; without it there is no end"),
    "method": ("METHOD", "sms or email; without it texts, once a number is assigned"),
    "language": ("LANGUAGE", "en, es or fr; without it what [speech] language says"),
    "voice": ("VOICE", "as `gateway voices` lists it: pico:en-GB"),
    "engines": ("ENGINES", "the order in which engines are tried: piper,pico"),
    "allowed": ("ENGINE", "engines on other machines that may have its texts, all of them: gtts"),
}
_FLAGS = {"allowed": "--allow-engine"}
"""Options that are not called like their field."""


def register(subparsers: Subparsers) -> None:
    """Add the command and its actions."""
    actions = add_group(subparsers, "shop", "Add, change, hold and show shops")
    _register_changes(actions)
    shown = add_command(actions, "show", "Show one shop")
    listed = add_command(actions, "list", "List all shops")
    for parser, run in ((shown, show), (listed, list_all)):
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(run=run)
    held = add_command(actions, "hold", "Keep a shop's messages waiting")
    held.set_defaults(run=hold)
    released = add_command(actions, "release", "Send a shop's messages again")
    released.set_defaults(run=release)
    for parser in (shown, held, released):
        _add_code(parser)


def _register_changes(actions: Subparsers) -> None:
    added = add_command(actions, "add", "Add a shop")
    changed = add_command(actions, "set", 'Change a shop; "" clears what need not be')
    for parser, run in ((added, add), (changed, change)):
        _add_code(parser)
        for field, (metavar, text) in _OPTIONS.items():
            is_required = parser is added and field in shops.REQUIRED
            parser.add_argument(
                _flag(field), dest=field, metavar=metavar, help=text, required=is_required
            )
        parser.set_defaults(run=run, parser=parser)


def _flag(field: str) -> str:
    return _FLAGS.get(field) or "--" + field.replace("_", "-")


def _add_code(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", metavar="ID", help="the shop's code: a-z, 0-9 and -")


def _given(args: argparse.Namespace) -> dict[str, str | None]:
    """The fields that the command line names."""
    return {field: value for field in _OPTIONS if (value := getattr(args, field)) is not None}


async def add(args: argparse.Namespace) -> int:
    """Add a shop."""
    values = {"code": args.code, **_given(args)}

    async def work(connection: asyncpg.Connection, settings: Settings) -> Shop:
        shop = await shops.add_shop(connection, values, settings.sms, settings.speech)
        return _speakable(shop, values, settings)

    shop = await in_store(args, work)
    print(f"added shop {shop.code}")
    return 0


async def change(args: argparse.Namespace) -> int:
    """Change the fields that are named."""
    values = _given(args)
    if not values:
        args.parser.error(f"name what to change: {', '.join(map(_flag, _OPTIONS))}")

    async def work(connection: asyncpg.Connection, settings: Settings) -> Shop:
        sms, speech = settings.sms, settings.speech
        shop = await shops.set_shop(connection, args.code, values, sms, speech)
        return _speakable(shop, values, settings)

    shop = await in_store(args, work)
    print(f"changed shop {shop.code}")
    return 0


def _speakable(shop: Shop, values: Mapping[str, str | None], settings: Settings) -> Shop:
    """The shop. Raises Refusal, which undoes all, where it could not be spoken as it is to be."""
    if any(values.get(field) is not None for field in shops.SPOKEN):
        require_speakable(shop, settings.speech)
    return shop


async def hold(args: argparse.Namespace) -> int:
    """Keep a shop's messages waiting."""
    shop = await in_store(args, lambda c, _: shops.hold_shop(c, args.code))
    print(f"shop {shop.code} is held: its messages wait")
    return 0


async def release(args: argparse.Namespace) -> int:
    """Send a shop's messages again."""
    shop = await in_store(args, lambda c, _: shops.release_shop(c, args.code))
    print(f"shop {shop.code} is released")
    return 0


async def show(args: argparse.Namespace) -> int:
    """Show one shop, a field a line."""
    record = describe(await in_store(args, lambda c, _: shops.get_shop(c, args.code)))
    if args.json:
        print_json(record)
        return 0
    width = max(map(len, record))
    for field, value in record.items():
        print(f"{field.replace('_', ' '):{width}}  {_cell(value)}".rstrip())
    return 0


async def list_all(args: argparse.Namespace) -> int:
    """List all shops, one a line."""
    records = [describe(shop) for shop in await in_store(args, lambda c, _: shops.list_shops(c))]
    if args.json:
        print_json(records)
        return 0
    columns = ("code", "name", "main_phone", "contact_email", "time_zone", "numbers", "is_held")
    rows = [[_cell(record[column]) for column in columns] for record in records]
    print_table([column.replace("_", " ") for column in columns], rows)
    return 0


def describe(shop: Shop) -> dict[str, Any]:
    """A shop as JSON has it, and as people read it."""
    return {
        "code": shop.code,
        "name": shop.name,
        "main_phone": shop.main_phone,
        "contact_email": shop.contact_email,
        "time_zone": shop.time_zone,
        "support_until": shop.support_until,
        "method": shop.method,
        "is_held": shop.is_held,
        "language": shop.speech.language,
        "voice": shop.speech.voice,
        "engines": list(shop.speech.engines),
        "allowed_engines": list(shop.speech.allowed),
        "numbers": [
            {"number": number.number, "link": number.route_name} for number in shop.numbers
        ],
    }


def _cell(value: str | bool | Sequence[str | dict[str, str]] | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_item, value))
    return "" if value is None else visible(str(value))


def _item(value: str | dict[str, str]) -> str:
    return value if isinstance(value, str) else f"{value['number']} by {value['link']}"
