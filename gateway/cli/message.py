"""`gateway message`: one message, and what happened to it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import msgspec

from gateway.api.views import EntryView, MessageView, view_entry, view_message
from gateway.cli.frame import CommandError, add_command
from gateway.cli.output import paint, print_json, print_table, visible
from gateway.cli.store import add_group, in_store
from gateway.dispatch.timeline import compose
from gateway.ids import read, wall_ms
from gateway.store.reading import StoredEvent, StoredMessage, read_due, read_events, read_message

if TYPE_CHECKING:
    import asyncpg

    from config.settings import Settings
    from gateway.cli.frame import Subparsers

_SHOWN = (
    "shop",
    "status",
    "reason",
    "channel",
    "category",
    "from",
    "to",
    "text",
    "segments",
    "reference",
    "source",
    "send_at",
    "expires_at",
    "parent",
)


class Shown(msgspec.Struct):
    """A message with its timeline."""

    message: MessageView
    events: list[EntryView]


def register(subparsers: Subparsers) -> None:
    """Add the command and its actions."""
    actions = add_group(subparsers, "message", "Show what happened to a message")
    parser = add_command(actions, "show", "Show a message and its timeline")
    parser.add_argument("id", metavar="ID", help="msg_ and 13 characters")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=show)


async def show(args: argparse.Namespace) -> int:
    """Print the message a field a line, and its timeline below."""
    id_ = read("msg", args.id)
    if id_ is None:
        raise CommandError(f"{args.id!r:.60} is no id of a message", "an id begins with `msg_`")

    async def work(
        connection: asyncpg.Connection, _: Settings
    ) -> tuple[StoredMessage, int | None, list[StoredEvent]]:
        message = await read_message(connection, id_, None)
        if message is None:
            raise CommandError(f"there is no message {args.id}")
        due_ms = await read_due(connection, message)
        return message, due_ms, await read_events(connection, id_)

    message, due_ms, events = await in_store(args, work)
    view = view_message(message, wall_ms(), due_ms)
    entries = [view_entry(entry) for entry in compose(message, events)]
    if args.json:
        print_json(Shown(view, entries))
    else:
        _print(view, entries)
    return 0


def _print(view: MessageView, entries: list[EntryView]) -> None:
    print(paint(view.id, "bold"))
    fields = msgspec.to_builtins(view)
    for name in _SHOWN:
        if name in fields:
            print(f"{name.replace('_', ' '):10}  {visible(str(fields[name]))}")
    if view.where is not None:
        due = f", due {view.where.due_at}" if view.where.due_at else ""
        print(f"{'where':10}  {view.where.place} of {view.where.route}{due}")
    print()
    print_table(("at", "what happened"), [(entry.at, entry.text) for entry in entries])
