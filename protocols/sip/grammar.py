"""The pieces of RFC 3261 section 25 that several headers share: tokens, quoted strings, lists,
parameters. All patterns run in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from protocols.sip.errors import FieldError, SipError

_TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]++"  # noqa: S105 - the grammar's word, no secret
QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'

TOKEN: Final = re.compile(_TOKEN)
UNSAFE: Final = re.compile(r"[\x00\r\n\ud800-\udc7f\udd00-\udfff]")
CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udc7f\udd00-\udfff]")

_LIST_ITEM: Final = re.compile(rf'(?:[^",<]|{QUOTED}|<[^>]*+>)*+')
_PARAM: Final = re.compile(rf"\s*+;\s*+({_TOKEN})(?:\s*+=\s*+({QUOTED}|[^\s;,\"<>]++))?+\s*+")
_AUTH_PARAM: Final = re.compile(rf"\s*+({_TOKEN})\s*+=\s*+({QUOTED}|[^\s,\"]*+)\s*+")
_COMMAS: Final = re.compile(r"[\s,]*+")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
# Begins at the first of a run of blanks only: begun at each, it would cost the square of the run.
_FOLD: Final = re.compile(rb"(?<![ \t])[ \t]*+(?:\r\n[ \t]++)++")
# What needs no quotes: more than a token, for peers write tags and branches as they please, and
# know them again only as they wrote them.
_PLAIN_VALUE: Final = re.compile(r"[!#-+\-.-:=?-\[\]-~]++")

Params = dict[str, str | None]
"""Parameter names in lower case → value without its quotes; None for a name alone."""


def unfold(head: bytes) -> bytes:
    """Header lines with their continuations joined by a space (RFC 3261 section 7.3.1)."""
    if b"\r\n " in head or b"\r\n\t" in head:
        return _FOLD.sub(b" ", head)
    return head


def is_token(text: str) -> bool:
    """Whether `text` is a token (RFC 3261 section 25.1)."""
    return TOKEN.fullmatch(text) is not None


def split_list(value: str) -> list[str]:
    """The elements of a comma list; commas in quoted strings and <> do not separate. Raises
    SipError for unbalanced quotes and for empty elements."""
    if '"' not in value and "<" not in value:
        items = value.split(",")
    else:
        items = []
        start = 0
        while True:
            found = _LIST_ITEM.match(value, start)
            end = found.end() if found else start
            items.append(value[start:end])
            if end == len(value):
                break
            if value[end] != ",":
                raise SipError("a quoted string or <> is not closed")
            start = end + 1
    items = [item.strip() for item in items]
    if not all(items):
        raise SipError("a list has an empty element")
    return items


def split_tokens(values: Iterable[str]) -> list[str]:
    """The tokens of headers such as Allow and Supported; empty headers and elements count for
    nothing. Raises SipError for what is no token."""
    found = [item.strip() for value in values for item in value.split(",")]
    tokens = [token for token in found if token]
    if not all(map(is_token, tokens)):
        raise SipError("a list of tokens holds something else")
    return tokens


def parse_params(text: str, start: int = 0) -> Params:
    """`;name=value` from `start` to the end of `text`. Raises SipError for anything else there, and
    for a name twice."""
    params: Params = {}
    while start < len(text):
        found = _PARAM.match(text, start)
        if found is None:
            raise SipError("malformed parameters")
        name, value = found.groups()
        name = name.lower()
        if name in params:
            raise SipError(f"parameter {name} is there twice")
        params[name] = unquote(value) if value is not None else None
        start = found.end()
    return params


def parse_auth_params(text: str) -> dict[str, str]:
    """`name=value, …` of a challenge or of credentials (RFC 3261 section 25.1, auth-param); empty
    elements count for nothing. Raises SipError for anything else, and for a name twice."""
    params: dict[str, str] = {}
    start = _skip_commas(text, 0)
    while start < len(text):
        found = _AUTH_PARAM.match(text, start)
        if found is None or found.end() < len(text) and text[found.end()] != ",":
            raise SipError("malformed authentication parameters")
        name = found.group(1).lower()
        if name in params:
            raise SipError(f"authentication parameter {name} is there twice")
        params[name] = unquote(found.group(2))
        start = _skip_commas(text, found.end())
    if not params:
        raise SipError("no authentication parameters")
    return params


def _skip_commas(text: str, start: int) -> int:
    found = _COMMAS.match(text, start)
    return found.end() if found is not None else start


def unquote(text: str) -> str:
    """What a quoted string says; other text as it is."""
    if len(text) < 2 or text[0] != '"':
        return text
    return _ESCAPED.sub(r"\1", text[1:-1]) if "\\" in text else text[1:-1]


def quote(text: str) -> str:
    """`text` as a quoted string. Raises FieldError for control characters."""
    check(text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def format_params(params: Mapping[str, str | None]) -> str:
    """`;name=value` for each; values that need quotes get them. Raises FieldError
    for a name that is no token and for control characters."""
    parts = []
    for name, value in params.items():
        if not is_token(name):
            raise FieldError("a parameter name is no token")
        if value is None:
            parts.append(f";{name}")
        else:
            plain = _PLAIN_VALUE.fullmatch(value)
            parts.append(f";{name}={value if plain else quote(value)}")
    return "".join(parts)


def check(text: str) -> str:
    """`text`, if no control character is in it (tab aside); else raises FieldError."""
    if CONTROL.search(text):
        raise FieldError("a control character cannot be sent in a header")
    return text


def parse_number(text: str, limit: int = 2**32 - 1) -> int:
    """A decimal number. Raises SipError when it is none or over `limit`."""
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) > limit:
        raise SipError("a number is malformed or out of range")
    return int(text)
