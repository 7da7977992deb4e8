"""POST /v1/messages: what is accepted, how it is answered, and what is refused."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from config.routes import RouteSettings
from gateway.api.deadline import Deadline
from gateway.dispatch.choosing import Routing
from gateway.model import Place
from tests.api.fixtures import ADMIN_KEY, OTHER_KEY, REVOKED_KEY, Api

TEXT = "Your gown is ready for pickup."


async def test_a_message_is_accepted_and_told_back(api: Api) -> None:
    """A send request is answered 202 with id, state, channel, encoding and segments."""
    status, told, _ = await api.call(
        "POST", "/v1/messages", {"to": "(212) 555-0123", "text": TEXT, "reference": "todo-8812"}
    )
    assert status == 202
    assert told.pop("id").startswith("msg_")
    assert told == {"status": "queued", "channel": "sms", "encoding": "gsm7", "segments": 1}
    (draft,) = api.intake.accepted
    assert draft.message.target == "+12125550123"
    assert draft.message.sender == "+12125550140"
    assert draft.message.reference == "todo-8812"


async def test_a_contact_may_stand_for_the_phone(api: Api) -> None:
    """The contact's primary phone is texted; No SMS is accepted and suppressed."""
    contact = {"id": "C1041", "primary_phone": "212-555-0123", "sms_alerts": " no  SMS "}
    status, told, _ = await api.call("POST", "/v1/messages", {"contact": contact, "text": TEXT})
    assert (status, told["status"], told["reason"]) == (202, "suppressed", "no-sms")
    assert api.intake.accepted[0].message.place is Place.STATUS


async def test_a_contact_without_a_primary_phone_is_refused(api: Api) -> None:
    """Without a primary phone there is nobody to text: 422."""
    contact = {"id": "C1041", "primary_phone": " "}
    status, told, _ = await api.call("POST", "/v1/messages", {"contact": contact, "text": TEXT})
    assert (status, told["type"]) == (422, "/problems/no-primary-phone")


@pytest.mark.parametrize("key", [None, REVOKED_KEY, "gw_short", "x" * 46])
async def test_without_a_valid_key_nothing_is_done(api: Api, key: str | None) -> None:
    """No key, a revoked one and nonsense get the same 401."""
    status, told, headers = await api.call(
        "POST", "/v1/messages", {"to": "2125550123", "text": TEXT}, key=key
    )
    assert (status, told["type"]) == (401, "/problems/unauthorized")
    assert headers["WWW-Authenticate"] == "Bearer"
    assert headers["Content-Type"].startswith("application/problem+json")
    assert not api.intake.accepted


async def test_a_shop_cannot_name_another(api: Api) -> None:
    """Another shop is not found, in the same words as one that does not exist."""
    body = {"to": "2125550123", "text": TEXT}
    there = await api.call("POST", "/v1/messages", body | {"shop": "other"})
    nowhere = await api.call("POST", "/v1/messages", body | {"shop": "nowhere"})
    assert there[0] == nowhere[0] == 404
    assert there[1] == nowhere[1]
    assert not api.intake.accepted


async def test_an_admin_names_the_shop(api: Api) -> None:
    """An admin key sends for the shop that the request names, and only with one."""
    body = {"to": "2125550123", "text": TEXT}
    status, told, _ = await api.call("POST", "/v1/messages", body, key=ADMIN_KEY)
    assert status == 400
    assert [error["field"] for error in told["errors"]] == ["shop"]
    status, _, _ = await api.call("POST", "/v1/messages", body | {"shop": "other"}, key=ADMIN_KEY)
    assert status == 202
    assert api.intake.accepted[0].shop.code == "other"


async def test_the_same_key_and_body_get_the_first_answer(api: Api) -> None:
    """A repeated request changes nothing and is answered as the first was, marked as a replay."""
    body = {"to": "2125550123", "text": TEXT}
    header = {"Idempotency-Key": "8d1f"}
    first = await api.call("POST", "/v1/messages", body, headers=header)
    again = await api.call("POST", "/v1/messages", body | {"idempotency_key": "8d1f"})
    assert first[0] == again[0] == 202
    assert first[1] == again[1]
    assert "Idempotent-Replayed" not in first[2]
    assert again[2]["Idempotent-Replayed"] == "true"
    assert len(api.intake.accepted) == 1


async def test_a_key_belongs_to_its_request_and_its_shop(api: Api) -> None:
    """The same key with another body is 409; another shop may use the same key."""
    body = {"to": "2125550123", "text": TEXT, "idempotency_key": "8d1f"}
    await api.call("POST", "/v1/messages", body)
    status, told, _ = await api.call("POST", "/v1/messages", body | {"text": "Another."})
    assert (status, told["type"]) == (409, "/problems/key-reused")
    status, _, headers = await api.call("POST", "/v1/messages", body, key=OTHER_KEY)
    assert status == 202
    assert "Idempotent-Replayed" not in headers


async def test_the_first_answer_comes_before_any_other_check(api: Api) -> None:
    """A replay is answered even where the same request would be refused by now."""
    body = {"to": "2125550123", "text": TEXT, "idempotency_key": "8d1f"}
    first = await api.call("POST", "/v1/messages", body)
    api.depths.waits[1] = 100
    again = await api.call("POST", "/v1/messages", body)
    assert again[1] == first[1]
    status, told, headers = await api.call(
        "POST", "/v1/messages", body | {"idempotency_key": "new"}
    )
    assert (status, told["type"]) == (429, "/problems/over-limit")
    assert int(headers["Retry-After"]) > 0


async def test_header_and_field_must_name_the_same_key(api: Api) -> None:
    """Two different idempotency keys in one request are refused."""
    body = {"to": "2125550123", "text": TEXT, "idempotency_key": "one"}
    status, told, _ = await api.call(
        "POST", "/v1/messages", body, headers={"Idempotency-Key": "two"}
    )
    assert status == 400
    assert [error["field"] for error in told["errors"]] == ["idempotency_key"]


async def test_a_full_waiting_room_and_a_lost_store_are_503(api: Api) -> None:
    """What cannot be stored now is refused with Retry-After."""
    body = {"to": "2125550123", "text": TEXT}
    api.intake.room = 0
    status, told, headers = await api.call("POST", "/v1/messages", body)
    assert (status, told["type"], headers["Retry-After"]) == (503, "/problems/unavailable", "1")
    api.intake.room, api.intake.is_store_down = 10, True
    status, told, headers = await api.call("POST", "/v1/messages", body)
    assert (status, told["type"], headers["Retry-After"]) == (503, "/problems/unavailable", "2")


async def test_a_store_that_never_answers_is_given_up(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that takes longer than allowed is answered 503, not waited for."""

    async def never(*_: object) -> list[object]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(api.intake, "accept", never)
    monkeypatch.setattr(api.context, "deadline", Deadline(0.001))
    status, told, _ = await api.call("POST", "/v1/messages", {"to": "2125550123", "text": TEXT})
    assert (status, told["type"]) == (503, "/problems/unavailable")


async def test_every_faulty_field_is_named_at_once(api: Api) -> None:
    """Faults of form and of meaning stand in one document, each with what to do."""
    status, told, _ = await api.call(
        "POST",
        "/v1/messages",
        {
            "to": "12",
            "text": 5,
            "chanel": "sms",
            "category": "urgent",
            "send_at": "tomorrow",
            "from": "nobody",
            "reference": "",
            "contact": None,
            "voice": {"voicemail": 1},
        },
    )
    assert status == 400
    named = {error["field"]: error for error in told["errors"]}
    assert set(named) == {
        "to",
        "text",
        "chanel",
        "category",
        "send_at",
        "from",
        "reference",
        "voice.voicemail",
    }
    assert named["chanel"]["hint"] == "did you mean `channel`?"
    assert all(error["problem"] and error["hint"] for error in told["errors"])


async def test_what_this_version_cannot_do_is_refused_by_name(api: Api) -> None:
    """A channel and an option that are not there yet are `not-available`, never ignored."""
    body = {"to": "2125550123", "text": TEXT, "channel": "voice", "fallback": ["email"]}
    status, told, _ = await api.call("POST", "/v1/messages", body)
    assert (status, told["type"]) == (422, "/problems/not-available")
    assert {error["field"] for error in told["errors"]} == {"channel", "fallback"}


async def test_a_preview_says_what_would_be_sent_and_stores_nothing(api: Api) -> None:
    """The preview shows the repaired text, its segments, sender and target."""
    contact = {"primary_phone": "2125550123", "sms_alerts": ""}
    status, told, _ = await api.call(
        "POST",
        "/v1/messages/preview",
        {"contact": contact, "text": "It\N{RIGHT SINGLE QUOTATION MARK}s ready."},
    )
    assert status == 200
    assert told.pop("expires_at").endswith("Z")
    assert told == {
        "status": "queued",
        "channel": "sms",
        "encoding": "gsm7",
        "segments": 1,
        "from": "+12125550140",
        "to": "+12125550123",
        "text": "It's ready.",
        "repaired": [
            {"character": "\N{RIGHT SINGLE QUOTATION MARK}", "replacement": "'", "count": 1}
        ],
        "route": "acme",
        "why": ["the number +12125550140 is assigned to acme"],
    }
    assert not api.intake.accepted


async def test_a_preview_explains_the_route(api: Api) -> None:
    """Which one, why not another, and the link that would carry the message now."""
    routes = [RouteSettings(name=name, links=("acme",), numbers=("acme",)) for name in ("v", "w")]
    first = msgspec.structs.replace(routes[0], carriers=("Verizon",))
    api.context.acceptance.routing = Routing((first, routes[1]), {"v": 8, "w": 9})
    api.context.next_link = lambda route: f"link of {route}"
    contact = {"primary_phone": "2125550123", "sms_alerts": " verizon "}
    body = {"contact": contact, "text": TEXT}
    _, told, _ = await api.call("POST", "/v1/messages/preview", body)
    assert (told["route"], told["link"]) == ("v", "link of 8")
    assert told["why"] == [
        "the number +12125550140 is assigned to acme",
        "route v is taken: it is for numbers of acme and messages to a phone of verizon",
        "route w would do too: it does not name the carrier",
    ]
    contact["sms_alerts"] = "SMS OK"
    _, told, _ = await api.call("POST", "/v1/messages/preview", body)
    assert (told["route"], told["link"]) == ("w", "link of 9")
    assert "route v is not for this message: it takes messages to a phone of verizon" in told["why"]
