"""What the simulated SMSC got, as tests and the demo look at it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocols.smpp import Message
from protocols.sms.reassembly import Part, is_complete, join, read


@dataclass(slots=True, eq=False)
class Submitted:
    """One submit_sm that came."""

    order: int
    """1 for the first that this SMSC ever got."""
    session: int
    """The number of the session that brought it; sessions are numbered from 1."""
    message: Message
    """The PDU as decoded."""
    message_id: str
    """What the response names; empty when it was refused."""
    status: int | None
    """The command_status it is answered with; None: it never is."""
    at: float
    """Monotonic seconds."""

    @property
    def source(self) -> str:
        return self.message.source

    @property
    def dest(self) -> str:
        return self.message.dest

    @property
    def payload(self) -> bytes:
        """The short_message, its header included."""
        return self.message.payload

    @property
    def part(self) -> Part:
        """Which part of a text this is: reference, total, number."""
        m = self.message
        return read(m.payload, m.esm_class, m.data_coding, m.tlvs)

    @property
    def text(self) -> str:
        """The words of this segment alone."""
        part = self.part
        return join([Part(part.scheme, None, 1, 1, part.text_bytes, part.data_coding)]).text

    @property
    def is_accepted(self) -> bool:
        return self.status == 0


def texts(submitted: Iterable[Submitted], dest: str | None = None) -> list[str]:
    """The whole texts among the accepted, in the order in which they became whole; all, or those
    to `dest`. Parts of a text that never became whole are left out."""
    found = []
    parts: dict[tuple[object, ...], list[Part]] = {}
    for one in submitted:
        if not one.is_accepted or (dest is not None and one.dest != dest):
            continue
        part = one.part
        key = (one.source, one.dest, part.group, part.total)
        parts.setdefault(key, []).append(part)
        if is_complete([p.number for p in parts[key]], part.total):
            found.append(join(parts.pop(key)).text)
    return found
