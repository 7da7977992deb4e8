"""Types and values of settings in words, for faults."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from config.links import STATUS_KEY, TAG, TLV


def expectation(field_type: Any) -> str:
    """What a key's type allows, in words: `a whole number from 1 to 65535`."""
    return _expectation(msgspec.inspect.type_info(field_type))


def _expectation(info: msgspec.inspect.Type) -> str:
    match info:
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType():
            return f"a whole number{_range(info)}"
        case msgspec.inspect.FloatType():
            return f"a number{_range(info)}"
        case msgspec.inspect.StrType():
            return _text(info)
        case msgspec.inspect.LiteralType(values=values):
            return f"one of {', '.join(_toml(value) for value in values)}"
        case msgspec.inspect.UnionType(types=types) if _has_struct(types):
            return 'a link, such as "acme" or { link = "acme", weight = 3, standby = 0 }'
        case msgspec.inspect.VarTupleType(item_type=item):
            return f"a list, each item {_expectation(item)}"
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            return f"a table from {_expectation(key)} to {_expectation(value)}"
        case _:
            return "the path of a file, as text"


def _has_struct(types: Iterable[msgspec.inspect.Type]) -> bool:
    return any(isinstance(each, msgspec.inspect.StructType) for each in types)


def _range(info: msgspec.inspect.IntType | msgspec.inspect.FloatType) -> str:
    low = f" above {info.gt:g}" if info.gt is not None else ""
    low = f" from {info.ge}" if info.ge is not None else low
    if info.le is None:
        return low
    return f"{low} to {info.le}" if info.ge is not None else f"{low}, at most {info.le:g}"


def _text(info: msgspec.inspect.StrType) -> str:
    parts = ["text" if info.pattern is None else _PATTERNS.get(info.pattern, info.pattern)]
    if info.min_length:
        parts.append("not empty")
    if info.max_length is not None:
        parts.append(f"at most {info.max_length} characters")
    return ", ".join(parts)


_PATTERNS = {
    r"^[A-Z]{2}\Z": 'a country such as "US"',
    r"^\+[0-9]{1,15}\Z": 'the beginning of phone numbers, such as "+1212"',
    r"^([A-Za-z_][A-Za-z0-9_.-]{0,31})?\Z": 'a user name such as "gateway"',
    r"^[A-Za-z0-9._-]{0,64}\Z": 'a name such as "gateway-1"',
    r"^[a-z0-9]+(-[a-z0-9]+)*\Z": 'a name such as "acme" or "acme-east-2"',
    r"^[A-Za-z0-9._:-]*\Z": "a host name or address",
    r"^[a-z]{2}\Z": 'a language such as "en"',
    r"^[1-9]?[0-9]{0,2}\Z": 'a country code such as "1"',
    r"^[1-9][0-9]{0,2}\Z": 'a country code such as "1"',
    r"^(\+[1-9][0-9]{7,14})?\Z": 'a phone number such as "+12125550100"',
    r"^[0-9A-Fa-f:.]*\Z": "an address",
    r"^[A-Za-z0-9_.!~*'()&=+$,;?/-]{0,64}\Z": "the name of a SIP account",
    r"^[!-~]{0,5}\Z": "at most 5 printable characters",
    TLV: 'a parameter such as "0x1400=abc" or "0x1401=hex:00FF"',
    TAG: 'a tag such as "0x1402"',
    STATUS_KEY: 'a status such as "ESME_RSUBMITFAIL", "0x0400" or "0x0400-0x04FF"',
}


def key_text(key: str) -> str:
    """A key as TOML writes it: bare where that is possible, else in quotes."""
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _toml(key)


def value_text(value: Any, *, is_secret: bool = False) -> str:
    """A faulty value as the file has it, cut short; of a secret only what kind of value it is."""
    if is_secret or isinstance(value, dict):
        length = f" of {len(value)} characters" if isinstance(value, str) else ""
        return f"{_KINDS.get(type(value), 'a date or time')}{length}"
    text = _toml(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


_KINDS = {dict: "a table", list: "a list", str: "text", bool: "true or false"} | dict.fromkeys(
    (int, float), "a number"
)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.translate(_ESCAPES) + '"'
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return _KINDS[dict] if isinstance(value, dict) else str(value)


_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(32), 34, 92, 127)}
