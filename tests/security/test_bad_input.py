"""Hostile and broken input: each gets a problem document that names what is wrong, and changes
nothing.
"""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.decoding import BodyReader, Misfit
from gateway.api.server import KEYED
from gateway.dispatch.request import SendRequest
from tests.api.fixtures import Api

POSTS = tuple(e.path for e in KEYED if e.method == "POST" and e.body is not None)
SINGLE = ("/v1/messages", "/v1/messages/preview")
SOUND: dict[str, Any] = {"to": "2125550123", "text": "Your gown is ready."}

FAULTY: list[tuple[str, dict[str, Any], set[str]]] = [
    ("a wrong field", {"txt": "Hello"}, {"txt"}),
    ("a wrong type", {"text": 5}, {"text"}),
    ("null for text", {"text": None}, {"text"}),
    ("a list for text", {"text": ["a"]}, {"text"}),
    ("an object for text", {"text": {"a": 1}}, {"text"}),
    ("a blank text", {"text": "  \n"}, {"text"}),
    ("an empty text", {"text": ""}, {"text"}),
    ("too long a text", {"text": "a" * 10_001}, {"text"}),
    ("too many segments", {"text": "a" * 2_000}, {"text"}),
    ("a wrong number", {"to": "12"}, {"to"}),
    ("no number", {"to": "call me"}, {"to"}),
    ("a number of another country", {"to": "+442079460000"}, {"to"}),
    ("a premium number", {"to": "+19005550123"}, {"to"}),
    ("a number that is a number", {"to": 2125550123}, {"to"}),
    ("two targets", {"contact": {"primary_phone": "2125550123"}}, {"to"}),
    ("no target", {"to": None}, {"to"}),
    ("a wrong sender", {"from": "x"}, {"from"}),
    ("a wrong channel", {"channel": "fax"}, {"channel"}),
    ("the gateway's own category", {"category": "service"}, {"category"}),
    ("a time without a zone", {"send_at": "2030-01-01T00:00:00"}, {"send_at"}),
    ("a time that is none", {"expires_at": "soon"}, {"expires_at"}),
    ("a time that has passed", {"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at"}),
    ("U+0000 in the text", {"text": "a\0b"}, {"text"}),
    ("U+0000 in the reference", {"reference": "a\0b"}, {"reference"}),
    ("U+0000 in the key", {"idempotency_key": "a\0b"}, {"idempotency_key"}),
    ("too long a key", {"idempotency_key": "a" * 129}, {"idempotency_key"}),
    ("an unknown fallback", {"fallback": ["sms", "pigeon"]}, {"fallback[1]"}),
    ("an unknown voice option", {"voice": {"voice": "loud"}}, {"voice.voice"}),
    (
        "a contact of faults",
        {"to": None, "contact": {"kind": "dog", "id": 5, "nme": "x", "primary_phone": None}},
        {"contact.kind", "contact.id", "contact.nme"},
    ),
    (
        "faults everywhere",
        {"to": "12", "text": "\0", "reference": 1, "colour": "red", "send_at": 5},
        {"to", "text", "reference", "colour", "send_at"},
    ),
]


def unchanged(api: Api) -> bool:
    """Whether nothing was accepted and no key taken."""
    return not api.intake.accepted and not api.intake.answers


@pytest.mark.parametrize("path", SINGLE)
@pytest.mark.parametrize(("faults", "fields"), [f[1:] for f in FAULTY], ids=[f[0] for f in FAULTY])
async def test_every_faulty_field_is_named(
    api: Api, path: str, faults: dict[str, Any], fields: set[str]
) -> None:
    """400 with each faulty field, what is wrong with it and what to do."""
    status, told, headers = await api.call("POST", path, SOUND | faults)
    assert (status, told["type"]) == (400, "/problems/invalid-request")
    assert headers["Content-Type"].startswith("application/problem+json")
    assert {error["field"] for error in told["errors"]} == fields
    assert all(error["problem"] and error["hint"] for error in told["errors"])
    assert unchanged(api)


@pytest.mark.parametrize(("faults", "fields"), [f[1:] for f in FAULTY], ids=[f[0] for f in FAULTY])
async def test_a_batch_names_them_by_item(
    api: Api, faults: dict[str, Any], fields: set[str]
) -> None:
    """The same faults, with the item's place before the fields' names."""
    body = {"messages": [SOUND, SOUND | faults]}
    _, told, _ = await api.call("POST", "/v1/messages/batch", body)
    problem = told["results"][1]["problem"]
    assert problem["type"] == "/problems/invalid-request"
    assert {error["field"] for error in problem["errors"]} == {f"messages[1].{f}" for f in fields}
    assert len(api.intake.accepted) == 1


BROKEN = {
    "nothing": b"",
    "no JSON": b"{to: 5}",
    "half of it": b'{"to": "2125550123", "te',
    "two of them": b'{"to": "2125550123", "text": "a"} {}',
    "no UTF-8": b'{"to": "2125550123", "text": "\xff\xfe"}',
    "UTF-16": '{"to": "2125550123", "text": "a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"to": "2125550123", "text": "a"}',
    "half of a surrogate pair": b'{"to": "2125550123", "text": "\\ud83d"}',
    "an encoded surrogate": b'{"to": "2125550123", "text": "\xed\xa0\xbd"}',
    "NaN": b'{"to": "2125550123", "text": NaN}',
    "infinity": b'{"to": "2125550123", "text": 1e999}',
    "a deep list": b'{"text":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a deep object": b'{"voice":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
    "a deep unknown": b'{"x":' + b"[" * 30_000,
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "a form": b"to=2125550123&text=Hello",
}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_request_is_refused(api: Api, path: str, body: bytes) -> None:
    """Whatever cannot be read is 400, whichever endpoint it is posted to."""
    status, told, _ = await api.call("POST", path, data=body)
    assert (status, told["type"]) == (400, "/problems/invalid-request")
    assert told["errors"]
    assert unchanged(api)


@pytest.mark.parametrize("path", SINGLE)
async def test_a_field_given_twice_is_refused(api: Api, path: str) -> None:
    """Nobody guesses which of two texts was meant, however they are written."""
    for body in (
        b'{"to": "2125550123", "text": "a", "text": "b"}',
        b'{"to": "2125550123", "text" :"a", "te\\u0078t": "\\"b\\""}',
    ):
        status, told, _ = await api.call("POST", path, data=body)
        assert status == 400
        assert [error["field"] for error in told["errors"]] == ["text"]
    assert unchanged(api)


async def test_an_escaped_quotation_mark_is_no_fault(api: Api) -> None:
    """A text may hold quotation marks."""
    body = SOUND | {"text": 'Your "gown" is ready: see {"a": "b"}'}
    assert (await api.call("POST", "/v1/messages", body))[0] == 202


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_an_oversize_body_is_refused(api: Api, path: str, is_chunked: bool) -> None:
    """413, by the announced length or by what comes; nothing is read beyond the limit."""
    http = api.context.settings.http
    most = http.batch_max_bytes if path.endswith("batch") else http.body_max_bytes
    body = b" " * (most + 1)

    async def chunks() -> Any:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    data: Any = chunks() if is_chunked else io.BytesIO(body)
    status, told, _ = await api.call("POST", path, data=data)
    assert (status, told["type"]) == (413, "/problems/too-large")
    assert unchanged(api)


async def test_one_huge_item_is_refused_by_itself(api: Api) -> None:
    """An item is no larger than a request of its own may be."""
    body = {"messages": [SOUND | {"text": "a" * 70_000}, SOUND]}
    status, told, _ = await api.call("POST", "/v1/messages/batch", body)
    assert status == 202
    assert told["results"][0]["problem"]["type"] == "/problems/too-large"
    assert told["results"][1]["status"] == "queued"


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("value", ["", "a" * 129, "caf\u00e9", "a\tb"])
async def test_a_bad_idempotency_key_is_refused(api: Api, path: str, value: str) -> None:
    """The header is named like a field, beside what else is wrong."""
    body: Any = {"messages": [SOUND]} if path.endswith("batch") else SOUND | {"to": "12"}
    headers = {"Idempotency-Key": value}
    status, told, _ = await api.call("POST", path, body, headers=headers)
    assert status == 400
    assert "Idempotency-Key" in {error["field"] for error in told["errors"]}
    assert path.endswith("batch") or "to" in {error["field"] for error in told["errors"]}
    assert unchanged(api)


@pytest.mark.parametrize("endpoint", [e for e in KEYED if e.query], ids=lambda e: e.path)
@pytest.mark.parametrize(
    "query", ["colour=red", "limit=many", "shop=a%00b", "shop=%ff%fe", "shop=a&shop=b"]
)
async def test_bad_queries_are_refused(stored_api: Api, endpoint: Any, query: str) -> None:
    """Unknown, mistyped, repeated and unprintable parameters are named, whatever the path."""
    status, told, _ = await stored_api.call("GET", f"{endpoint.path}?{query}")
    assert status in (400, 404)
    assert told["errors"][0]["field"] == query.split("=")[0]


@pytest.mark.parametrize(
    "id_",
    ["1", "msg_", "msg_!!!!!!!!!!!!!", "rpl_0000000000001", "%00", "a" * 500, "msg_0000000000001"],
)
async def test_what_is_no_id_is_not_found(stored_api: Api, id_: str) -> None:
    """Nonsense in the path is 404, not a fault of the gateway; as for an id that nothing has, the
    document says what to do.
    """
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        status, told, _ = await stored_api.call(method, f"/v1/messages/{id_}{path}")
        assert (status, told["type"]) == (404, "/problems/not-found")
        assert told["hint"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
FIELDS = st.sampled_from([field.encode_name for field in msgspec.structs.fields(SendRequest)])


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(FIELDS | st.text(max_size=10), JSON, max_size=8))
def test_no_json_breaks_the_reader(body: dict[str, Any]) -> None:
    """Any object is either a request or a list of faults, each with a field and words."""
    try:
        BodyReader(SendRequest).read(msgspec.json.encode(body))
    except Misfit as misfit:
        assert misfit.faults
        assert all(fault.field and fault.problem for fault in misfit.faults)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    """Any bytes are either a request or faults."""
    try:
        BodyReader(SendRequest).read(body)
    except Misfit as misfit:
        assert misfit.faults
