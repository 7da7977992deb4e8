"""POST /v1/messages/batch: up to 10,000 messages in one request, each accepted or refused by
itself.

The body is split into undecoded items in one pass, and the items are worked on in slices of a few
milliseconds, so that other requests and the links never wait for a batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import msgspec
from aiohttp import web

from gateway.api.auth import Caller
from gateway.api.context import ApiContext
from gateway.api.decoding import NOT_JSON, Body, BodyReader, Misfit, plain_of, read_body
from gateway.api.endpoints import Endpoint
from gateway.api.faults import find_faults, unknown_field
from gateway.api.messages import (
    KEY_HEADER,
    Taken,
    check_header,
    require_quota,
    whose,
    with_meaning,
)
from gateway.api.problems import document, invalid
from gateway.dispatch.acceptance import Draft
from gateway.dispatch.intake import Idempotency, Outcome
from gateway.dispatch.request import SendRequest
from gateway.errors import Fault, Refusal

SLICE_S = 0.0005
"""How long a batch may hold the event loop at a time. Several are read by turns, and behind all of
them wait the answers of PostgreSQL, with the writer that needs them: with 3 ms instead, a load of
batches went a tenth slower.
"""
TURN_WAIT_S = 1.0
"""How long a batch waits for its turn to be read before it is refused."""
_LOOKS = 8
"""Items between two looks at the clock."""

_encode = msgspec.json.Encoder().encode


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Messages, each a send request; `defaults` holds for those that do not say it themselves."""

    messages: list[SendRequest]
    defaults: dict[str, Any] = {}


class ItemResult(Taken, kw_only=True, omit_defaults=True):
    """What became of the item at `index`: an accepted message, or a problem document.

    `replayed`: of an earlier request.
    """

    index: int
    id: str = ""
    status: str = ""
    channel: str = ""
    encoding: str = ""
    segments: int = 0
    replayed: bool = False
    problem: dict[str, Any] | None = None


class BatchResult(msgspec.Struct):
    """One result for each message, in order."""

    results: list[ItemResult]


_FIELDS = ("messages", "defaults")
_outline = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_split_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_item = BodyReader(SendRequest)


class _Pace:
    """Gives the event loop back when a slice is over."""

    __slots__ = ("_start", "_steps")

    def __init__(self) -> None:
        self._steps = 0
        self._start = perf_counter()

    async def step(self) -> None:
        self._steps += 1
        if self._steps % _LOOKS == 0 and perf_counter() - self._start > SLICE_S:
            await asyncio.sleep(0)
            self._start = perf_counter()


@dataclass(slots=True)
class _Batch:
    """A batch on its way. `results` fills up with encoded results by index."""

    context: ApiContext
    caller: Caller
    header: str | None
    defaults: dict[str, Any]
    items: list[msgspec.Raw]
    pace: _Pace = field(default_factory=_Pace)
    results: list[bytes] = field(default_factory=list)
    refused: list[tuple[int, int, Idempotency, Refusal]] = field(default_factory=list)
    """Index, shop, key and refusal of what is answered as before if it was posted before."""
    drafts: list[Draft] = field(default_factory=list)
    keys: list[Idempotency | None] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    more: dict[int, int] = field(default_factory=dict)
    """Messages of each shop that this batch is about to add."""
    replays: int = 0


async def create(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """Accept many messages: those accepted are durable when this answers."""
    async with _turn(context):
        batch = await _read(context, caller, request)
    await context.deadline.keep(_store(batch))
    is_replay = batch.replays == len(batch.results)
    return web.Response(
        body=b'{"results":[' + b",".join(batch.results) + b"]}",
        status=202,
        content_type="application/json",
        headers={"Idempotent-Replayed": "true"} if is_replay else None,
    )


@asynccontextmanager
async def _turn(context: ApiContext) -> AsyncIterator[None]:
    """Let few batches at a time be in memory as they came. Raises Refusal `unavailable`."""
    try:
        async with asyncio.timeout(TURN_WAIT_S):
            await context.batches.acquire()
    except TimeoutError:
        detail = "As many batches are being read as may be at a time."
        raise Refusal("unavailable", detail, retry_after_s=2) from None
    try:
        yield
    finally:
        context.batches.release()


async def _read(context: ApiContext, caller: Caller, request: web.Request) -> _Batch:
    """The batch, its items made drafts or refused; what came over the network is dropped."""
    body = await read_body(request, context.settings.http.batch_max_bytes)
    batch = await _split(context, caller, body, request.headers.get(KEY_HEADER))
    batch.results = [b""] * len(batch.items)
    for index in range(len(batch.items)):
        _draft(batch, index)
        await batch.pace.step()
    batch.items = []
    return batch


async def _store(batch: _Batch) -> None:
    """Give every item its result: from the first answer under its key, or from the writer."""
    intake = batch.context.intake
    if batch.refused:
        earlier = await intake.replays([(shop, key) for _, shop, key, _ in batch.refused])
        for (index, _, _, refusal), outcome in zip(batch.refused, earlier, strict=True):
            _put(batch, index, refusal if outcome is None else outcome)
            await batch.pace.step()
    if batch.drafts:
        outcomes = await intake.accept(batch.drafts, batch.keys)
        for index, draft, outcome in zip(batch.indexes, batch.drafts, outcomes, strict=True):
            _put(batch, index, outcome, draft)
            await batch.pace.step()


async def _split(context: ApiContext, caller: Caller, body: Body, header: str | None) -> _Batch:
    """The batch, its items not yet decoded. Raises Refusal for what is wrong with it as a whole."""
    faults: list[Fault] = []
    check_header(header, faults)
    try:
        outline = _outline(body)
    except (ValueError, RecursionError):
        raise invalid([*faults, NOT_JSON]) from None
    faults += [unknown_field(name, _FIELDS) for name in outline if name not in _FIELDS]
    defaults = _defaults(outline.get("defaults"), faults)
    await asyncio.sleep(0)
    items = _items(outline.get("messages"), faults)
    await asyncio.sleep(0)
    if faults:
        raise invalid(faults)
    most = context.settings.http.batch_max_items
    if len(items) > most:
        problem = f"holds {len(items)} messages; at most {most} are allowed"
        fault = Fault("messages", problem, "send them in several batches")
        raise Refusal("too-large", f"A batch holds at most {most} messages.", (fault,))
    return _Batch(context, caller, header, defaults, items)


def _items(raw: msgspec.Raw | None, faults: list[Fault]) -> list[msgspec.Raw]:
    if raw is None:
        faults.append(Fault("messages", "is missing", "give at least one message"))
        return []
    try:
        items = _split_list(raw)
    except (ValueError, RecursionError):
        faults.append(Fault("messages", "is not a list", "send a JSON array of send requests"))
        return []
    if not items:
        faults.append(Fault("messages", "is empty", "give at least one message"))
    return items


def _defaults(raw: msgspec.Raw | None, faults: list[Fault]) -> dict[str, Any]:
    """The defaults, each of them sound by itself."""
    if raw is None:
        return {}
    plain = plain_of(raw)
    if not isinstance(plain, dict):
        faults.append(Fault("defaults", "is not an object", "send a JSON object"))
        return {}
    faults += find_faults(SendRequest, {"text": "-"} | plain, "defaults.")
    if "idempotency_key" in plain:
        hint = f"use the header {KEY_HEADER}, or a key in each message"
        faults.append(Fault("defaults.idempotency_key", "would be the same for all", hint))
    return plain


def _draft(batch: _Batch, index: int) -> None:
    """Make one item a draft, or its result a problem."""
    prefix = f"messages[{index}]."
    context = batch.context
    try:
        wanted = _item(batch, index, prefix)
        header = None if batch.header is None else f"{batch.header}#{index}"
        shop, key = whose(context, batch.caller, wanted, header, prefix)
    except Refusal as refusal:
        _put(batch, index, refusal)
        return
    more = batch.more.get(shop.id, 0)
    try:
        require_quota(context, shop, more)
        draft = context.acceptance.draft(shop, wanted, context.now_ms())
    except Refusal as refusal:
        told = _located(refusal, prefix)
        if key is None:
            _put(batch, index, told)
        else:
            batch.refused.append((index, shop.id, key, told))
        return
    batch.more[shop.id] = more + 1
    batch.drafts.append(draft)
    batch.keys.append(key)
    batch.indexes.append(index)


def _item(batch: _Batch, index: int, prefix: str) -> SendRequest:
    """An item with the defaults filled in. Raises Refusal that names every faulty field."""
    raw = batch.items[index]
    most = batch.context.settings.http.body_max_bytes
    if len(bytes(raw)) > most:
        fault = Fault(prefix.removesuffix("."), f"is larger than {most} bytes", "send less")
        raise Refusal("too-large", f"A message is larger than {most} bytes.", (fault,))
    try:
        wanted: SendRequest = _read_item.read(raw, prefix, batch.defaults)
    except Misfit as misfit:
        faults = with_meaning(batch.context, misfit.faults, misfit.plain, prefix)
        raise invalid(faults) from None
    return wanted


def _located(refusal: Refusal, prefix: str) -> Refusal:
    """The refusal with its fields named from the batch's point of view."""
    faults = tuple(Fault(prefix + f.field, f.problem, f.hint) for f in refusal.faults)
    return Refusal(
        refusal.type,
        refusal.detail,
        faults,
        hint=refusal.hint,
        retry_after_s=refusal.retry_after_s,
    )


def _put(batch: _Batch, index: int, outcome: Outcome, draft: Draft | None = None) -> None:
    """Encode the result of one item."""
    if isinstance(outcome, Refusal):
        told = _encode({"index": index, "problem": document(outcome)})
    elif outcome.is_replay:
        batch.replays += 1
        told = b'{"index":%d,"replayed":true,%b' % (index, outcome.answer[1:])
    else:
        told = b'{"index":%d,%b' % (index, outcome.answer[1:])
        if draft is not None:
            batch.context.metrics.accepted(draft.message.channel, draft.message.category)
    batch.results[index] = told


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/messages/batch",
        create,
        "Send up to 10,000 messages",
        body=BatchRequest,
        answer=BatchResult,
        status=202,
        problems=("invalid-request", "too-large", "unavailable"),
    ),
)
