"""The mail that brings a customer's text to the shop.

The customer's words stand first in a plain text, whole and alone, so that they can be read in a
list of mails and copied; who wrote them, to which number and when stands below. Everything in it
follows from the `Forward`: a mail sent again after a doubtful end is the same to the octet,
Message-ID included, so that the shop's mail program shows it once.

Sources: RFC 5322 (headers, threads by References), RFC 2045 §6 (transfer encodings), RFC 2047
(encoded words), RFC 3834 (Auto-Submitted). Headers are put together here, and not by email.message,
because its folding makes an encoded word of a message id of more than a line in References and To
loses its value when the address is long.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from typing import Final

from protocols.errors import LocalProtocolError
from protocols.mail.address import check_address, domain_of

MAX_NAME: Final = 60
"""Characters of a name, an id or a number that are shown; the rest is cut with an ellipsis."""

MAX_SHOWN_MISSING: Final = 10
SEPARATOR: Final = "-" * 40
_NO_ANSWER: Final = "An answer to this mail does not reach the customer."

_MAX_HEADER_LINE: Final = 78
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LINE_END = re.compile(r"\r\n|\r|\n")
_DIRECTION_MARKS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_DROPPED_CATEGORIES = frozenset({"Cs", "Co", "Cn"})
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@dataclass(frozen=True, slots=True)
class Forward:
    """A customer's text on its way to the shop."""

    id: str
    """The reply's id, `rpl_…`: letters, digits, `_` and `-`. The Message-ID is made of it."""
    text: str
    sender: str
    """The address that the mail is from: the operator's, since a server may vouch for no other."""
    recipient: str
    """The shop's contact email."""
    shop: str
    """The shop's code: with `phone` it makes the thread."""
    shop_name: str
    shop_number: str
    """The number that the customer texted, as people write it."""
    phone: str
    """The customer's number in E.164 form; not shown."""
    phone_shown: str
    """The customer's number as people write it: `(212) 555-0123`."""
    received: datetime
    """When the text came, aware, in the shop's zone."""
    contact_name: str = ""
    contact_kind: str = ""
    """`customer`, `prospect`, `appointment`, `member`; empty if the number is on nobody's file."""
    contact_id: str = ""
    segments: int = 1
    missing: tuple[int, ...] = ()
    """Which of the `segments`, counted from 1, never came."""


def compose(forward: Forward) -> bytes:
    """The whole mail, headers and text, with CR LF line ends and pure ASCII octets.

    Parsing it gives a text that begins with exactly `forward.text`, but that line ends are all of
    one kind and a lone surrogate, which no encoding has, is U+FFFD. Raises LocalProtocolError when
    an address or the id is none, or `received` has no zone.
    """
    if not _ID.fullmatch(forward.id):
        raise LocalProtocolError("the id of a mail is letters, digits, _ and -, at most 64")
    if forward.received.tzinfo is None:
        raise LocalProtocolError("the time a text was received needs a zone")
    encoding, payload = _encode(_body(forward))
    head = "\r\n".join((*_headers(forward), f"Content-Transfer-Encoding: {encoding}", "", ""))
    return head.encode("ascii") + payload


def message_id(forward: Forward) -> str:
    """The Message-ID, in its brackets: the same for every copy of this mail."""
    return f"<{forward.id}@{domain_of(forward.sender)}>"


def thread_id(forward: Forward) -> str:
    """The id, in its brackets, that all mails of one customer to one shop refer to."""
    key = f"{forward.shop}\0{forward.phone}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(key, digest_size=16).hexdigest()
    return f"<thread-{digest}@{domain_of(forward.sender)}>"


def _headers(forward: Forward) -> list[str]:
    who = " ".join(filter(None, (clean(forward.contact_name), clean(forward.phone_shown))))
    thread = thread_id(forward)
    return [
        _from_line(f"{who} via text", check_address(forward.sender)),
        f"To: {check_address(forward.recipient)}",
        _text_line("Subject", f"Text from {who}"),
        f"Date: {format_datetime(forward.received)}",
        f"Message-ID: {message_id(forward)}",
        f"In-Reply-To: {thread}",
        f"References: {thread}",
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
        "MIME-Version: 1.0",
        'Content-Type: text/plain; charset="utf-8"',
    ]


def _from_line(name: str, address: str) -> str:
    if _is_plain(name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        shown = f'From: "{escaped}"'
    else:
        shown = _encoded_line("From", name)
    last_line = shown.rpartition("\r\n")[2]
    gap = " " if len(last_line) + len(address) + 3 <= _MAX_HEADER_LINE else "\r\n "
    return f"{shown}{gap}<{address}>"


def _text_line(header: str, text: str) -> str:
    return f"{header}: {text}" if _is_plain(text) else _encoded_line(header, text)


def _encoded_line(header: str, text: str) -> str:
    value = Header(text, "utf-8", header_name=header).encode(linesep="\r\n")
    return f"{header}: {value}"


def _is_plain(text: str) -> bool:
    """Whether a header can hold the text as it is: readers decode what looks like encoded."""
    return text.isascii() and text.isprintable() and "=?" not in text


def clean(text: str) -> str:
    """A name or number as one short line without controls or marks that turn the direction.

    A name is the shop's data, but it stands where a reader looks for who is speaking.
    """
    kept = (_safe(c) for c in text[: 8 * MAX_NAME])
    line = " ".join("".join(kept).split())
    return line if len(line) <= MAX_NAME else line[: MAX_NAME - 1].rstrip() + "…"


def _safe(c: str) -> str:
    category = unicodedata.category(c)
    if c in _DIRECTION_MARKS or category in _DROPPED_CATEGORIES:
        return ""
    return " " if category in ("Cc", "Zl", "Zp") else c


def _body(forward: Forward) -> str:
    words = _LINE_END.sub("\n", forward.text)
    lines = [words, "", SEPARATOR, *_details(forward), "", _NO_ANSWER, ""]
    return "\n".join(lines)


def _details(forward: Forward) -> list[str]:
    number, shop_number = clean(forward.phone_shown), clean(forward.shop_number)
    lines = [
        f"Customer: {_customer(forward)}",
        f"Number:   {number}",
        f"Sent to:  {shop_number}, {clean(forward.shop_name)}",
        f"Received: {_show_time(forward.received)}",
    ]
    if forward.missing:
        lines.append(f"Note:     {_missing_note(forward)}")
    return lines


def _customer(forward: Forward) -> str:
    name, kind, id_ = (
        clean(text) for text in (forward.contact_name, forward.contact_kind, forward.contact_id)
    )
    file = " ".join(filter(None, (kind, id_)))
    if not name and not file:
        return "unknown: no contact with this number"
    return f"{name or 'no name'} ({file})" if file else name


def _missing_note(forward: Forward) -> str:
    shown = ", ".join(str(number) for number in forward.missing[:MAX_SHOWN_MISSING])
    more = ", …" if len(forward.missing) > MAX_SHOWN_MISSING else ""
    return (
        f"the text is incomplete: of its {forward.segments} segments, "
        f"{len(forward.missing)} never came (number {shown}{more})."
    )


def _show_time(at: datetime) -> str:
    """`Tuesday, November 24, 2026, 3:05 PM EST`, whatever the locale of the process."""
    hour, half = at.hour % 12 or 12, "AM" if at.hour < 12 else "PM"
    return (
        f"{_DAYS[at.weekday()]}, {_MONTHS[at.month - 1]} {at.day}, {at.year}, "
        f"{hour}:{at.minute:02d} {half} {at.tzname() or ''}".rstrip()
    )


def _encode(text: str) -> tuple[str, bytes]:
    """The transfer encoding and the text in it: quoted-printable where readable, or base64.

    Base64 also keeps a line that begins with `From ` whole, which mailboxes in mbox form would
    change.
    """
    pairs = text.replace("\n", "\r\n").encode("utf-16", "surrogatepass")
    data = pairs.decode("utf-16", "replace").encode("utf-8")
    quoted = binascii.b2a_qp(data, istext=True)
    is_readable = len(quoted) <= len(data) * 4 // 3 and b"\nFrom " not in b"\n" + quoted
    if is_readable:
        return "quoted-printable", quoted
    encoded = binascii.b2a_base64(data, newline=False)
    lines = [encoded[at : at + 76] for at in range(0, len(encoded), 76)]
    return "base64", b"\r\n".join(lines) + b"\r\n"
