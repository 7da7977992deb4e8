"""`gateway serve`: the gateway itself, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from config.loading import load_with_places
from gateway.app import Gateway
from gateway.cli.frame import CommandError, add_command, config_path, load_settings
from gateway.errors import GatewayError
from gateway.observe.logs import set_up_logging
from gateway.roles import ROLES, check_roles
from gateway.sandbox.installation import Sandbox
from gateway.voice.realtime import run_ahead

if TYPE_CHECKING:
    from config.places import Places
    from config.settings import Settings
    from gateway.cli.frame import Subparsers

log = logging.getLogger(__name__)


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "serve", "Run the gateway")
    parser.add_argument(
        "--roles",
        default=",".join(ROLES),
        metavar="ROLES",
        help=f"what this process does, of {','.join(ROLES)} (default: all)",
    )
    parser.add_argument(
        "--sandbox", action="store_true", help="with a simulated carrier and mail host on loopback"
    )
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; a second one ends at once."""
    settings = load_settings(args)
    set_up_logging(settings.log)
    async with contextlib.AsyncExitStack() as stack:
        sandbox = Sandbox(settings)
        if args.sandbox or settings.sandbox.is_on:
            settings = await _began(stack, sandbox)

        def read() -> tuple[Settings, Places]:
            again, places = load_with_places(config_path(args), os.environ)
            return sandbox.laid_over(again), places

        try:
            gateway = Gateway(settings, check_roles(args.roles), read)
        except GatewayError as error:
            raise CommandError(str(error), "see gateway serve --help") from error
        return await serve(gateway)


async def _began(stack: contextlib.AsyncExitStack, sandbox: Sandbox) -> Settings:
    """The settings with the simulated peers, which run till the stack ends. Raises CommandError."""
    try:
        return await stack.enter_async_context(sandbox)
    except GatewayError as error:
        raise CommandError(str(error)) from error


def _spare_the_collector() -> None:
    """What was made at the start stays; what a request makes has no cycles and goes by itself.

    Looked at after every 700 objects, as is the default, a batch's drafts took 7 % of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _let_calls_run_ahead(gateway: Gateway) -> None:
    """For a process of calls alone, and once it serves: its start uses a processor for long."""
    is_wanted = gateway.roles == ("voice",) and gateway.settings.voice.realtime
    if is_wanted and gateway.voice is not None:
        log.info("calls run %s", "ahead of others" if run_ahead() else "at ordinary priority")


async def serve(
    gateway: Gateway,
    *,
    began: Callable[[], Awaitable[None]] | None = None,
    ended: asyncio.Event | None = None,
) -> int:
    """Start, say so on standard output, and stop in order when told by a signal or by `ended`.

    `began` is called once the gateway accepts, instead of saying so; its failure ends it all.
    """
    told = ended or asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if told.is_set():
            os._exit(1)
        log.info("told to end: what is under way is finished; a second signal ends at once")
        told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload_soon)
    try:
        await gateway.start()
    except GatewayError as error:
        await gateway.abandon()
        raise CommandError(str(error), "gateway check tells more") from error
    _spare_the_collector()
    _let_calls_run_ahead(gateway)
    story: asyncio.Future[None] | None = None
    if began is None:
        print(f"ready {gateway.url}".rstrip(), flush=True)
    else:
        story = asyncio.ensure_future(began())
        story.add_done_callback(lambda done: told.set() if done.exception() else None)
    waits = [asyncio.create_task(event.wait()) for event in (told, gateway.failed)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await gateway.stop()
    if story is not None and story.done():
        story.result()
    return 1 if gateway.failed.is_set() else 0
