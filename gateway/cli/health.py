"""`gateway health`: whether the gateway of these settings answers; its exit status says it too."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gateway.cli.client import address, connected
from gateway.cli.frame import CommandError, add_command, load_settings

if TYPE_CHECKING:
    from gateway.cli.frame import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "health", "Ask the running gateway whether it is well")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    """Exit 0 if the gateway answers, 1 if not. Whether it can accept messages is told besides."""
    settings = load_settings(args)
    async with connected(settings, is_ops=True) as client:
        status, _ = await client.call("GET", "/healthz")
        if status != 200:
            raise CommandError(f"the gateway answers {status}", "its log says more")
        is_ready, told = await client.call("GET", "/readyz")
    reasons = told.get("reasons", []) if isinstance(told, dict) else []
    note = "" if is_ready == 200 else f", but not ready: {'; '.join(reasons)}"
    print(f"ok {address(settings, is_ops=True)}{note}")
    return 0
