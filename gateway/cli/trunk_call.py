"""`gateway trunk call`: one call by a trunk, to hear that it works."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.cli.frame import CommandError, add_command, load_settings
from gateway.cli.output import paint, visible
from gateway.errors import GatewayError
from gateway.phone import PhoneError, normalize

if TYPE_CHECKING:
    from config.settings import Settings, TrunkSettings
    from gateway.cli.frame import Subparsers
    from gateway.voice.call_events import CallEnd
    from gateway.voice.calls import TrunkCall
    from gateway.voice.trunk import Trunk
    from protocols.rtp.clip import Clip

_WAIT_MAX_S = 600.0
_LOCATE_S = 10.0
_STOP_S = 5.0
_LADDERS_MAX = 8
_UNHEARD = (
    "nothing came back: see that host, port and transport are right, that no firewall is in"
    " between, and that the carrier knows the address that we call from"
)
_HINTS = {
    401: "the carrier wants the user and the password of an account",
    403: "the carrier refuses us: see that it knows our address or account, and who calls",
    404: "the carrier knows no such number: see number_format",
    407: "the carrier refuses the user, the password or the realm",
    484: "the carrier does not read the number: see number_format",
    488: "the carrier takes no sound of ours: see codecs and srtp",
    604: "the carrier knows no such number: see number_format",
}
"""What an operator does about a refusal."""


def register_call(actions: Subparsers) -> None:
    """Add the action."""
    parser = add_command(actions, "call", "Call a number by a trunk, and draw what was said")
    parser.add_argument("name", metavar="NAME", help="the trunk's name in the settings")
    parser.add_argument("number", metavar="NUMBER", help="whom to call")
    said = parser.add_mutually_exclusive_group()
    said.add_argument("--play", type=Path, metavar="FILE", help="a WAV file to play")
    said.add_argument("--say", metavar="TEXT", help="words to speak")
    parser.add_argument(
        "--wait", type=float, default=5.0, metavar="S", help="seconds to listen after it (5)"
    )
    parser.add_argument("--from", dest="caller", metavar="NUMBER", help="who calls")
    parser.set_defaults(run=run, parser=parser)


async def run(args: argparse.Namespace) -> int:
    """Call, by sockets of our own beside a running node; 0 when it was answered."""
    if not 0 <= args.wait <= _WAIT_MAX_S:
        args.parser.error(f"--wait is at most {_WAIT_MAX_S:g}")
    settings = load_settings(args)
    trunk = next((each for each in settings.trunks if each.name == args.name), None)
    if trunk is None:
        raise CommandError(f"there is no trunk {args.name}", "`gateway trunk list` names them")
    number = _number(args.number, settings)
    caller = _number(args.caller, settings) if args.caller else ""
    clip = await _clip(args, settings)
    try:
        return await _call(_alone(settings, trunk), number, caller, clip, args.wait)
    except TimeoutError as error:
        raise CommandError(f"DNS does not tell where {trunk.host} is") from error
    except GatewayError as error:
        raise CommandError(str(error), "`gateway check` looks at names and ports") from error


def _number(text: str, settings: Settings) -> str:
    try:
        return normalize(text, settings.sms.default_region, settings.sms.countries)
    except PhoneError as error:
        raise CommandError(f"{text}: {error}") from error


def _alone(settings: Settings, trunk: TrunkSettings) -> Settings:
    """The trunk by itself: on any free port, and not registered: the running node is."""
    host, _, _ = settings.voice.listen.rpartition(":")
    voice = replace(settings.voice, listen=f"{host}:0", tls_listen="")
    only = replace(trunk, register=False, options_s=0.0, keepalive_s=0.0)
    return replace(settings, voice=voice, trunks=(only,))


async def _clip(args: argparse.Namespace, settings: Settings) -> Clip | None:
    """What is to be heard."""
    if args.play is not None:
        return _read(args.play)
    return await _spoken(args.say, settings) if args.say else None


def _read(path: Path) -> Clip:
    from protocols.audio import wav
    from protocols.audio.g711 import Law, encode
    from protocols.rtp.clip import Clip
    from tts.engine import Pcm
    from tts.phone_audio import to_phone

    try:
        read = wav.read(path.read_bytes())
    except (OSError, wav.WavError) as error:
        raise CommandError(f"{path}: {error}", "give a WAV file") from error
    return Clip(encode(to_phone(Pcm(read.samples, read.rate)), Law.ULAW))


async def _spoken(words: str, settings: Settings) -> Clip:
    from gateway.store.records import ShopSpeech
    from gateway.voice.speech import SpeechDesk
    from protocols.rtp.clip import Clip
    from tts.engine import SpeechError

    desk = SpeechDesk(settings.speech, None)
    try:
        audio = await desk.say(words, settings.speech.language, ShopSpeech())
    except SpeechError as error:
        raise CommandError(f"this cannot be spoken: {error}") from error
    finally:
        await desk.close()
    return Clip(audio.data, audio.law)


async def _call(
    settings: Settings, number: str, caller: str, clip: Clip | None, wait_s: float
) -> int:
    from gateway.voice.identity import Caller
    from gateway.voice.trunkset import TrunkSet
    from protocols.errors import LocalProtocolError

    trunks = TrunkSet(settings)
    await trunks.start()
    loop = asyncio.get_running_loop()
    try:
        (trunk,) = trunks
        async with asyncio.timeout(_LOCATE_S):
            await trunk.looked.wait()
        try:
            call = trunk.call(number, Caller(number=caller))
        except (LocalProtocolError, OSError) as error:
            raise CommandError(f"the call was not made: {error}") from error
        for ending in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(ending, call.hang_up)  # or the phone would stay off the hook
        end = await _follow(call, clip, wait_s)
    finally:
        await trunks.stop(loop.time() + _STOP_S)
    print()
    for line in trunk.ladders.lines(_LADDERS_MAX):
        print(visible(line))
    return _verdict(call, end, trunk)


async def _follow(call: TrunkCall, clip: Clip | None, wait_s: float) -> CallEnd:
    """Print what happens; play, listen, hang up."""
    from gateway.voice import call_events
    from protocols.rtp import events as media_events

    loop = asyncio.get_running_loop()
    began = loop.time()
    ending: asyncio.TimerHandle | None = None
    try:
        async for event in call.events():
            print(f"{loop.time() - began:8.2f} s  {visible(_words(event))}", flush=True)
            match event:
                case call_events.Answered() if clip is not None:
                    call.leg.play(clip)
                case call_events.Answered() | media_events.PlaybackEnded():
                    ending = loop.call_later(wait_s, call.hang_up)
                case call_events.CallEnd():
                    return event
                case _:
                    pass
    finally:
        if ending is not None:
            ending.cancel()
        call.hang_up()
    raise AssertionError


def _words(event: object) -> str:
    from gateway.voice import call_events
    from protocols.rtp import events as media_events

    match event:
        case call_events.Ringing(code):
            return f"on its way: {code}"
        case call_events.EarlyMedia():
            return "sound before the answer"
        case call_events.Answered():
            return "answered"
        case media_events.MediaStarted(source):
            return f"their sound comes from {source[0]}:{source[1]}"
        case media_events.DigitReceived(digit):
            return f"key {digit}"
        case media_events.PlaybackEnded(played_s=seconds):
            return f"played {seconds:.1f} s"
        case media_events.MediaLost(silent_s):
            return f"no sound for {silent_s:.0f} s"
        case call_events.CallEnd():
            refusal = f" {event.code} {event.phrase}".rstrip() if event.code else ""
            return f"over: {event.cause.value}{refusal}"
        case _:
            return type(event).__name__


def _verdict(call: TrunkCall, end: CallEnd, trunk: Trunk) -> int:
    """The figures of the call, or why it was none."""
    from protocols.sip.events import EndCause

    if call.answered_at is None:
        is_cut = end.cause is EndCause.TRANSPORT
        fault = end.problem or (trunk.endpoint.fault if is_cut else "")
        print(paint(f"not answered: {visible(fault or end.phrase or end.cause.value)}", "red"))
        hint = _UNHEARD if end.cause is EndCause.TIMEOUT else _HINTS.get(end.code)
        if hint and not fault:
            print(f"  {hint}")
        return 1
    found = end.statistics
    if found is not None:
        heard = f"{found.received:,} heard, {found.lost:,} lost, {found.jitter_ms:.1f} ms jitter"
        print(f"{end.talked_s:.1f} s; packets: {found.sent:,} sent, {heard}")
    if end.problem:
        print(paint(visible(end.problem), "yellow"))
    return 0
