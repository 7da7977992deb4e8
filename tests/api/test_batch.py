"""POST /v1/messages/batch: many messages, each accepted or refused by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.api import batch
from gateway.api.deadline import Deadline
from tests.api.fixtures import ADMIN_KEY, Api
from tests.turning import loop_turns

TEXT = "Your gown is ready for pickup."


def item(number: int = 0) -> dict[str, object]:
    """One sound message."""
    return {"to": f"+1212555{100 + number % 100:04}", "text": TEXT, "reference": f"todo-{number}"}


async def send(api: Api, body: object, **options: Any) -> tuple[int, Any, dict[str, str]]:
    """Post a batch."""
    return await api.call("POST", "/v1/messages/batch", body, **options)


async def test_one_bad_item_never_loses_the_others(api: Api) -> None:
    """Sound items are accepted, the others each get a problem that names its fields."""
    bad = {"to": "12", "text": "", "colour": "red"}
    status, told, _ = await send(api, {"messages": [item(1), bad, 5, item(2)]})
    assert status == 202
    first, second, third, fourth = told["results"]
    assert [result["index"] for result in told["results"]] == [0, 1, 2, 3]
    assert first["id"].startswith("msg_")
    assert fourth["status"] == "queued"
    assert second["problem"]["type"] == "/problems/invalid-request"
    assert {error["field"] for error in second["problem"]["errors"]} == {
        "messages[1].to",
        "messages[1].text",
        "messages[1].colour",
    }
    assert [error["field"] for error in third["problem"]["errors"]] == ["messages[2]"]
    assert len(api.intake.accepted) == 2


async def test_defaults_hold_for_what_an_item_does_not_say(api: Api) -> None:
    """Shop, source and text may be said once for all."""
    defaults = {"shop": "other", "source": "automation", "text": "Please call us."}
    messages = [{"to": "2125550123"}, {"to": "2125550124", "text": TEXT, "shop": "sample"}]
    status, told, _ = await send(api, {"defaults": defaults, "messages": messages}, key=ADMIN_KEY)
    assert status == 202
    assert all("problem" not in result for result in told["results"])
    first, second = api.intake.accepted
    assert (first.shop.code, first.message.body) == ("other", "Please call us.")
    assert (second.shop.code, second.message.body) == ("sample", TEXT)
    assert first.message.source == second.message.source == "automation"


async def test_faulty_defaults_refuse_the_batch(api: Api) -> None:
    """What would be wrong for all is said once, and nothing is accepted."""
    defaults = {"channel": "pigeon", "colour": 1, "idempotency_key": "8d1f"}
    status, told, _ = await send(api, {"defaults": defaults, "messages": [item()]})
    assert status == 400
    assert {error["field"] for error in told["errors"]} == {
        "defaults.channel",
        "defaults.colour",
        "defaults.idempotency_key",
    }
    assert not api.intake.accepted


async def test_a_batchs_key_makes_a_key_for_each_item(api: Api) -> None:
    """Posted again, a batch gets the same ids; an item that changed is refused by itself."""
    header = {"Idempotency-Key": "8d1f"}
    first = await send(api, {"messages": [item(1), item(2)]}, headers=header)
    again = await send(api, {"messages": [item(1), item(2)]}, headers=header)
    assert again[2]["Idempotent-Replayed"] == "true"
    assert [r["id"] for r in again[1]["results"]] == [r["id"] for r in first[1]["results"]]
    assert all(result["replayed"] for result in again[1]["results"])
    changed = await send(api, {"messages": [item(1), item(3)]}, headers=header)
    assert "Idempotent-Replayed" not in changed[2]
    assert changed[1]["results"][0]["replayed"]
    assert changed[1]["results"][1]["problem"]["type"] == "/problems/key-reused"
    assert len(api.intake.accepted) == 2
    assert set(api.intake.answers) == {(1, "8d1f#0"), (1, "8d1f#1")}


async def test_too_many_items_are_refused_whole(api: Api) -> None:
    """10,001 messages are 413, 10,000 are not."""
    status, told, _ = await send(api, {"messages": [{"text": 1}] * 10_001})
    assert (status, told["type"]) == (413, "/problems/too-large")
    assert [error["field"] for error in told["errors"]] == ["messages"]
    status, told, _ = await send(api, {"messages": [{"text": 1}] * 10_000})
    assert status == 202
    assert len(told["results"]) == 10_000
    assert not api.intake.accepted


async def test_items_beyond_the_shops_limit_are_refused(api: Api) -> None:
    """With 95 of 100 waiting, five of ten are accepted and five told to come later."""
    api.depths.waits[1] = 95
    _, told, _ = await send(api, {"messages": [item(n) for n in range(10)]})
    refused = [result["problem"]["type"] for result in told["results"] if "problem" in result]
    assert refused == ["/problems/over-limit"] * 5
    assert len(api.intake.accepted) == 5


async def test_an_empty_or_shapeless_batch_is_refused(api: Api) -> None:
    """Without messages there is nothing to do."""
    for body, field in (
        ({"messages": []}, "messages"),
        ({"messages": "all"}, "messages"),
        ({}, "messages"),
        ({"messages": [item()], "default": {}}, "default"),
        ({"messages": [item()], "defaults": 5}, "defaults"),
        ([], "body"),
    ):
        status, told, _ = await send(api, body)
        assert status == 400
        assert [error["field"] for error in told["errors"]] == [field]
    assert not api.intake.accepted


async def test_others_get_their_turn_while_a_batch_is_read(api: Api) -> None:
    """A batch of 10,000 gives the event loop back many times before it is answered."""
    with loop_turns() as turns:
        status, _, _ = await send(api, {"messages": [item(n) for n in range(10_000)]})
        passed = turns()
    assert status == 202
    assert passed > 20


async def test_refused_items_are_looked_up_together(api: Api) -> None:
    """What would be refused now is answered as before, after one look at all keys."""
    header = {"Idempotency-Key": "8d1f"}
    _, first, _ = await send(api, {"messages": [item(1), item(2)]}, headers=header)
    api.depths.waits[1] = 100
    messages = [item(1), item(2), item(3)]
    status, told, _ = await send(api, {"messages": messages}, headers=header)
    assert status == 202
    assert [r.get("id") for r in told["results"]] == [*(r["id"] for r in first["results"]), None]
    assert told["results"][2]["problem"]["type"] == "/problems/over-limit"
    assert api.intake.looks == 1


async def test_a_silent_store_refuses_the_batch_in_time(api: Api) -> None:
    """However many keys would have to be looked up, the commit's deadline holds for all of them."""
    api.context.deadline = Deadline(0.01)
    api.depths.waits[1] = 100
    api.intake.is_silent = True
    messages = [item(n) for n in range(50)]
    header = {"Idempotency-Key": "8d1f"}
    status, told, headers = await send(api, {"messages": messages}, headers=header)
    assert (status, told["type"]) == (503, "/problems/unavailable")
    assert "Retry-After" in headers


async def test_few_batches_are_read_at_a_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One beyond `batches_at_once` is told to come later; when one is through, the next is read."""
    monkeypatch.setattr(batch, "TURN_WAIT_S", 0.01)
    api.context.batches = asyncio.Semaphore(1)
    await api.context.batches.acquire()
    status, told, headers = await send(api, {"messages": [item()]})
    assert (status, told["type"]) == (503, "/problems/unavailable")
    assert int(headers["Retry-After"]) > 0
    api.context.batches.release()
    for _ in range(2):
        status, _, _ = await send(api, {"messages": [item()]})
        assert status == 202
    status, _, _ = await send(api, {"messages": []})
    assert status == 400
    assert not api.context.batches.locked()
