"""The last calls of a trunk as ladder diagrams: who said what, when. Kept in memory, and little of
it: no digit of a phone number beyond what logs show, no key, no credentials.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.phone import mask
from protocols.sip.flow import Hop

MESSAGES_MAX: Final = 100
"""Of one call; what is beyond is counted."""
CHARS_MAX: Final = 160
WIDTH: Final = 40

_CALL_ID: Final = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]{1,256})", re.I)
_CSEQ: Final = re.compile(rb"\r\ncseq[ \t]*:[ \t]*[0-9]+[ \t]+([A-Z]+)", re.I)
# Bounded, and without the colon before which a password begins: time grows with the length alone.
_USER: Final = rb"[^\r\n]*?sips?:([^@>;:\r\n]{1,64})(?::[^@>;:\r\n]{0,64})?@"
_TO: Final = re.compile(rb"\r\n(?:to|t)[ \t]*:" + _USER, re.I)
_FROM: Final = re.compile(rb"\r\n(?:from|f)[ \t]*:" + _USER, re.I)
_NOTED: Final = (
    ("with credentials", re.compile(rb"\r\n(?:proxy-)?authorization[ \t]*:", re.I)),
    ("challenge", re.compile(rb"\r\n(?:www|proxy)-authenticate[ \t]*:", re.I)),
    ("reliable", re.compile(rb"\r\nrseq[ \t]*:", re.I)),
    ("stale nonce", re.compile(rb"stale[ \t]*=[ \t]*\"?true", re.I)),
)
_SHOWN: Final = tuple(
    (name, re.compile(rb"\r\n" + name.encode() + rb"[ \t]*:[ \t]*([^\r\n]{1,60})", re.I))
    for name in ("Reason", "Retry-After", "Warning")
)
_MEDIA: Final = re.compile(rb"(?:^|\n)m=audio ([0-9]+) ([A-Z/]+) ([0-9 ]+)")
_PLACE: Final = re.compile(rb"(?:^|\n)c=IN IP[46] ([0-9A-Fa-f:.]{1,45})")
_WAY: Final = re.compile(rb"(?:^|\n)a=(sendonly|recvonly|inactive)")
_CODECS: Final = {b"0": "PCMU", b"8": "PCMA"}
_PHONE: Final = re.compile(r"\+?[0-9](?:[-() ]{0,2}[0-9]){6,}")
_UNTOLD: Final = frozenset({b"OPTIONS", b"REGISTER"})


@dataclass(slots=True)
class _Line:
    at: float
    is_sent: bool
    label: str
    notes: str
    place: str


@dataclass(slots=True)
class _Ladder:
    began: float
    title: str
    lines: list[_Line] = field(default_factory=list)
    beyond: int = 0
    last: dict[bool, int] = field(default_factory=dict)


class Ladders:
    """The recent calls of one trunk. Times are seconds since the epoch."""

    def __init__(self, calls: int) -> None:
        self._max = calls
        self._calls: OrderedDict[bytes, _Ladder] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def note(self, is_sent: bool, data: bytes, hop: Hop, at: float) -> None:
        """Take one message; what belongs to no call is left out."""
        cseq, call_id = _CSEQ.search(data), _CALL_ID.search(data)
        if cseq is None or call_id is None or cseq.group(1) in _UNTOLD:
            return
        ladder = self._calls.get(call_id.group(1))
        if ladder is None:
            if cseq.group(1) != b"INVITE":
                return
            ladder = self._calls[call_id.group(1)] = _Ladder(at, _title(is_sent, data))
            if len(self._calls) > self._max:
                self._calls.popitem(last=False)
        if len(ladder.lines) >= MESSAGES_MAX:
            ladder.beyond += 1
            return
        print_ = hash(data)
        notes = _notes(data)
        if ladder.last.get(is_sent) == print_:
            notes = "again"
        ladder.last[is_sent] = print_
        port = hop.port or hop.transport.default_port
        place = f"{hop.host.strip('[]')}:{port} {hop.transport.value}"
        ladder.lines.append(_Line(at, is_sent, _label(data, cseq.group(1)), notes, place))

    def lines(self, calls: int) -> list[str]:
        """The diagrams of the last calls, oldest first."""
        drawn: list[str] = []
        for ladder in list(self._calls.values())[-calls:]:
            drawn += [*_draw(ladder), ""]
        return drawn[:-1]


def _draw(ladder: _Ladder) -> list[str]:
    moment = datetime.fromtimestamp(ladder.began).astimezone()
    drawn = [f"{moment:%Y-%m-%d %H:%M:%S}  {ladder.title}"]
    place = ""
    for line in ladder.lines:
        if line.place != place:
            place = line.place
            drawn.append(f"{'':>10} gateway {'':{WIDTH - 2}} {place}")
        middle = f" {line.label} ".center(WIDTH, "-")
        arrow = f"|{middle}>|" if line.is_sent else f"|<{middle}|"
        drawn.append(f"{line.at - ladder.began:10.3f} {arrow} {line.notes}".rstrip()[:CHARS_MAX])
    if ladder.beyond:
        drawn.append(f"{'':>10} {ladder.beyond} more messages were not kept")
    return drawn


def _title(is_sent: bool, data: bytes) -> str:
    called, caller = _TO.search(data), _FROM.search(data)
    words = [
        masked(found.group(1).decode("utf-8", "replace")) if found is not None else "?"
        for found in (caller, called)
    ]
    return f"{'out' if is_sent else 'in'}: {words[0]} calls {words[1]}"[:CHARS_MAX]


def _label(data: bytes, method: bytes) -> str:
    """`INVITE`, or `183 Session Progress (INVITE)` short enough for the arrow."""
    start = data[:200].partition(b"\r\n")[0].decode("utf-8", "replace")
    if not start.startswith("SIP/"):
        return _plain(start.partition(" ")[0])[:20]
    _, _, status = start.partition(" ")
    name = method.decode("ascii")
    words = masked(status)
    return words[:32] if name == "INVITE" else f"{words[:26]} ({name})"


def _notes(data: bytes) -> str:
    head, _, body = data.partition(b"\r\n\r\n")
    words = [_media(body)] if body else []
    words += [word for word, pattern in _NOTED if pattern.search(head)]
    for name, pattern in _SHOWN:
        if (found := pattern.search(head)) is not None:
            words.append(f"{name}: {masked(found.group(1).decode('utf-8', 'replace'))}")
    return ", ".join(words)


def _media(body: bytes) -> str:
    """What a session description says, short; without its keys."""
    media, place, way = _MEDIA.search(body), _PLACE.search(body), _WAY.search(body)
    if media is None:
        return f"body of {len(body)} octets"
    port, profile, formats = media.groups()
    codecs = "/".join(_CODECS[each] for each in formats.split() if each in _CODECS)
    where = place.group(1).decode("ascii") if place is not None else "?"
    secure = " encrypted" if profile.endswith(b"SAVP") or profile.endswith(b"SAVPF") else ""
    held = f" {way.group(1).decode('ascii')}" if way is not None else ""
    return f"sound {codecs or 'of no codec of ours'}{secure}{held} at {where}:{port.decode()}"


def masked(text: str) -> str:
    """With everything that may be a phone number as logs have it, and nothing that does not print:
    addresses and ports are short enough to stay."""
    return _PHONE.sub(lambda found: mask(found.group()), _plain(text))


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
