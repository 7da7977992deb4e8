"""What subcommands share: how they are registered, find their settings, and fail."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from config.loading import SettingsError, load
from config.settings import Settings

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


class CommandError(Exception):
    """A command that could not do its work: what went wrong, and what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def add_command(subparsers: Subparsers, name: str, summary: str) -> argparse.ArgumentParser:
    """Register a subcommand with `--config`; `summary` is its line in the help."""
    parser = subparsers.add_parser(name, help=summary, description=f"{summary}.")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings file; else GATEWAY_CONFIG, else the defaults",
    )
    return parser


def config_path(args: argparse.Namespace) -> Path | None:
    """The settings file that the command line or the environment names."""
    named: Path | None = args.config
    if named is None and (variable := os.environ.get("GATEWAY_CONFIG")):
        return Path(variable)
    return named


def load_settings(args: argparse.Namespace) -> Settings:
    """The settings of this run. Raises CommandError that lists every fault."""
    try:
        return load(config_path(args), os.environ)
    except SettingsError as error:
        message = f"the settings have faults\n{error}"
        raise CommandError(message, "mend them, then try again") from None
