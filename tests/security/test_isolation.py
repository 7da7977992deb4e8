"""A shop sees its own things only: every endpoint with every kind of key, from the route table
itself.
"""

from __future__ import annotations

import msgspec
import pytest

from gateway.api.endpoints import Endpoint
from gateway.api.server import KEYED
from gateway.ids import show
from tests.api.fixtures import ADMIN_KEY, MESSAGES, OTHER_KEY, REVOKED_KEY, SECRETS, SHOP_KEY, Api

SEND = {"to": "2125550123", "text": "Hello"}
BODIES = {
    "/v1/messages": SEND,
    "/v1/messages/preview": SEND,
    "/v1/messages/batch": {"messages": [SEND]},
}
SHOPS = tuple(endpoint for endpoint in KEYED if not endpoint.is_admin)
ADMINS = tuple(endpoint for endpoint in KEYED if endpoint.is_admin)


def over(*endpoints: Endpoint) -> pytest.MarkDecorator:
    """A test for each of these endpoints."""
    return pytest.mark.parametrize("endpoint", endpoints, ids=lambda e: f"{e.method} {e.path}")


def path_of(endpoint: Endpoint, id_: int) -> str:
    """The path with an id filled in."""
    return endpoint.path.replace("{id}", show("msg", id_))


def body_of(endpoint: Endpoint, **more: str) -> object:
    """A sound body. A new endpoint has none here until someone has thought about it."""
    if endpoint.body is None:
        return None
    body = BODIES[endpoint.path]
    return {"messages": [SEND | more]} if "messages" in body else body | more


@over(*KEYED)
@pytest.mark.parametrize("key", [None, REVOKED_KEY])
async def test_without_a_valid_key_there_is_nothing(
    stored_api: Api, endpoint: Endpoint, key: str | None
) -> None:
    """No key and a revoked one get 401, and nothing changes."""
    status, told, _ = await stored_api.call(
        endpoint.method, path_of(endpoint, MESSAGES[1]), body_of(endpoint), key=key
    )
    assert (status, told["type"]) == (401, "/problems/unauthorized")
    assert not stored_api.intake.accepted
    assert await stored_api.context.database.fetch("SELECT FROM status") == []


@over(*SHOPS)
@pytest.mark.parametrize(("key", "own", "others"), [(SHOP_KEY, 1, 2), (OTHER_KEY, 2, 1)])
async def test_a_shops_own_things_are_there(
    stored_api: Api, endpoint: Endpoint, key: str, own: int, others: int
) -> None:
    """Each endpoint serves a shop its own, and no word of another's."""
    path = path_of(endpoint, MESSAGES[own])
    status, told, _ = await stored_api.call(endpoint.method, path, body_of(endpoint), key=key)
    assert status == endpoint.status
    assert SECRETS[others] not in str(told)
    assert show("msg", MESSAGES[others]) not in str(told)


@over(*SHOPS)
async def test_another_shops_things_are_not_there(stored_api: Api, endpoint: Endpoint) -> None:
    """What is another's is not found, in the very words for what does not exist."""
    answers = []
    for id_, shop in ((MESSAGES[2], "other"), (MESSAGES[2] + 1_000, "nobody")):
        path = path_of(endpoint, id_)
        if "{id}" not in endpoint.path and endpoint.body is None:
            assert endpoint.query is not None
            assert "shop" in endpoint.query.__struct_fields__
            path += f"?shop={shop}"
        answers.append(await stored_api.call(endpoint.method, path, body_of(endpoint, shop=shop)))
    (status, told, _), (_, nowhere, _) = answers
    assert told == nowhere
    problem = told["results"][0]["problem"] if "results" in told else told
    assert problem["type"] == "/problems/not-found"
    assert status in (404, 202)
    assert not stored_api.intake.accepted
    assert await stored_api.context.database.fetch("SELECT FROM status") == []
    text = msgspec.json.encode(answers[0][1]).decode()
    assert SECRETS[2] not in text


@over(*SHOPS)
async def test_an_admin_reaches_every_shop(stored_api: Api, endpoint: Endpoint) -> None:
    """With the admin key each shop's things are there."""
    path = path_of(endpoint, MESSAGES[2])
    body = body_of(endpoint, shop="other")
    status, _, _ = await stored_api.call(endpoint.method, path, body, key=ADMIN_KEY)
    assert status == endpoint.status


@over(*ADMINS)
async def test_to_a_shop_there_is_nothing_that_is_the_operators(
    stored_api: Api, endpoint: Endpoint
) -> None:
    """In the very words for a path that there is not."""
    path = path_of(endpoint, MESSAGES[1])
    answer = await stored_api.call(endpoint.method, path, body_of(endpoint))
    nothing = await stored_api.call("GET", "/v1/nothing")
    assert answer[:2] == nothing[:2]
    assert answer[0] == 404
