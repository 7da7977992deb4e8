"""`gateway say`: hear a message as a call would say it, beside a running server or alone."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.frame import CommandError, add_command, load_settings
from gateway.cli.output import print_json, visible
from gateway.cli.store import explained, in_store
from gateway.errors import Fault, Refusal
from gateway.model import Category
from gateway.store.lexicon import read_lexicon
from gateway.store.records import Shop, ShopSpeech
from gateway.store.shops import get_shop
from gateway.voice.engines import build
from gateway.voice.refusals import told
from gateway.voice.speech import SpeechDesk, spoken_by

if TYPE_CHECKING:
    import asyncpg

    from config.settings import Settings
    from config.speech import SpeechSettings
    from gateway.cli.frame import Subparsers

_CATEGORIES = {each.name.lower(): each for each in (Category.TRANSACTIONAL, Category.MARKETING)}


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "say", "Speak a message into a file, as a call would")
    parser.add_argument("text", metavar="TEXT", help="the message")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="a WAV file to write"
    )
    parser.add_argument("--shop", metavar="ID", help="whose call it is: name, voice, lexicon")
    parser.add_argument("--plain", action="store_true", help="the text alone, not the whole call")
    parser.add_argument(
        "--category", choices=sorted(_CATEGORIES), help="of the call (default: transactional)"
    )
    parser.add_argument(
        "--voicemail", action="store_true", help="what is left when a machine answers"
    )
    parser.add_argument("--engine", metavar="E", help="this engine alone")
    parser.add_argument("--voice", metavar="V", help="as `gateway voices` lists it: pico:en-GB")
    parser.add_argument("--language", choices=("en", "es", "fr"), help="else the shop's")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, parser=parser)


async def run(args: argparse.Namespace) -> int:
    """Speak, write the file, and tell what was said by whom."""
    if args.shop is None and not args.plain:
        args.parser.error("name the --shop whose call it is, or say the text alone with --plain")
    if args.plain and (args.category or args.voicemail):
        args.parser.error("--category and --voicemail are of a call, --plain says the text alone")
    settings = load_settings(args)
    shop: Shop | None = None
    lexicon: dict[str, str] = {}
    if args.shop is not None:
        shop, lexicon = await in_store(args, lambda c, _: _read(c, args.shop))
    with explained(settings):
        _require_possible(args)
        told_of = await _say(args, settings, shop, lexicon)
    if args.json:
        print_json(told_of)
    else:
        _print(told_of)
    return 0


def _require_possible(args: argparse.Namespace) -> None:
    """Raise Refusal for options that cannot be together. A voice names its engine as well."""
    if args.voicemail and args.category == "marketing":
        problem = "of a marketing call has to name a toll-free number to opt out; no shop has one"
        raise _refused("voicemail", problem, "leave it out: this version leaves none")
    if args.voice is None:
        return
    engine, colon, _ = args.voice.partition(":")
    if not (engine and colon):
        hint = "name it as `gateway voices` lists it: pico:en-GB"
        raise _refused("voice", "does not say which engine's voice it is", hint)
    if args.engine not in (None, engine):
        problem = f"is not one of {visible(args.engine)}"
        raise _refused("voice", problem, "leave --engine out: the voice names its engine")
    args.engine = engine


async def _read(connection: asyncpg.Connection, code: str) -> tuple[Shop, dict[str, str]]:
    shop = await get_shop(connection, code)
    return shop, await read_lexicon(connection, shop.id)


async def _say(
    args: argparse.Namespace, settings: Settings, shop: Shop | None, lexicon: dict[str, str]
) -> dict[str, Any]:
    """What was said. Raises Refusal."""
    speech = spoken_by(_allowed(args, settings.speech, shop), args.engine, args.voice)
    language = args.language or speech.language or settings.speech.language
    _require_choice(speech, args, language, settings.speech)
    # In memory: what is said here is heard once, and the folder is the server's.
    desk = SpeechDesk(settings.speech, None)
    try:
        with told(is_operator=True):
            script, words = _words(args, language, shop, lexicon)
            audio = await desk.say(words, language, speech, is_words=True)
    finally:
        await desk.close()
    await asyncio.to_thread(_write, args.output, audio.wav())
    return {
        "file": str(args.output),
        "duration_s": round(audio.duration_s, 2),
        "engine": audio.engine,
        "voice": audio.voice,
        "language": language,
        "script": script,
        "spoken": audio.script,
    }


def _allowed(args: argparse.Namespace, settings: SpeechSettings, shop: Shop | None) -> ShopSpeech:
    """How the shop is spoken. Without one the text is the operator's own, and may go to the
    engine that the operator names.
    """
    if shop is not None:
        return shop.speech
    return ShopSpeech(allowed=() if args.engine is None else (args.engine,))


def _require_choice(
    speech: ShopSpeech, args: argparse.Namespace, language: str, settings: SpeechSettings
) -> None:
    """Raise Refusal where the engine or voice that is named cannot be used."""
    if args.engine is None:
        return
    built = build(settings, None, None)
    engines = {engine.name: engine for engine in built.engines}
    if args.engine not in engines:
        breach = built.faults.get(args.engine)
        problem = breach.problem if breach else "is not in [speech] engines of the settings"
        hint = breach.hint if breach else f"there are: {', '.join(engines)}"
        raise _refused("engine", problem, hint)
    if engines[args.engine].is_remote:
        _require_allowed(speech, args)
    if args.voice is not None:
        fit = [str(v) for v in engines[args.engine].voices if v.language == language]
        if args.voice not in fit:
            problem = f"is no voice that reads {language!r} here"
            there_are = ", ".join(fit) or "none"
            hint = f"there are: {there_are}; --language asks for another language"
            raise _refused("voice", problem, hint)


def _require_allowed(speech: ShopSpeech, args: argparse.Namespace) -> None:
    if args.engine not in speech.allowed:
        problem = "sends texts to another machine, and the shop does not allow that"
        names = ",".join([*speech.allowed, args.engine])
        hint = f"if it agrees: gateway shop set {args.shop} --allow-engine {names}"
        raise _refused("engine", problem, hint)


def _refused(option: str, problem: str, hint: str) -> Refusal:
    fault = Fault(f"--{option}", problem, hint)
    return Refusal("invalid-request", f"--{option} {problem}", (fault,))


def _words(
    args: argparse.Namespace, language: str, shop: Shop | None, lexicon: dict[str, str]
) -> tuple[str, str]:
    """What is said, for reading and for an engine."""
    from gateway.voice.script import call_script
    from tts.normalize import normalize
    from tts.steps import at_once

    if args.plain or shop is None:
        return args.text, normalize(args.text, language, lexicon)
    made = call_script(
        shop.name,
        args.text,
        callback=shop.main_phone,
        category=_CATEGORIES[args.category or "transactional"],
        language=language,
        is_voicemail=args.voicemail,
        lexicon=lexicon,
    )
    script = at_once(made)
    return script.text, script.spoken


def _write(path: Path, wav: bytes) -> None:
    try:
        path.write_bytes(wav)
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written: {error.strerror}", "name another file with -o"
        ) from error


def _print(told_of: dict[str, Any]) -> None:
    print(
        f"{visible(told_of['file'])}: {told_of['duration_s']:.1f} s,"
        f" spoken by {told_of['engine']} with voice {visible(told_of['voice'])}"
    )
    print()
    for line in told_of["script"].splitlines():
        print(visible(line))
