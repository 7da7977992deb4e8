"""A worker process: `python -m tts.worker KIND PARENT OPTIONS`. It speaks, or decodes, and ends.

It is started by `tts.pool` and by nobody else. What an engine prints must not get between the
frames, and may hold a text: the standard streams go nowhere once the pipes are safe.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, BinaryIO, Final

from tts import wire
from tts.confine import Limits, confine, end_with, grant_cpu
from tts.engine import SpeechError, TooLong
from tts.speakers import Answer, Handler

_PIPE_BYTES: Final = 1 << 20
"""Room for most answers, so that the gateway is woken once for one."""

KINDS: Final = ("pico", "piper", "decode")


def main(arguments: list[str]) -> None:
    """Answer requests until the pipe ends.

    A request whose head has "phone" is answered with telephone audio: made here, it costs neither
    the gateway's processor nor its memory, and the answer is a quarter as long.
    """
    kind, parent, options = arguments[0], int(arguments[1]), json.loads(arguments[2])
    requests, answers = _take_pipes()
    limits = Limits(**options.pop("limits"))
    in_force = confine(limits)
    end_with(parent)
    try:
        handler = load(kind, options)
    except Exception as error:
        reason = f"{kind} cannot start: {type(error).__name__}: {error}"
        _send(answers, {"error": reason[:500], "is_temporary": True})
        return
    _send(answers, {"ready": kind, "in_force": in_force})
    while (request := wire.read(requests)) is not None:
        grant_cpu(limits.cpu_s)
        _send(answers, *_answer(handler, *request))


def load(kind: str, options: Mapping[str, Any]) -> Handler:
    """What answers requests of a kind. Its libraries are imported here and nowhere else."""
    if kind not in KINDS:
        raise ValueError("unknown kind")
    handler: Handler = import_module(f"tts.speakers.{kind}").load(**options)
    telephone = import_module("tts.speakers.phone").telephone

    def answer(head: wire.Head, body: bytes) -> Answer:
        told, audio = handler(head, body)
        asked = head.get("phone")
        return (told, audio) if asked is None else telephone(audio, told["rate"], **asked)

    return answer


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a user may have only so much of it
            fcntl.fcntl(answers, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return requests, answers


def _answer(handler: Handler, head: wire.Head, body: bytes) -> Answer:
    try:
        return handler(head, body)
    except SpeechError as error:
        kinds = {"is_temporary": error.is_temporary, "is_too_long": isinstance(error, TooLong)}
        return {"error": str(error), **kinds}, b""
    except Exception as error:  # its words may hold the text
        return {"error": f"the engine failed ({type(error).__name__})", "is_temporary": True}, b""


def _send(answers: BinaryIO, head: wire.Head, body: bytes = b"") -> None:
    answers.write(wire.begin(head, len(body)))
    answers.write(body)
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
