"""What single steps of the message path cost, each by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from bench.people import body_of, text
from bench.site import Site
from config.settings import LimitSettings, SmsSettings
from gateway.dispatch.acceptance import Acceptance, Draft, answer, settle_draft
from gateway.dispatch.request import SendRequest
from gateway.ids import IdSource, show, wall_ms
from gateway.model import Category, State
from gateway.phone import normalize
from gateway.policy.gate import decide
from gateway.store.database import HotConnection
from gateway.store.queries import load
from gateway.store.records import Number, Shop
from protocols.smpp import decode, encode_submit_body, pack_header
from protocols.sms.encoding import Encoding, choose, encode
from protocols.sms.message_ids import normal_form
from protocols.sms.receipts import parse
from protocols.sms.segment import segments

_RUN_S = 0.1
_GROUP = 100
_RECEIPT = (
    b"id:1763841234567890 sub:001 dlvrd:001 submit date:2611221030 done date:2611221031"
    b" stat:DELIVRD err:000 text:"
)


def cost_us(work: Callable[[], object]) -> float:
    """Microseconds a call, the best of five stretches."""
    calls, took = 1, 0.0
    while took < _RUN_S / 10:
        calls *= 2
        took = _time(work, calls)
    calls = max(1, int(calls * _RUN_S / took))
    return min(_time(work, calls) for _ in range(5)) / calls * 1e6


def _time(work: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - start


def functions() -> dict[str, float]:
    """The steps of a post that need no store, in microseconds."""
    return {name: cost_us(work) for name, work in (_judging() | _coding()).items()}


def _judging() -> dict[str, Callable[[], object]]:
    number = Number("+13125550100", 1, 1, "acme")
    shop = Shop(
        1, "sample", "Sample Bridal", "+12125550100", "owner@example.com", "America/New_York",
        None, None, False, (number,),
    )  # fmt: skip
    ids = IdSource(1)
    sms = SmsSettings()
    acceptance = Acceptance(sms, LimitSettings(), ids, {})
    now = wall_ms()
    decoder = msgspec.json.Decoder(SendRequest)
    body = body_of(1, False)
    request = decoder.decode(body)
    draft: Draft = acceptance.draft(shop, request, now)

    def settle() -> None:
        settle_draft(draft, None, None, has_link=True, now_ms=now)

    settle()
    fresh = count(2_000_000)
    return {
        "decode a send request": lambda: decoder.decode(body),
        "draft(), a phone seen before": lambda: acceptance.draft(shop, request, now),
        "normalize a phone never seen": lambda: normalize(
            f"+1212{next(fresh)}", sms.default_region, sms.countries
        ),
        "decide()": lambda: decide(
            category=Category.TRANSACTIONAL, expires_ms=now + 1, send_at_ms=None, is_supported=True,
            is_held=False, sms_alerts="sms ok", has_link=True, now_ms=now,
        ),
        "settle_draft() with the shop's agreement and decide()": settle,
        "answer() and its JSON": lambda: msgspec.json.encode(answer(draft)),
        "a new id": ids.next,
        "an id as text": lambda: show("msg", draft.message.id),
    }  # fmt: skip


def _coding() -> dict[str, Callable[[], object]]:
    words = text(1)
    long = text(1) * 3
    snow = "Your gown is ready \N{SNOWFLAKE} " * 3
    payload = encode(words, Encoding.GSM7)
    body = encode_submit_body("13125550100", "12125550130", payload, registered_delivery=1)
    frame = pack_header(17, 0x80000004, 0, 7) + b"1763841234567890\0"
    submit = pack_header(len(body), 4, 0, 7) + body
    return {
        "choose an encoding": lambda: choose(words),
        "encode 100 characters, GSM": lambda: encode(words, Encoding.GSM7),
        "encode 63 characters, UCS-2": lambda: encode(snow, Encoding.UCS2),
        "segments of 100 characters": lambda: segments(words, Encoding.GSM7, 1),
        "segments of 300 characters": lambda: segments(long, Encoding.GSM7, 1),
        "body of a submit_sm": lambda: encode_submit_body(
            "13125550100", "12125550130", payload, registered_delivery=1
        ),
        "decode a submit_sm_resp": lambda: decode(frame),
        "decode a submit_sm": lambda: decode(submit),
        "parse a receipt": lambda: parse(_RECEIPT, 4),
        "normal form of a carrier's id": lambda: normal_form("1763841234567890"),
    }


# The store ----------------------------------------------------------------------------------------


async def store(site: Site) -> dict[str, float]:
    """Status and event rows, committed in groups: what an event costs is the difference."""
    sql = load("dispatch")
    connection = HotConnection(site.database, "bench")
    ids = IdSource(1023)
    now = wall_ms()

    def status() -> list[tuple[Any, ...]]:
        return [
            (ids.next(), 0, 1, int(State.FAILED), 1, now, now, None, "refused")
            for _ in range(_GROUP)
        ]

    def events(messages: list[Any]) -> list[list[Any]]:
        rows = [(id_, ids.next(), 1, 3, 0, now, '{"reason": "refused"}') for id_ in messages]
        return [list(column) for column in zip(*rows, strict=True)]

    async def without() -> None:
        await connection.fetch(sql["flush"], status(), [], [], [], [])

    async def alone() -> None:
        async def work(c: Any) -> None:
            await c.fetch(sql["flush"], status(), [], [], [], [])

        await connection.transact(work)

    async def together() -> None:
        async def work(c: Any) -> None:
            rows = status()
            await c.fetch(sql["flush"], rows, [], [], [], [])
            await c.execute(sql["add_events"], *events([row[0] for row in rows]))

        await connection.transact(work)

    found = {}
    for name, work in (
        ("status rows, one statement", without),
        ("status rows in a transaction", alone),
        ("status and event rows in a transaction", together),
    ):
        await work()
        took = []
        for _ in range(50):
            start = time.perf_counter()
            await work()
            took.append(time.perf_counter() - start)
        found[name] = sorted(took)[len(took) // 2] / _GROUP * 1e6
    connection.drop()
    return found
