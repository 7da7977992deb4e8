"""Bytes to messages (RFC 3261 sections 7 and 25). Only SipError escapes.

Strict where leniency would let two readers see two messages (bare CR or LF, doubled single headers,
lengths that do not fit, control characters), lenient about white space, case and what later
sections are told to ignore.
"""

from __future__ import annotations

import re
from typing import Final

from protocols.sip.errors import SipError
from protocols.sip.fields import clean
from protocols.sip.flow import Hop, Outgoing
from protocols.sip.grammar import is_token, parse_number, unfold
from protocols.sip.headers import SINGLE, Headers, canonical
from protocols.sip.limits import DEFAULT_LIMITS, Limits
from protocols.sip.message import Request, Response
from protocols.sip.uri import Uri

_LONE_END: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
# Legal within a quoted string (quoted-pair), and of use to nobody: a space, so that what stands
# around it makes no word or line that nobody else saw.
_QUOTED_CONTROL: Final = re.compile(rb"\\[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_VERSION: Final = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE)
_STATUS: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: ([^\r\n]*))?", re.IGNORECASE)


class Head:
    """Start line and header lines, split but not understood; what a refusal is answered with."""

    __slots__ = ("body", "headers", "start")

    def __init__(self, start: str, headers: Headers, body: bytes) -> None:
        self.start = start
        self.headers = headers
        self.body = body

    @property
    def is_response(self) -> bool:
        return self.start[:4].upper() == "SIP/"


def parse(
    data: bytes, limits: Limits = DEFAULT_LIMITS, *, is_stream: bool = False
) -> Request | Response:
    """One message: a datagram, or what the framing cut out of a stream. Raises SipError; its
    `status_hint` is the code to answer a request with, 0 for what deserves no answer."""
    return understand(split(data, limits, is_stream=is_stream))


def split(data: bytes, limits: Limits = DEFAULT_LIMITS, *, is_stream: bool = False) -> Head:
    """Cut a message into lines. Raises SipError with hint 0: nothing here could be answered."""
    if len(data) > (limits.message_bytes if is_stream else limits.datagram_bytes):
        raise SipError("the message is too large", 0)
    data = data.lstrip(b"\r\n")
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        raise SipError("the message has no empty line after its headers", 0)
    if _LONE_END.search(head):
        raise SipError("the head has a line end out of place", 0)
    head = unfold(head)
    if _FORBIDDEN.search(head):
        head = _QUOTED_CONTROL.sub(b" ", head)
        if _FORBIDDEN.search(head):
            raise SipError("the head has a control character", 0)
    start, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    if len(lines) > limits.headers:
        raise SipError("too many headers", 0)
    return Head(start, Headers.received([_header(line, limits) for line in lines]), body)


def _header(line: str, limits: Limits) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or not is_token(name):
        raise SipError("malformed header line", 0)
    if len(line) > limits.header_bytes:
        raise SipError("a header is too long", 0)
    return canonical(name), value.strip(" \t")


def understand(head: Head) -> Request | Response:
    """The message that `head` stands for; what identifies a message is checked. Raises SipError."""
    if head.is_response:
        message: Request | Response = _status_line(head.start)
    else:
        message = _request_line(head.start)
    message.headers = head.headers
    try:
        _check(message)
        message.body = _body(head)
    except SipError as fault:
        if head.is_response:
            fault.status_hint = 0
        raise
    return message


def _status_line(line: str) -> Response:
    found = _STATUS.fullmatch(line)
    if found is None:
        raise SipError("malformed status line", 0)
    return Response(int(found.group(1)), clean(found.group(2) or ""))


def _request_line(line: str) -> Request:
    parts = line.split(" ")
    if len(parts) != 3 or not is_token(parts[0]):
        raise SipError("malformed request line")
    if parts[2].upper() != "SIP/2.0":
        is_version = _VERSION.fullmatch(parts[2]) is not None
        raise SipError("not SIP/2.0", 505 if is_version else 400)
    uri = Uri.parse(parts[1])
    if uri.headers:
        raise SipError("the Request-URI has headers")
    return Request(parts[0], uri)


def _check(message: Request | Response) -> None:
    """The fields that every message has, once each (section 8.1.1)."""
    seen = set()
    for name, _ in message.headers:
        if name in SINGLE:
            if name in seen:
                raise SipError(f"{name} is there twice")
            seen.add(name)
    cseq = message.cseq
    _ = message.via
    for address in (message.from_, message.to):
        if "tag" in address.params and not address.tag:
            raise SipError("a tag is empty")
    call_id = message.call_id
    if not call_id or len(call_id.split()) != 1:
        raise SipError("malformed Call-ID")
    if isinstance(message, Request):
        if cseq.method != message.method:
            raise SipError("CSeq names another method")
        max_forwards = message.headers.get("Max-Forwards")
        if max_forwards is not None:
            parse_number(max_forwards, 255)


def _body(head: Head) -> bytes:
    """As long as Content-Length says; a datagram's ends with it, and may be followed by octets that
    do not count (section 18.3)."""
    length = head.headers.get("Content-Length")
    if length is None:
        return head.body
    size = parse_number(length)
    if size > len(head.body):
        raise SipError("the body is shorter than Content-Length says")
    return head.body[:size]


def way_back(response: Outgoing) -> Hop:
    """Where a response of ours goes when the connection of its request is gone: the address that
    the request came from, at the port of sent-by (RFC 3261 section 18.2.2)."""
    hop = response.hop
    try:
        port = parse(response.data, is_stream=True).via.port
    except SipError:
        port = None
    return Hop(hop.transport, hop.host, port or hop.transport.default_port)
