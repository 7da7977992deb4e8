"""Names every faulty field of data that did not fit its type.

The fast path decodes straight into structs and stops at the first fault. This slow path is walked
only after it failed: it compares plain data with the struct's fields one by one.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import inspect

from gateway.errors import Fault

_MOST = 100
"""Faults that one document names: enough for every field there is, few enough for a document."""


def find_faults(
    struct: type[msgspec.Struct], data: object, path: str = "", *, is_strict: bool = True
) -> list[Fault]:
    """Every field of `data` that does not fit `struct`. `path`: what stands before the fields'
    names: `messages[3].`.

    `is_strict` False reads numbers from text, as in a query string.
    """
    found = []
    for fault in _of_object(struct, data, path, is_strict):
        found.append(fault)
        if len(found) == _MOST:
            break
    return found


def _of_object(
    struct: type[msgspec.Struct], data: object, path: str, is_strict: bool
) -> Iterator[Fault]:
    if not isinstance(data, dict):
        where = path.removesuffix(".") or "body"
        yield Fault(where, f"is {_kind(data)}, not an object", "send a JSON object")
        return
    fields = _fields(struct)
    for name in data:
        if name not in fields:
            yield unknown_field(name, fields, path)
    for name, field in fields.items():
        if name in data:
            yield from _of_value(field.type, data[name], f"{path}{name}", is_strict)
        elif field.required:
            yield Fault(f"{path}{name}", "is missing", "it has no default: send it")


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(struct)}


def unknown_field(name: str, known: Iterable[str], path: str = "") -> Fault:
    """The fault of a name that is none of those known, with the one that was probably meant."""
    shown = "".join(c if c.isprintable() else "?" for c in name[:64]) or '""'
    close = difflib.get_close_matches(shown, list(known), 1)
    hint = f"did you mean `{close[0]}`?" if close else f"known fields: {', '.join(known)}"
    return Fault(f"{path}{shown}", "is not a known field", hint)


def _of_value(type_: Any, value: object, path: str, is_strict: bool) -> Iterator[Fault]:
    inner = _without_none(type_)
    if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        yield from _of_object(inner, value, f"{path}.", is_strict)
        return
    if isinstance(value, list) and get_origin(inner) is list:
        (item,) = get_args(inner)
        for index, element in enumerate(value):
            yield from _of_value(item, element, f"{path}[{index}]", is_strict)
        return
    try:
        msgspec.convert(value, type_, strict=is_strict)
    except (msgspec.ValidationError, RecursionError):
        yield _misfit(inner, value, path)


def _without_none(type_: Any) -> Any:
    """The type that a value has when it is not null, without its annotations."""
    if get_origin(type_) in (Union, types.UnionType):
        type_ = next(each for each in get_args(type_) if each is not type(None))
    return type_


def _misfit(type_: Any, value: object, path: str) -> Fault:
    """What is wrong with a value, told without the value."""
    bare = get_args(type_)[0] if get_origin(type_) is Annotated else type_
    if get_origin(bare) is Literal:
        choices = ", ".join(f'"{choice}"' for choice in get_args(bare))
        if isinstance(value, str):
            return Fault(path, f"is not one of {choices}", "choose one of them")
        return Fault(path, f"is {_kind(value)}, not text", f"choose one of {choices}")
    if bare is datetime:
        hint = 'give a time with its zone: "2030-12-31T18:30:00Z"'
        return Fault(path, "is not a time with a zone (RFC 3339)", hint)
    info = inspect.type_info(type_)
    if isinstance(info, inspect.StrType):
        return _bad_text(info, value, path)
    if isinstance(info, inspect.IntType):
        return Fault(path, "is not a whole number in range", f"give one {_range(info)}")
    if get_origin(bare) is list:
        return Fault(path, f"is {_kind(value)}, not a list", "send a JSON array")
    return Fault(path, f"is {_kind(value)}, not an object", "send a JSON object")


def _bad_text(info: inspect.StrType, value: object, path: str) -> Fault:
    if not isinstance(value, str):
        return Fault(path, f"is {_kind(value)}, not text", "send a JSON string")
    if info.min_length and len(value) < info.min_length:
        return Fault(path, "is empty", "give at least one character")
    return Fault(
        path, f"is longer than {info.max_length} characters", f"give at most {info.max_length}"
    )


def _range(info: inspect.IntType) -> str:
    if info.ge is not None and info.le is not None:
        return f"from {info.ge} to {info.le}"
    return "that is whole"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
