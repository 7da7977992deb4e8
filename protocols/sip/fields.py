"""Header values with structure: addresses, Via, CSeq, RAck, Session-Expires, Reason (RFC 3261
section 20, RFC 3262, RFC 3326, RFC 4028, RFC 5806)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Final

from protocols.sip.errors import FieldError, SipError
from protocols.sip.grammar import (
    QUOTED,
    Params,
    check,
    format_params,
    is_token,
    parse_number,
    parse_params,
    quote,
    split_list,
    unquote,
)
from protocols.sip.uri import HOST, Uri, parse_host, parse_port

MAX_CSEQ: Final = 2**31 - 1
MAGIC_COOKIE: Final = "z9hG4bK"

# Tokens and spaces by the grammar; what else carriers leave without quotes does no harm here. A
# comma would: addresses stand in lists.
_WORDS: Final = r'[^"<>,;\x00-\x08\x0a-\x1f\x7f]*+'
_NAME_ADDR: Final = re.compile(rf"({QUOTED}|{_WORDS})\s*+<([^>]*+)>\s*+")
_ADDR_SPEC: Final = re.compile(r"[^\s;<>\",?]++")
_VIA: Final = re.compile(
    r"SIP\s*+/\s*+2\.0\s*+/\s*+([A-Za-z0-9\-.!%*_+`'~]++)\s++"
    rf"({HOST})(?:\s*+:\s*+([0-9]{{1,5}}))?\s*+(?=;|$)",
    re.IGNORECASE,
)
_CSEQ: Final = re.compile(r"([0-9]{1,20})\s++(\S++)")
_RACK: Final = re.compile(r"([0-9]{1,20})\s++([0-9]{1,20})\s++(\S++)")
_LEADING_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]++\s*+")
_DELTA: Final = re.compile(r"([0-9]++)\s*+(?:\([^()]*+\)\s*+)?")


def clean(text: str) -> str:
    """`text` for display: octets that are no UTF-8 replaced, characters that do not print left
    out."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text if text.isprintable() else "".join(c for c in text if c.isprintable())


@dataclass(frozen=True, slots=True)
class NameAddr:
    """`"Name" <uri>;params`, as in From, To, Contact, Route, P-Asserted-Identity and Diversion."""

    uri: Uri
    name: str = ""
    """The display name, without quotes."""
    params: Params = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Raises SipError. Without <>, parameters belong to the header and a `?` is refused
        (section 20.10)."""
        found = _NAME_ADDR.match(text)
        if found is not None:
            name, uri = found.groups()
            name = unquote(name) if name.startswith('"') else name.strip()
        else:
            found = _ADDR_SPEC.match(text)
            if found is None or found.end() < len(text) and text[found.end()] == "?":
                raise SipError("malformed address")
            name, uri = "", found.group()
        params = parse_params(text.rstrip(), found.end())
        return cls(Uri.parse(uri), name, params)

    @property
    def tag(self) -> str:
        """The tag parameter; empty without one."""
        return self.params.get("tag") or ""

    @property
    def display(self) -> str:
        """The display name, safe to show."""
        return clean(self.name)

    def with_tag(self, tag: str) -> NameAddr:
        return replace(self, params={**self.params, "tag": tag})

    def bare(self) -> NameAddr:
        """Without its parameters."""
        return NameAddr(self.uri, self.name)

    def __str__(self) -> str:
        text = f"<{self.uri}>{format_params(self.params)}"
        return f"{quote(self.name)} {text}" if self.name else text


def parse_addresses(values: Iterable[str]) -> list[NameAddr]:
    """The addresses of all values of a header. Raises SipError."""
    return [NameAddr.parse(item) for value in values for item in split_list(value)]


@dataclass(frozen=True, slots=True)
class Via:
    """One hop of the way that a request took (section 20.42)."""

    transport: str
    """In upper case."""
    host: str
    port: int | None = None
    params: Params = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Via:
        """Raises SipError."""
        found = _VIA.match(text)
        if found is None:
            raise SipError("malformed Via")
        transport, host, port = found.groups()
        params = parse_params(text.rstrip(), found.end())
        return cls(transport.upper(), parse_host(host), parse_port(port), params)

    @property
    def branch(self) -> str:
        return self.params.get("branch") or ""

    @property
    def is_rfc3261(self) -> bool:
        """Whether the branch alone identifies the transaction: magic cookie and more behind it
        (section 8.1.1.7)."""
        return self.branch.startswith(MAGIC_COOKIE) and len(self.branch) > len(MAGIC_COOKIE)

    @property
    def sent_by(self) -> str:
        return f"{self.host}:{self.port}" if self.port is not None else self.host

    @property
    def public_address(self) -> tuple[str, int] | None:
        """Where the peer saw our request come from (received and rport, RFC 3581), IPv6 without
        brackets; None when it does not say, or nothing that is an address and a port."""
        try:
            port = parse_port(self.params.get("rport"))
            address = ip_address((self.params.get("received") or self.host).strip("[]"))
        except (SipError, ValueError):
            return None
        return (str(address), port) if port is not None else None

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{format_params(self.params)}"


@dataclass(frozen=True, slots=True)
class CSeq:
    """The number and method of a request (section 20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        found = _CSEQ.fullmatch(text)
        if found is None or not is_token(found.group(2)):
            raise SipError("malformed CSeq")
        return cls(parse_number(found.group(1), MAX_CSEQ), found.group(2))

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class RAck:
    """Which reliable provisional response a PRACK acknowledges (RFC 3262 section 7.2)."""

    rseq: int
    cseq: int
    method: str

    @classmethod
    def parse(cls, text: str) -> RAck:
        found = _RACK.fullmatch(text)
        if found is None:
            raise SipError("malformed RAck")
        rseq, cseq, method = found.groups()
        return cls(parse_number(rseq), parse_number(cseq, MAX_CSEQ), method)

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """How long a session lives without a refresh, and who refreshes (RFC 4028 section 4)."""

    seconds: int
    refresher: str = ""
    """`uac`, `uas` or nothing."""

    @classmethod
    def parse(cls, text: str) -> SessionExpires:
        number, params = number_and_params(text)
        return cls(number, (params.get("refresher") or "").lower())

    def __str__(self) -> str:
        return f"{self.seconds};refresher={self.refresher}" if self.refresher else f"{self.seconds}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a request was sent (RFC 3326): `Q.850;cause=16`, `SIP;cause=200;text="…"`."""

    protocol: str
    cause: int | None = None
    text: str = ""

    @classmethod
    def parse(cls, value: str) -> Reason:
        found = _LEADING_TOKEN.match(value)
        if found is None:
            raise SipError("malformed Reason")
        params = parse_params(value.rstrip(), found.end())
        cause = params.get("cause")
        number = parse_number(cause, 999) if cause is not None else None
        return cls(found.group().strip(), number, clean(params.get("text") or ""))

    def __str__(self) -> str:
        if not is_token(self.protocol):
            raise FieldError("the protocol of a Reason is no token")
        cause = f";cause={self.cause}" if self.cause is not None else ""
        return f"{self.protocol}{cause}" + (f";text={quote(self.text)}" if self.text else "")


def parse_reasons(values: Iterable[str]) -> tuple[Reason, ...]:
    """The reasons that can be read; a malformed one says nothing and harms nothing."""
    reasons = []
    for value in values:
        try:
            reasons += [Reason.parse(item) for item in split_list(value)]
        except SipError:
            continue
    return tuple(reasons)


def parse_retry_after(text: str | None) -> float | None:
    """Retry-After in seconds (section 20.33); None without one or when it cannot be read."""
    try:
        return float(number_and_params(text)[0]) if text is not None else None
    except SipError:
        return None


def parse_subscription_state(text: str) -> tuple[str, Params]:
    """State and parameters of Subscription-State (RFC 6665 section 8.4), as of Event."""
    found = _LEADING_TOKEN.match(text)
    if found is None:
        raise SipError("malformed header")
    return found.group().strip().lower(), parse_params(text.rstrip(), found.end())


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a message and its Content-Type; opaque here."""

    content_type: str
    data: bytes

    def __post_init__(self) -> None:
        check(self.content_type)


def number_and_params(text: str) -> tuple[int, Params]:
    """Seconds, or another number, with what stands behind it; a comment is passed over. Raises
    SipError."""
    found = _DELTA.match(text)
    if found is None:
        raise SipError("malformed number of seconds")
    return parse_number(found.group(1)), parse_params(text.rstrip(), found.end())
