"""`gateway voices`: the engines and voices that there are, or that a shop may use."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gateway.cli.frame import add_command, load_settings
from gateway.cli.output import paint, print_json, print_table, visible
from gateway.cli.store import in_store
from gateway.store.shops import get_shop
from gateway.voice.engines import build
from gateway.voice.voices import EngineReport, report

if TYPE_CHECKING:
    from gateway.cli.frame import Subparsers
    from gateway.store.records import Shop


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "voices", "List the voices that messages can be spoken with")
    parser.add_argument("--shop", metavar="ID", help="those that this shop may use")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    """List voices, then engines that have none to offer and why."""
    speech = load_settings(args).speech
    shop = None
    if args.shop is not None:
        shop = await in_store(args, lambda c, _: get_shop(c, args.shop))
    found = report(build(speech, None, None), speech, None if shop is None else shop.speech)
    if args.json:
        print_json(found)
        return 0
    engines = {engine.name: engine for engine in found.engines}
    rows = [
        (line.voice, line.language, line.description, _where(engines[line.engine]))
        for line in found.voices
    ]
    print_table(("voice", "language", "description", "the text"), rows)
    for engine in found.engines:
        if words := _trouble(engine, shop):
            print(paint(visible(words), "yellow"))
    return 0


def _where(engine: EngineReport) -> str:
    return "goes to another machine" if engine.is_remote else "stays on this machine"


def _trouble(engine: EngineReport, shop: Shop | None) -> str:
    if engine.problem:
        return engine.problem
    if shop is not None and not engine.is_allowed:
        name, names = engine.name, ",".join([*shop.speech.allowed, engine.name])
        allow = f"gateway shop set {shop.code} --allow-engine {names}"
        return f"{name} may not have this shop's texts; if it agrees: `{allow}`"
    return ""
