"""Shows an operator the PDUs of a link, decoded, for a while: without texts, whole phone numbers or
passwords.

Nothing stands in the way of the PDUs while nobody looks: a trace puts itself between a connection
and its session, and takes itself away when its time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.phone import mask
from protocols.smpp import decode, describe
from protocols.smpp.commands import command_name
from protocols.smpp.decoding import frames
from protocols.smpp.pdu import PduError
from protocols.smpp.session import Session
from protocols.smpp.tlv import Tag, Tlv
from protocols.sms.receipts import parse

if TYPE_CHECKING:
    from protocols.smpp.connection import SmppConnection

GATHER_S: Final = 0.1
LINES_MAX: Final = 100
"""Lines that wait to be sent on; what comes beyond is counted."""

_PHONES: Final = frozenset({"source", "dest", "esme"})
_SECRETS: Final = frozenset({"password"})
_TEXT_TAGS: Final = frozenset({Tag.MESSAGE_PAYLOAD, Tag.ADDITIONAL_STATUS_INFO_TEXT})
_ID_TAGS: Final = frozenset({Tag.RECEIPTED_MESSAGE_ID})
_SHOWN_BYTES: Final = 4
_CHARS_MAX: Final = 700


class Trace:
    """One operator's look at one link."""

    def __init__(
        self,
        token: str,
        seconds: float,
        per_second: int,
        send: Callable[[str, list[str]], None],
    ) -> None:
        """`send` gets the token and lines, at most every tenth of a second."""
        self.token = token
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._per_second = per_second
        self._allowed = float(per_second)
        self._filled = self._loop.time()
        self._lines: list[str] = []
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tapped: list[tuple[SmppConnection, Session]] = []
        self._end = self._loop.call_later(seconds, self.stop)
        self.is_over = False

    def tap(self, name: str, connection: SmppConnection) -> None:
        """Show what passes on this connection from now on."""
        if self.is_over or any(one is connection for one, _ in self._tapped):
            return
        session = connection.session
        self._tapped.append((connection, session))
        connection.session = cast("Session", _Tapped(session, name, self._add))

    def stop(self) -> None:
        """End it, and leave the connections as they were."""
        if self.is_over:
            return
        self.is_over = True
        self._end.cancel()
        for connection, session in self._tapped:
            connection.session = session
        self._tapped.clear()
        self._lines.append("the trace is over")
        self._flush()

    def _add(self, name: str, is_received: bool, frame: bytes) -> None:
        now = self._loop.time()
        gained = (now - self._filled) * self._per_second
        self._allowed = min(self._allowed + gained, float(self._per_second))
        self._filled = now
        if self._allowed < 1.0 or len(self._lines) >= LINES_MAX:
            self._dropped += 1
            return
        self._allowed -= 1.0
        arrow = "<-" if is_received else "->"
        self._lines.append(f"{name} {arrow} {words(frame)}"[:_CHARS_MAX])
        if self._timer is None:
            self._timer = self._loop.call_later(GATHER_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append(f"{self._dropped:,} more PDUs were not shown")
            self._dropped = 0
        self._send(self.token, lines)


class _Tapped:
    """A session that shows what passes, and is the session in everything else."""

    def __init__(
        self, session: Session, name: str, show: Callable[[str, bool, bytes], None]
    ) -> None:
        self._session = session
        self._name = name
        self._show = show
        self._rests = {True: b"", False: b""}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def receive_data(self, data: bytes, now: float) -> Any:
        """As the session does."""
        self._look(True, data)
        return self._session.receive_data(data, now)

    def data_to_send(self) -> bytes:
        """As the session does."""
        data = self._session.data_to_send()
        self._look(False, data)
        return data

    def _look(self, is_received: bool, data: bytes) -> None:
        """Show whole PDUs. A trace may begin in the middle of one: what fits nowhere is left."""
        try:
            batch, rest = frames(self._rests[is_received] + data)
            self._rests[is_received] = rest
        except PduError:
            self._rests[is_received] = b""
            return
        for frame in batch:
            self._show(self._name, is_received, frame)


def words(frame: bytes) -> str:
    """One PDU on one line: its name, sequence number, status and fields, with texts as lengths,
    phones masked, and secrets left out.
    """
    try:
        pdu = decode(frame)
    except PduError as error:
        name = command_name(error.command_id)
        return f"{name} {error.sequence} that cannot be read: {error} ({len(frame)} octets)"
    parts = [command_name(pdu.command_id), str(pdu.sequence)]
    if pdu.status:
        parts.append(describe(pdu.status))
    payload = getattr(pdu, "payload", b"")
    tlvs: list[Tlv] = getattr(pdu, "tlvs", [])
    for field in fields(pdu):
        value = getattr(pdu, field.name)
        if field.name in ("command_id", "status", "sequence", "payload", "tlvs") or not value:
            continue
        parts.append(f"{field.name}={_value(field.name, value)}")
    if payload:
        parts.append(f"text of {len(payload)} octets")
    parts += [_tlv(tag, value) for tag, value in tlvs]
    receipt = parse(payload, getattr(pdu, "esm_class", 0), tlvs)
    if receipt is not None:
        parts.append(f"receipt id={_plain(receipt.message_id or '')} {receipt.state.name}")
    return " ".join(parts)


def _value(name: str, value: object) -> str:
    if name in _PHONES:
        return _masked(str(value))
    if name in _SECRETS:
        return "***"
    if isinstance(value, list):
        return f"{len(value)} of them"
    return _plain(str(value))


def _masked(phone: str) -> str:
    """A phone number as logs have it; names and short codes, which are nobody's, as they are."""
    plain = _plain(phone)
    return mask(plain) if sum(map(str.isdigit, plain)) > 6 else plain


def _plain(text: str) -> str:
    """Without control characters, and short."""
    return "".join(char if char.isprintable() else "?" for char in text)[:80]


def _tlv(tag: int, value: bytes) -> str:
    try:
        name = Tag(tag).name.lower()
    except ValueError:
        name = f"0x{tag:04X}"
    if tag in _ID_TAGS:
        return f"{name}={_plain(value.rstrip(bytes(1)).decode('latin-1'))}"
    if tag in _TEXT_TAGS or len(value) > _SHOWN_BYTES:
        return f"{name} of {len(value)} octets"
    return f"{name}=0x{value.hex()}"
