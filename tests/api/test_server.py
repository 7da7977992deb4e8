"""The server: operators' endpoints, what is at no path, listeners and their limits."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from config.settings import HttpSettings, Settings
from gateway.api.server import KEYED, ApiServer, CannotListen, Listener, make_app, open_endpoints
from tests.api.fixtures import SHOP_KEY, Api, NoDatabase, make_context, make_settings
from tests.channels.certificates import self_signed


async def test_every_endpoint_is_in_the_description(api: Api) -> None:
    """/openapi.json names each path and method, with schemas that it holds itself."""
    status, told, _ = await api.call("GET", "/openapi.json", key=None)
    assert status == 200
    assert told["openapi"] == "3.1.0"
    described = {(m.upper(), p) for p, methods in told["paths"].items() for m in methods}
    expected = {(e.method, e.path) for e in KEYED} | {("GET", e.path) for e in open_endpoints()}
    assert described == expected
    text = msgspec.json.encode(told).decode()
    for name in text.split('"$ref":"')[1:]:
        assert (
            name.split('"')[0].removeprefix("#/components/schemas/")
            in (told["components"]["schemas"])
        )
    send = told["paths"]["/v1/messages"]["post"]
    assert "202" in send["responses"]
    assert "from" in told["components"]["schemas"]["SendRequest"]["properties"]


async def test_operators_need_no_key(api: Api) -> None:
    """Health, readiness and metrics are open."""
    assert (await api.call("GET", "/healthz", key=None))[:2] == (200, {"status": "ok"})
    assert (await api.call("GET", "/readyz", key=None))[:2] == (200, {"status": "ready"})
    api.context.readiness = lambda: ["no link is bound"]
    status, told, _ = await api.call("GET", "/readyz", key=None)
    assert (status, told["reasons"]) == (503, ["no link is bound"])


async def test_metrics_count_and_name_no_shop(api: Api) -> None:
    """Accepted messages are counted by channel; nothing is labelled by shop; series are few."""
    await api.call("POST", "/v1/messages", {"to": "2125550123", "text": "Hello"})
    _, rendered, headers = await api.call("GET", "/metrics", key=None)
    text = rendered.decode()
    assert headers["Content-Type"].startswith("text/plain")
    line = 'gateway_messages_accepted_total{category="transactional",channel="sms"} 1.0'
    assert line in text
    assert "sample" not in text
    assert len([each for each in text.splitlines() if not each.startswith("#")]) < 300


async def test_what_is_not_there_is_a_problem_document(api: Api) -> None:
    """Unknown paths are 404, wrong methods 405 with what is allowed."""
    status, told, _ = await api.call("GET", "/v1/nothing")
    assert (status, told["type"]) == (404, "/problems/not-found")
    status, told, headers = await api.call("PUT", "/v1/messages")
    assert (status, told["type"]) == (405, "/problems/method-not-allowed")
    assert headers["Allow"] == "GET, HEAD, POST"


async def test_an_unexpected_failure_tells_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours is a 500 problem document, and the log has where, not what was sent."""

    quoted = "Your gown is ready"

    def fail(*_: object) -> None:
        raise KeyError(quoted)

    monkeypatch.setattr(api.context.acceptance, "draft", fail)
    status, told, _ = await api.call("POST", "/v1/messages", {"to": "1", "text": "Your gown"})
    assert (status, told["type"]) == (500, "/problems/internal")
    assert "KeyError" in caplog.text
    assert quoted not in caplog.text
    assert quoted not in str(told)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client."""
    async with aiohttp.ClientSession() as client:
        yield client


def settings_with(folder: Path, **http: str) -> Settings:
    """Settings that listen on any free port."""
    options = {"listen": "127.0.0.1:0", **http}
    return msgspec.structs.replace(make_settings(folder), http=HttpSettings(**options))


async def test_the_server_says_where_it_listens(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """With port 0 the address is known once it listens; after stop nobody answers."""
    server = ApiServer(make_context(settings_with(tmp_path), NoDatabase()))
    await server.start()
    async with session.get(f"{server.url}/healthz") as response:
        assert response.status == 200
    await server.stop()
    with pytest.raises(aiohttp.ClientError):
        await session.get(f"{server.url}/healthz")


async def test_operators_may_have_a_listener_of_their_own(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """With ops_listen, metrics are there and nowhere else."""
    context = make_context(settings_with(tmp_path, ops_listen="127.0.0.1:0"), NoDatabase())
    server = ApiServer(context)
    await server.start()
    try:
        async with session.get(f"{server.url}/metrics") as response:
            assert response.status == 404
        async with session.get(f"{server.ops_url}/metrics") as response:
            assert response.status == 200
        async with session.get(f"{server.ops_url}/v1/queues") as response:
            assert response.status == 404
    finally:
        await server.stop()


async def test_a_taken_address_is_an_error_in_words(tmp_path: Path) -> None:
    """Whoever cannot listen says where."""
    first = ApiServer(make_context(settings_with(tmp_path), NoDatabase()))
    await first.start()
    try:
        listen = first.url.removeprefix("http://")
        second = ApiServer(make_context(settings_with(tmp_path, listen=listen), NoDatabase()))
        with pytest.raises(CannotListen, match=listen):
            await second.start()
    finally:
        await first.stop()


async def test_connections_beyond_the_limit_are_turned_away(tmp_path: Path) -> None:
    """One more than may be gets 503 at once, and the others are served on."""
    app = make_app(make_context(settings_with(tmp_path), NoDatabase()))
    listener = Listener(app, "127.0.0.1:0", connections_max=1)
    await listener.start()
    host, port = listener.url.removeprefix("http://").split(":")
    first_in, first_out = await asyncio.open_connection(host, int(port))
    first_out.write(b"GET /healthz HTTP/1.1\r\nHost: sample\r\n\r\n")
    assert (await first_in.readline()).startswith(b"HTTP/1.1 200")
    second_in, second_out = await asyncio.open_connection(host, int(port))
    assert (await second_in.read()).startswith(b"HTTP/1.1 503")
    for writer in (first_out, second_out):
        writer.close()
        await writer.wait_closed()
    await listener.stop()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /v1/messages HTTP/9.9\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_gets_a_problem_document(
    tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Broken requests are answered 400 and closed, and not logged: they quote what was sent."""
    listener = Listener(
        make_app(make_context(settings_with(tmp_path), NoDatabase())), "127.0.0.1:0"
    )
    await listener.start()
    host, port = listener.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400") or answer.startswith(b"HTTP/1.0 400")
    assert b"application/problem+json" in answer
    writer.close()
    await writer.wait_closed()
    await listener.stop()
    assert not caplog.records


async def test_compressed_bodies_are_not_unpacked(api: Api) -> None:
    """A body that says it is compressed is refused by that name: there is no bomb to unpack."""
    headers = {"Content-Encoding": "gzip", "Authorization": f"Bearer {SHOP_KEY}"}
    listener = Listener(make_app(api.context), "127.0.0.1:0")
    await listener.start()
    async with (
        aiohttp.ClientSession() as client,
        client.post(
            f"{listener.url}/v1/messages", data=b"\x1f\x8b\x08" * 10, headers=headers
        ) as response,
    ):
        assert response.status == 400
        told = await response.json()
    assert [error["field"] for error in told["errors"]] == ["Content-Encoding"]
    await listener.stop()


async def test_what_may_be_read_may_be_asked_about(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """HEAD answers as GET does, without a body; who wants another method is told of both."""
    context = make_context(settings_with(tmp_path), NoDatabase())
    listener = Listener(make_app(context), "127.0.0.1:0")
    await listener.start()
    async with session.head(f"{listener.url}/healthz") as response:
        assert (response.status, await response.read()) == (200, b"")
    async with session.head(f"{listener.url}/v1/messages") as response:
        assert response.status == 401
    async with session.put(f"{listener.url}/healthz") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    await listener.stop()


async def test_a_request_under_way_gets_its_answer_before_the_end(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """Stopping takes no new connection, and waits for what is being committed."""
    context = make_context(settings_with(tmp_path), NoDatabase())
    begun, go_on = asyncio.Event(), asyncio.Event()
    accept = context.intake.accept

    async def slow(*given: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await accept(*given)

    context.intake.accept = slow  # type: ignore[method-assign]
    server = ApiServer(context)
    await server.start()
    url, headers = f"{server.url}/v1/messages", {"Authorization": f"Bearer {SHOP_KEY}"}
    body = b'{"to": "2125550123", "text": "Hello"}'
    posting = asyncio.create_task(session.post(url, data=body, headers=headers))
    await begun.wait()
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    go_on.set()
    response = await posting
    assert response.status == 202
    response.release()
    await stopping


async def test_the_api_speaks_tls_with_the_files_it_is_given(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """With a certificate and its key the API is https; files that do not serve are told."""
    certificate, key = self_signed(tmp_path)
    http = HttpSettings(listen="127.0.0.1:0", tls_cert=certificate, tls_key=key)
    settings = msgspec.structs.replace(make_settings(tmp_path), http=http)
    server = ApiServer(make_context(settings, NoDatabase()))
    await server.start()
    assert server.url.startswith("https://")
    trust = ssl.create_default_context(cafile=str(certificate))
    async with session.get(f"{server.url}/healthz", ssl=trust) as response:
        assert response.status == 200
    await server.stop()
    key.write_text("no key", encoding="utf-8")
    with pytest.raises(CannotListen, match="tls_cert"):
        ApiServer(make_context(settings, NoDatabase()))
