"""SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966); other schemes are carried as they
are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from urllib.parse import quote as escape
from urllib.parse import unquote as unescape

from protocols.sip.errors import FieldError, SipError
from protocols.sip.grammar import Params, parse_number

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*+):")
_OPAQUE: Final = re.compile(r"[!-;=?-~]++")  # printable ASCII without < and >
_ESC: Final = r"%[0-9A-Fa-f]{2}"
_USERINFO: Final = re.compile(
    rf"((?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#]|{_ESC})++)"
    rf"(?::((?:[A-Za-z0-9\-_.!~*'()&=+$,]|{_ESC})*+))?@"
)
HOST: Final = r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_.])?"
_HOSTPORT: Final = re.compile(rf"({HOST})(?::([0-9]{{1,5}}))?(?=[;?]|$)")
_PNAME: Final = rf"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|{_ESC})++"
# Proxies hide what they like in values: the grammar has no `=` in them, and none that are empty.
_PVALUE: Final = rf"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$=]|{_ESC})*+"
_PARAM: Final = re.compile(rf";({_PNAME})(?:=({_PVALUE}))?+")
_HEADERS: Final = re.compile(rf"\?((?:[A-Za-z0-9\-_.!~*'()\[\]/?:+$=&]|{_ESC})++)$")
_TEL: Final = re.compile(r"(\+?[\-.()]*+[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*+)(?=;|$)")
_HOST_ONLY: Final = re.compile(HOST)
_SAFE_USER: Final = "-_.!~*'()&=+$,;?/"
_SAFE_PARAM: Final = "-_.!~*'()[]/:&+$"
_VISUAL: Final = re.compile(r"[\-.()]")
_NUMBER: Final = re.compile(r"\+?[0-9*#]+")


def parse_host(text: str) -> str:
    """A host name or address in lower case; IPv6 keeps its brackets. Raises SipError."""
    if not _HOST_ONLY.fullmatch(text):
        raise SipError("malformed host")
    if text[0] == "[":
        try:
            IPv6Address(text[1:-1])
        except AddressValueError:
            raise SipError("malformed IPv6 address") from None
    return text.lower()


def parse_port(text: str | None) -> int | None:
    """A port of 1 to 65535, None without one. Raises SipError."""
    if text is None:
        return None
    port = parse_number(text, 65_535)
    if not port:
        raise SipError("a port is out of range")
    return port


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI. User, password, parameters and headers are kept escaped, as on the wire; make one of
    plain text with `Uri.sip`."""

    scheme: str
    """In lower case."""
    user: str | None = None
    password: str | None = None
    host: str = ""
    """In lower case; empty for tel and unknown schemes."""
    port: int | None = None
    params: Params = field(default_factory=dict)
    """Names in lower case."""
    headers: str = ""
    """What stands behind the `?`."""
    opaque: str = ""
    """All behind the colon, of a scheme that we do not know."""

    @classmethod
    def sip(
        cls,
        user: str | None,
        host: str,
        port: int | None = None,
        params: Mapping[str, str | None] | None = None,
        *,
        is_secure: bool = False,
    ) -> Uri:
        """A SIP or SIPS URI of plain text; what needs escaping is escaped. Raises FieldError for a
        host or port that is none, and for control characters."""
        try:
            host = parse_host(host)
            parse_port(str(port) if port is not None else None)
        except SipError:
            raise FieldError("a host or port cannot be written") from None
        texts = [user or "", *(params or {}), *(value or "" for value in (params or {}).values())]
        if any(not text.isprintable() for text in texts):
            raise FieldError("a control character cannot be sent in a URI")
        return cls(
            scheme="sips" if is_secure else "sip",
            user=escape(user, safe=_SAFE_USER) if user else None,
            host=host,
            port=port,
            params={
                escape(name.lower(), safe=_SAFE_PARAM): (
                    escape(value, safe=_SAFE_PARAM) if value is not None else None
                )
                for name, value in (params or {}).items()
            },
        )

    @classmethod
    def parse(cls, text: str) -> Uri:
        """Raises SipError for what is no URI; 416 is for the caller to say."""
        scheme = _SCHEME.match(text)
        if scheme is None or not _OPAQUE.fullmatch(text):
            raise SipError("malformed URI")
        name = scheme.group(1).lower()
        if name in ("sip", "sips"):
            return _parse_sip(name, text, scheme.end())
        if name == "tel":
            return _parse_tel(text, scheme.end())
        return cls(scheme=name, opaque=text[scheme.end() :])

    @property
    def is_sip(self) -> bool:
        return self.scheme in ("sip", "sips")

    @property
    def user_text(self) -> str:
        """The user part without escapes, characters that do not print left out."""
        text = unescape(self.user or "", errors="replace")
        return text if text.isprintable() else "".join(c for c in text if c.isprintable())

    @property
    def number(self) -> str:
        """The telephone number of a tel URI or of the user part, separators and parameters left
        out; empty when there is none."""
        digits = _VISUAL.sub("", self.user_text.partition(";")[0])
        return digits if _NUMBER.fullmatch(digits) else ""

    @property
    def is_loose_router(self) -> bool:
        """Whether `lr` is there (section 19.1.1)."""
        return "lr" in self.params

    def without_headers(self) -> Uri:
        """Fit for a Request-URI: no headers, no method parameter (section 19.1.5)."""
        if not self.headers and "method" not in self.params:
            return self
        params = {name: value for name, value in self.params.items() if name != "method"}
        return Uri(self.scheme, self.user, self.password, self.host, self.port, params)

    def is_same_contact(self, other: Uri) -> bool:
        """Scheme, user, host and port are equal: how a binding of ours is known again."""
        return (self.scheme, unescape(self.user or ""), self.host, self.port or 5060) == (
            other.scheme,
            unescape(other.user or ""),
            other.host,
            other.port or 5060,
        )

    def __str__(self) -> str:
        if self.opaque:
            return f"{self.scheme}:{self.opaque}"
        text = f"{self.scheme}:"
        if self.user is not None:
            text += self.user
            if self.password is not None:
                text += f":{self.password}"
            if self.host:
                text += "@"
        text += self.host
        if self.port is not None:
            text += f":{self.port}"
        for name, value in self.params.items():
            text += f";{name}" if value is None else f";{name}={value}"
        return f"{text}?{self.headers}" if self.headers else text


def _parse_sip(scheme: str, text: str, start: int) -> Uri:
    user = password = None
    if "@" in text:
        found = _USERINFO.match(text, start)
        if found is None:
            raise SipError("malformed user part of a URI")
        user, password = found.groups()
        start = found.end()
    found = _HOSTPORT.match(text, start)
    if found is None:
        raise SipError("malformed host of a URI")
    host, port = parse_host(found.group(1)), parse_port(found.group(2))
    params, start = _parse_params(text, found.end())
    headers = ""
    if start < len(text):
        found = _HEADERS.match(text, start)
        if found is None:
            raise SipError("malformed URI")
        headers = found.group(1)
    return Uri(scheme, user, password, host, port, params, headers)


def _parse_tel(text: str, start: int) -> Uri:
    found = _TEL.match(text, start)
    if found is None:
        raise SipError("malformed telephone number")
    params, end = _parse_params(text, found.end())
    if end < len(text):
        raise SipError("malformed tel URI")
    return Uri("tel", user=found.group(1), params=params)


def _parse_params(text: str, start: int) -> tuple[Params, int]:
    params: Params = {}
    while start < len(text) and text[start] == ";":
        found = _PARAM.match(text, start)
        if found is None:
            raise SipError("malformed URI parameter")
        name = found.group(1).lower()
        if name in params:
            raise SipError("a URI parameter is there twice")
        params[name] = found.group(2)
        start = found.end()
    return params, start
