"""Looking at messages, timelines, replies and queues, and canceling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.ids import lowest_at, show, wall_ms
from gateway.model import State
from tests.api.fixtures import ADMIN_KEY, MESSAGES, SECRETS, Api

OWN = show("msg", MESSAGES[1])


async def test_a_message_is_shown_whole(stored_api: Api) -> None:
    """State, text, times and where it waits."""
    status, told, _ = await stored_api.call("GET", f"/v1/messages/{OWN}")
    assert status == 200
    assert told["status"] == "queued"
    assert told["text"] == SECRETS[1]
    assert told["where"] == {"place": "queue", "route": "acme"}
    assert (told["from"], told["to"]) == ("+12125550140", "+12125550123")


async def test_an_id_may_be_typed_in_lower_case(stored_api: Api) -> None:
    """Ids are read as people copy them."""
    path = f"/v1/messages/msg_{OWN[4:].lower()}"
    status, told, _ = await stored_api.call("GET", path)
    assert (status, told["id"]) == (200, OWN)


async def test_the_timeline_is_a_list_of_sentences(stored_api: Api) -> None:
    """What happened, in the order of time."""
    status, told, _ = await stored_api.call("GET", f"/v1/messages/{OWN}/events")
    assert (status, told["status"]) == (200, "queued")
    assert [event["kind"] for event in told["events"]] == ["accepted", "queued"]


async def test_a_waiting_message_is_canceled_once(stored_api: Api) -> None:
    """The first DELETE cancels, the second finds it final."""
    status, _, _ = await stored_api.call("DELETE", f"/v1/messages/{OWN}")
    assert status == 204
    _, told, _ = await stored_api.call("GET", f"/v1/messages/{OWN}")
    assert told["status"] == "canceled"
    status, told, _ = await stored_api.call("DELETE", f"/v1/messages/{OWN}")
    assert (status, told["type"]) == (409, "/problems/too-late")


async def test_a_message_in_a_flight_is_being_sent(stored_api: Api) -> None:
    """What is being handed to the carrier cannot be canceled."""
    await stored_api.context.database.fetch("DELETE FROM queue")
    row = f"INSERT INTO flight VALUES (1, 1, 1, 1, 1, ARRAY[{MESSAGES[1]}])"  # noqa: S608
    await stored_api.context.database.fetch(row)
    status, told, _ = await stored_api.call("DELETE", f"/v1/messages/{OWN}")
    assert (status, told["type"]) == (409, "/problems/being-sent")


async def test_messages_are_searched(stored_api: Api) -> None:
    """By phone in any form, by reference, by time; in pages; within the caller's shop."""
    for query in (
        "",
        "?phone=(212)%20555-0123",
        "?reference=todo-8812",
        "?since=2024-01-01T00:00:00Z",
        "?shop=sample&limit=1",
    ):
        status, told, _ = await stored_api.call("GET", f"/v1/messages{query}")
        assert status == 200
        assert [message["id"] for message in told["messages"]] == [OWN]
    for query in ("?phone=2125550199", "?until=2024-01-02T00:00:00Z", f"?cursor={OWN}"):
        _, told, _ = await stored_api.call("GET", f"/v1/messages{query}")
        assert told == {"messages": []}


async def test_messages_are_searched_by_status(stored_api: Api) -> None:
    """Of the last 31 days; any state that a message can be seen in."""
    for state in set(State) - {State.ACCEPTED}:
        status, told, _ = await stored_api.call("GET", f"/v1/messages?status={state.word}")
        assert status == 200
        found = [message["id"] for message in told["messages"]]
        assert found == ([OWN] if state is State.QUEUED else [])
    month_ago = datetime.fromtimestamp(stored_api.context.now_ms() / 1000, UTC) - timedelta(days=32)
    since = month_ago.strftime("%Y-%m-%dT%H:%M:%SZ")
    path = f"/v1/messages?status=queued&since={since}&cursor={OWN}"
    assert (await stored_api.call("GET", path))[0] == 200, "a later page of an earlier search"
    faulty = ((f"queued&since={since}", "since"), (f"queued&until={since}", "until"))
    for query, field in (*faulty, ("sent", "status")):
        status, told, _ = await stored_api.call("GET", f"/v1/messages?status={query}")
        assert (status, told["errors"][0]["field"]) == (400, field)


async def test_an_admin_searches_all_shops_by_time(stored_api: Api) -> None:
    """Without a shop there is the time alone; pages follow each other by their cursor."""
    _, first, _ = await stored_api.call("GET", "/v1/messages?limit=1", key=ADMIN_KEY)
    assert first["messages"][0]["shop"] == "other"
    path = f"/v1/messages?limit=1&cursor={first['next']}"
    _, second, _ = await stored_api.call("GET", path, key=ADMIN_KEY)
    assert second["messages"][0]["shop"] == "sample"
    status, told, _ = await stored_api.call("GET", "/v1/messages?reference=a", key=ADMIN_KEY)
    assert (status, told["errors"][0]["field"]) == (400, "shop")


async def test_replies_are_read_with_a_cursor(stored_api: Api) -> None:
    """`next` continues behind what was read, and stays when nothing came."""
    status, told, _ = await stored_api.call("GET", "/v1/replies")
    assert status == 200
    (reply,) = told["replies"]
    assert (reply["text"], reply["from"]) == (SECRETS[1], "+12125550123")
    _, again, _ = await stored_api.call("GET", f"/v1/replies?after={told['next']}")
    assert again == {"replies": [], "next": told["next"]}
    for cursor in ("rpl_0C3V6Q8N40005", told["next"][:-1], "after_"):
        status, refused, _ = await stored_api.call("GET", f"/v1/replies?after={cursor}")
        assert (status, refused["errors"][0]["field"]) == (400, "after")
    _, everything, _ = await stored_api.call("GET", "/v1/replies", key=ADMIN_KEY)
    assert [r["shop"] for r in everything["replies"]] == ["sample", "other"]


async def test_queues_are_told_by_route(stored_api: Api) -> None:
    """The operator sees all that waits, a shop its own."""
    status, told, _ = await stored_api.call("GET", "/v1/queues", key=ADMIN_KEY)
    assert status == 200
    (route,) = told["routes"]
    assert (route["route"], route["waiting"], len(route["shops"])) == ("acme", 2, 2)
    _, told, _ = await stored_api.call("GET", "/v1/queues")
    assert told["routes"][0]["waiting"] == 1
    await stored_api.context.database.fetch("DELETE FROM queue")
    await stored_api.context.depths.sample()
    _, told, _ = await stored_api.call("GET", "/v1/queues")
    assert [(route["route"], route["waiting"]) for route in told["routes"]] == [("acme", 0)]


async def test_what_is_no_time_and_no_cursor_is_named(stored_api: Api) -> None:
    """Every faulty parameter stands in the document."""
    path = "/v1/messages?since=yesterday&limit=0&cursor=abc&phone=12&colour=red&limit=5"
    status, told, _ = await stored_api.call("GET", path)
    assert status == 400
    faulty = {"since", "limit", "colour", "cursor", "phone"}
    assert {error["field"] for error in told["errors"]} == faulty
    _, told, _ = await stored_api.call("GET", "/v1/replies?after=abc&limit=0")
    assert {error["field"] for error in told["errors"]} == {"after", "limit"}


async def test_a_preview_asks_the_store_for_the_contact(stored_api: Api) -> None:
    """With `to` alone, the contact's last known SMS Alerts field decides."""
    body = {"to": "2125550123", "text": "Hello"}
    _, told, _ = await stored_api.call("POST", "/v1/messages/preview", body)
    assert told["status"] == "queued"
    await stored_api.context.database.fetch(
        "INSERT INTO contact (shop, phone, sms_alerts) VALUES (1, '+12125550123', 'no sms')"
    )
    _, told, _ = await stored_api.call("POST", "/v1/messages/preview", body)
    assert (told["status"], told["reason"]) == ("suppressed", "no-sms")


async def test_without_a_store_everything_is_503(api: Api) -> None:
    """Look-ups say when to try again."""
    for path in ("/v1/messages", f"/v1/messages/{OWN}", "/v1/replies"):
        status, told, headers = await api.call("GET", path)
        assert (status, told["type"]) == (503, "/problems/unavailable")
        assert "Retry-After" in headers


async def test_what_expired_shows_as_expired(stored_api: Api) -> None:
    """Nobody has to sweep a message for its state to be true."""
    stored_api.context.now_ms = lambda: wall_ms() + 7_200_000
    _, told, _ = await stored_api.call("GET", f"/v1/messages/{OWN}")
    assert told["status"] == "expired"
    assert lowest_at(wall_ms()) > MESSAGES[1]
