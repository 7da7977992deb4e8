"""Bodies and queries read into structs: fast when all is well, every fault named when not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from gateway.api.faults import find_faults
from gateway.api.problems import invalid
from gateway.errors import Fault, Refusal

BODY_TIMEOUT_S = 20.0
"""How long a body may take to arrive: whoever sends slower holds a connection, not the gateway."""

NOT_JSON = Fault("body", "is not valid JSON in UTF-8", "send one JSON object, encoded as UTF-8")
_ENCODED = Fault("Content-Encoding", "is not supported", "send the body uncompressed")
_NESTED = Fault("body", "is nested too deeply", "send the fields of the request only")

T = TypeVar("T", bound=msgspec.Struct)

Check = Callable[[str], Fault | None]
"""What is wrong with a text, if anything."""

Body = bytes | bytearray
"""What came over the network; a large body is not copied once more to make it `bytes`."""

to_plain = msgspec.json.Decoder().decode


class Misfit(Exception):
    """Data that does not fit its struct.

    `plain`: the data as it came, None if it was not JSON at all.
    """

    def __init__(self, faults: list[Fault], plain: object = None) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults
        self.plain = plain


async def read_body(request: web.Request, most_bytes: int) -> Body:
    """The whole body.

    Raises Refusal: `too-large` beyond `most_bytes`, `invalid-request` when it takes too long, or
    is compressed: there is no bomb to unpack.
    """
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise invalid([_ENCODED])
    length = request.content_length
    content = request.content
    if length is not None:
        if length > most_bytes:
            raise _too_large(most_bytes)
        if content.is_eof():
            return await content.read()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _gather(content, most_bytes)
    except TimeoutError:
        hint = "send it faster, or in smaller requests"
        fault = Fault("body", f"took longer than {BODY_TIMEOUT_S:.0f} s to arrive", hint)
        raise invalid([fault]) from None


async def _gather(content: Any, most_bytes: int) -> bytearray:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
    return body


def _too_large(most_bytes: int) -> Refusal:
    fault = Fault("body", f"is larger than {most_bytes} bytes", "send less, or in several requests")
    return Refusal("too-large", f"The body is larger than {most_bytes} bytes.", (fault,))


def plain_of(body: Body | msgspec.Raw) -> object:
    """JSON as plain data, or None where it is none."""
    try:
        return to_plain(body)
    except (ValueError, RecursionError):
        return None


class BodyReader:
    """Reads JSON into one struct type."""

    __slots__ = ("_decode", "_struct")

    def __init__(self, struct: type[Any]) -> None:
        self._struct = struct
        self._decode = msgspec.json.Decoder(struct).decode

    def read(
        self, body: Body | msgspec.Raw, path: str = "", defaults: dict[str, Any] | None = None
    ) -> Any:
        """The struct; `defaults` fill in what the body does not say.

        Raises Misfit with every fault; `path` stands before the fields' names.
        """
        try:
            plain = to_plain(body)
            if defaults and type(plain) is dict:
                plain = defaults | plain
                decoded = msgspec.convert(plain, self._struct)
            else:
                decoded = self._decode(body)
        except (ValueError, RecursionError):
            raise self._explain(body, path, defaults) from None
        if not defaults and bytes(body).count(b'"') == 2 * _texts(plain):
            return decoded
        if repeated := _repeated(bytes(body), path):
            raise Misfit(repeated, plain)
        return decoded

    def _explain(
        self, body: Body | msgspec.Raw, path: str, defaults: dict[str, Any] | None
    ) -> Misfit:
        where = path.removesuffix(".")
        try:
            plain = to_plain(body)
        except ValueError:
            return Misfit([_at(NOT_JSON, where)])
        except RecursionError:
            return Misfit([_at(_NESTED, where)])
        if defaults and isinstance(plain, dict):
            plain = defaults | plain
        faults = find_faults(self._struct, plain, path) + _repeated(bytes(body), path)
        return Misfit(faults or [_at(NOT_JSON, where)], plain)


def _at(fault: Fault, where: str) -> Fault:
    return Fault(where, fault.problem, fault.hint) if where else fault


def _texts(plain: object) -> int:
    """How many names and texts the data holds. Each took two quotation marks: more of them in the
    JSON means an escaped one, or a name that stood there twice, of which decoding kept the last."""
    count = 0
    if type(plain) is dict:
        count = len(plain)
        for value in plain.values():
            kind = type(value)
            if kind is str:
                count += 1
            elif kind is dict or kind is list:
                count += _texts(value)
    elif type(plain) is list:
        for value in plain:
            count += 1 if type(value) is str else _texts(value)
    return count


def _repeated(body: bytes, path: str) -> list[Fault]:
    """A fault for every name that stands twice in one object of the JSON."""
    names: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen = dict(pairs)
        if len(seen) != len(pairs):
            told = [name for name, _ in pairs]
            names.extend(name for name in seen if told.count(name) > 1)
        return seen

    try:
        json.loads(body, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return []
    return [Fault(f"{path}{name[:64]}", "is given twice", "give it once") for name in names[:100]]


def read_query(
    struct: type[T], request: web.Request, checks: Mapping[str, Check] | None = None
) -> T:
    """The query string as a struct.

    `checks` say what is wrong with a text that fits its type. Raises Refusal `invalid-request` with
    every fault.
    """
    query = request.query
    given: dict[str, str] = {}
    faults = []
    for name, value in query.items():
        if name in given:
            faults.append(Fault(name[:64], "is given twice", "give it once"))
        given[name] = value
    try:
        decoded = msgspec.convert(given, struct, strict=False)
    except msgspec.ValidationError:
        faults += find_faults(struct, given, is_strict=False)
    faults += [
        Fault(name, "holds something that is no character", "send UTF-8 without U+0000")
        for name, value in given.items()
        if "\0" in value or not _is_whole(value)
    ]
    named = {fault.field for fault in faults}
    faults += [
        fault
        for name, check in (checks or {}).items()
        if name in given and name not in named and (fault := check(given[name])) is not None
    ]
    if faults:
        raise invalid(faults)
    return decoded


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
