"""What commands that work on the store share: opening it, and telling people what was refused."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from config.breach import Breach
from gateway.cli.frame import CommandError, load_settings
from gateway.errors import GatewayError, Refusal, StoreDown
from gateway.store.inspection import inspect
from gateway.store.opening import attach, opened_store

if TYPE_CHECKING:
    import asyncpg

    from config.settings import Settings
    from gateway.cli.frame import Subparsers

T = TypeVar("T")

_IS_IT_UP = "see that the server of database_url in [store] runs, then try again"


def add_group(subparsers: Subparsers, name: str, summary: str) -> Subparsers:
    """Register a command that has actions (`gateway shop add`), and return where they go."""
    parser = subparsers.add_parser(name, help=summary, description=f"{summary}.")
    return parser.add_subparsers(title="actions", metavar="ACTION", required=True)


async def in_store(
    args: argparse.Namespace, work: Callable[[asyncpg.Connection, Settings], Awaitable[T]]
) -> T:
    """Do `work` in one transaction on the store of the settings, beside a running server or alone.

    Raises CommandError for whatever is refused.
    """
    settings = load_settings(args)
    with explained(settings):
        async with opened_store(settings.store) as database:
            return await database.run(lambda connection: work(connection, settings))


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Turn what the gateway raises into words for the terminal."""
    try:
        yield
    except Refusal as refusal:
        raise _explain(refusal) from refusal
    except StoreDown as error:
        is_remote = bool(settings.store.database_url)
        raise CommandError(str(error), _IS_IT_UP if is_remote else "") from error
    except GatewayError as error:
        raise CommandError(str(error)) from error


def _explain(refusal: Refusal) -> CommandError:
    """A single fault on one line, several on one each."""
    faults = refusal.faults
    if len(faults) < 2:
        return CommandError(refusal.detail, refusal.hint or "".join(f.hint for f in faults))
    lines = [f"  {fault.field} {fault.problem}: {fault.hint}" for fault in faults]
    return CommandError("\n".join([f"{len(faults)} faults", *lines]), refusal.hint)


async def database_by_url(settings: Settings) -> list[Breach]:
    """The database that `database_url` names can be reached and is fit to keep messages.

    The embedded one is made by us, and is.
    """
    if not settings.store.database_url:
        return []
    where = ("store", "database_url")
    database, release = attach(settings.store)
    try:
        return [Breach(where, found.problem, found.hint) for found in await inspect(database)]
    except GatewayError as error:
        return [Breach(where, str(error), "see that the server runs and lets this user in")]
    finally:
        release()
