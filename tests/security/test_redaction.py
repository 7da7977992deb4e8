"""Texts, whole phone numbers and keys reach no log and no problem document, whichever way a
request fails.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from config.settings import LogSettings
from gateway.api.server import KEYED
from gateway.errors import Refusal, StoreDown
from gateway.observe.logs import redact, set_up_logging
from tests.api.fixtures import SHOP_KEY, Api

TEXT = "the canary sings at noon"
PHONE = "+12125550177"
NATIONAL = "(212) 555-0177"
KEY = "gw_" + "c" * 43
CANARIES = (TEXT, PHONE, NATIONAL, PHONE[2:], KEY, SHOP_KEY)


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """The log at its most talkative, as operators get it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logging(LogSettings(level="debug", format=request.param), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def is_clean(text: str) -> bool:
    """Whether no canary is in it."""
    return not any(canary in text for canary in CANARIES)


SEND: dict[str, Any] = {"to": NATIONAL, "text": TEXT, "reference": TEXT, "source": TEXT}
FAULTS: list[dict[str, Any]] = [
    {},
    {"to": PHONE + TEXT},
    {"text": TEXT + "\0"},
    {"channel": TEXT},
    {"channel": PHONE},
    {"send_at": TEXT},
    {"from": PHONE},
    {"idempotency_key": PHONE + "\0"},
    {"shop": TEXT},
    {"contact": {"primary_phone": PHONE, "name": TEXT, "kind": TEXT}},
    {"fallback": [TEXT]},
    {"voice": TEXT},
]
FAILURES: list[Exception] = [
    Refusal("unavailable", "No room.", retry_after_s=1),
    StoreDown("no connection to PostgreSQL"),
    KeyError(TEXT),
    ValueError(f"cannot read {PHONE}: {TEXT}"),
    asyncpg.DataError(f"DETAIL: Failing row contains ({TEXT}, {PHONE})"),
    TimeoutError(),
]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/preview", "/v1/messages/batch"])
async def test_no_fault_of_a_request_quotes_it(api: Api, log: io.StringIO, path: str) -> None:
    """Refusals name fields; neither they nor the log repeat what was in them."""
    for faults in FAULTS:
        body: Any = SEND | faults
        if path.endswith("batch"):
            body = {"messages": [body]}
        for key in (SHOP_KEY, KEY):
            headers = {"Idempotency-Key": PHONE}
            status, told, _ = await api.call("POST", path, body, key=key, headers=headers)
            if status >= 400 or "results" in told:
                assert is_clean(json.dumps(told, ensure_ascii=False))
    assert is_clean(log.getvalue())


@pytest.mark.parametrize("failure", FAILURES, ids=lambda f: type(f).__name__)
async def test_no_failure_of_the_gateway_quotes_the_request(
    api: Api, log: io.StringIO, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks inside, with whatever words, the log has the place and the type alone."""

    async def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(api.intake, "accept", fail)
    monkeypatch.setattr(api.context.database, "run", fail, raising=False)
    status, told, _ = await api.call("POST", "/v1/messages", SEND)
    assert status in (500, 503)
    assert is_clean(json.dumps(told))
    for endpoint in KEYED:
        path = endpoint.path.replace("{id}", "msg_0000000000001")
        if endpoint.method != "POST":
            await api.call(endpoint.method, path)
    assert is_clean(log.getvalue())


@pytest.mark.parametrize(
    "words",
    [
        (f"sent to {PHONE}", "sent to +1212***77"),
        (f"sent to {NATIONAL}.", "sent to (212)***77."),
        (f"the key {KEY} failed", "the key gw_ccc*** failed"),
        ("212-555-0177 and 12125550177", "212-5***77 and 12125***77"),
    ],
)
def test_what_slips_into_a_record_is_masked(words: tuple[str, str]) -> None:
    """Phone numbers in any form, and keys, are cut to what tells them apart."""
    assert redact(words[0]) == words[1]


def test_ids_times_and_counts_stay_readable() -> None:
    """Masking leaves what operators look for."""
    line = "2026-11-22T19:02:00.123Z msg_0A1B2C3D4E5F6 127.0.0.1:8080 12,345 messages 0x58 100000"
    assert redact(line) == line


def test_exceptions_in_a_record_are_reduced(log: io.StringIO) -> None:
    """An exception given to a logger as an argument or as exc_info shows no words of others."""
    logger = logging.getLogger("gateway.test")
    quoted = ValueError(TEXT)
    try:
        raise quoted from StoreDown("the server went away")
    except ValueError as error:
        logger.exception("a thing failed: %s", error)
    written = log.getvalue()
    assert "ValueError" in written
    assert "StoreDown: the server went away" in written
    assert is_clean(written)
