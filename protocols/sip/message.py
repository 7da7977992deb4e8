"""Requests and responses (RFC 3261 section 7)."""

from __future__ import annotations

from typing import Final

from protocols.sip.errors import FieldError, SipError
from protocols.sip.fields import Body, CSeq, NameAddr, Via, number_and_params, parse_addresses
from protocols.sip.grammar import UNSAFE, is_token, split_tokens
from protocols.sip.headers import Headers
from protocols.sip.uri import Uri

PHRASES: Final = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    600: "Busy Everywhere",
    603: "Decline",
    606: "Not Acceptable",
}


class Message:
    """What requests and responses share. The fields that identify a message are read once; headers
    are not changed after that, the top Via of a request aside."""

    __slots__ = ("_cseq", "_from", "_to", "_via", "body", "headers")

    def __init__(self, headers: Headers | None = None, body: bytes = b"") -> None:
        self.headers = headers if headers is not None else Headers()
        self.body = body
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._cseq: CSeq | None = None

    def required(self, name: str) -> str:
        """The value of a header. Raises SipError without one."""
        value = self.headers.get(name)
        if value is None:
            raise SipError(f"{name} is missing")
        return value

    @property
    def via(self) -> Via:
        """The top Via."""
        if self._via is None:
            self._via = Via.parse(_first(self.required("Via")))
        return self._via

    @property
    def from_(self) -> NameAddr:
        if self._from is None:
            self._from = NameAddr.parse(self.required("From"))
        return self._from

    @property
    def to(self) -> NameAddr:
        if self._to is None:
            self._to = NameAddr.parse(self.required("To"))
        return self._to

    @property
    def cseq(self) -> CSeq:
        if self._cseq is None:
            self._cseq = CSeq.parse(self.required("CSeq"))
        return self._cseq

    @property
    def call_id(self) -> str:
        return self.required("Call-ID")

    @property
    def contacts(self) -> list[NameAddr]:
        """The addresses of Contact; `*` raises SipError, as all that is no address."""
        return parse_addresses(self.headers.get_all("Contact"))

    @property
    def content(self) -> Body | None:
        """The body with its type; None without one."""
        if not self.body:
            return None
        return Body(self.headers.get("Content-Type") or "", self.body)

    def tokens(self, name: str) -> frozenset[str]:
        """The tokens of Supported, Require, Allow … in lower case. Raises SipError."""
        return frozenset(token.lower() for token in split_tokens(self.headers.get_all(name)))

    def number(self, name: str) -> int | None:
        """A header that is a decimal number, its parameters aside; None without it. Raises
        SipError."""
        value = self.headers.get(name)
        return number_and_params(value)[0] if value is not None else None

    def set_body(self, body: Body | None) -> None:
        if body is not None:
            self.headers.set("Content-Type", body.content_type)
            self.body = body.data

    def _encode(self, start: str) -> bytes:
        """Raises FieldError when a line end or NUL is anywhere in start line or headers: nothing
        that was put together elsewhere can slip through."""
        lines = [start]
        lines += [f"{name}: {value}" for name, value in self.headers if name != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}")
        if any(UNSAFE.search(line) for line in lines):
            raise FieldError("a line end cannot be sent in a header")
        lines += ["", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


class Request(Message):
    """A request; `method` is case-sensitive."""

    __slots__ = ("method", "uri")

    def __init__(
        self, method: str, uri: Uri, headers: Headers | None = None, body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        self.method = method
        self.uri = uri

    def replace_via(self, via: Via) -> None:
        """Write a new top Via; the others stay."""
        first, comma, rest = _split_first(self.required("Via"))
        self.headers.set_first("Via", f"{via}{comma}{rest}")
        self._via = via

    def encode(self) -> bytes:
        """The bytes to send. Raises FieldError for a method that is no token or a URI with spaces,
        brackets or control characters."""
        uri = str(self.uri)
        if not is_token(self.method) or not uri.isprintable() or set(" <>") & set(uri):
            raise FieldError("a request line cannot be written")
        return self._encode(f"{self.method} {uri} SIP/2.0")


class Response(Message):
    """A response. The phrase of one that came is safe to show."""

    __slots__ = ("code", "phrase")

    def __init__(
        self, code: int, phrase: str = "", headers: Headers | None = None, body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        self.code = code
        self.phrase = phrase

    @property
    def is_provisional(self) -> bool:
        return self.code < 200

    @property
    def is_success(self) -> bool:
        return 200 <= self.code < 300

    def encode(self) -> bytes:
        if not 100 <= self.code < 700:
            raise FieldError("a response code is out of range")
        return self._encode(f"SIP/2.0 {self.code} {self.phrase}")


def respond(request: Request, code: int, tag: str = "", phrase: str = "") -> Response:
    """A response with what it takes from the request (section 8.2.6): Via, From, To, Call-ID, CSeq;
    `tag` is put into To unless it has one."""
    headers = Headers.received(
        [item for item in request.headers if item[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
    )
    response = Response(code, phrase or PHRASES.get(code, ""), headers)
    if tag and code > 100 and not request.to.tag:
        headers.set_first("To", f"{request.required('To')};tag={tag}")
    return response


def _split_first(value: str) -> tuple[str, str, str]:
    """The first element of a Via value and the rest. A comma never stands within one, quoted
    parameters aside."""
    if '"' not in value:
        return value.partition(",")
    is_quoted = False
    for i, char in enumerate(value):
        if char == '"' and value[i - 1 : i] != "\\":
            is_quoted = not is_quoted
        elif char == "," and not is_quoted:
            return value[:i], ",", value[i + 1 :]
    return value, "", ""


def _first(value: str) -> str:
    return _split_first(value)[0].strip()
