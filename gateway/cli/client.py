"""What commands that speak with the running gateway over HTTP share."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from config.settings import Settings, split_listen
from gateway.cli.frame import CommandError

TIMEOUT_S = 30.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened on: replaced


def address(settings: Settings, *, is_ops: bool = False) -> str:
    """Where the gateway of these settings answers: `http://127.0.0.1:8080`. Raises CommandError."""
    http = settings.http
    listen = http.ops_listen if is_ops and http.ops_listen else http.listen
    host, port = split_listen(listen)
    if port == 0:
        raise CommandError(
            f"the settings listen on {listen}: any free port, which this command cannot know",
            "set [http] listen to a fixed port",
        )
    has_tls = http.tls_cert is not None and listen == http.listen
    host = _ANYWHERE.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if has_tls else 'http'}://{shown}:{port}"


def _trust(certificate: Path) -> ssl.SSLContext:
    """Trust the gateway's own certificate, whatever name it bears: the settings say where it is."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    return context


class Client:
    """Calls the API. Every failure is a CommandError."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base
        self.key = ""

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and decoded body. Raises CommandError if nobody answers."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        data = None if body is None else msgspec.json.encode(body)
        url = f"{self._base}{path}"
        try:
            async with self._session.request(method, url, data=data, headers=headers) as response:
                return response.status, msgspec.json.decode(await response.read() or b"null")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CommandError(
                f"no gateway answers at {self._base}: {type(error).__name__}",
                "start it with `gateway serve`, or name its settings with --config",
            ) from error
        except msgspec.DecodeError as error:
            raise CommandError(f"what answers at {self._base} is no gateway") from error


@asynccontextmanager
async def connected(settings: Settings, *, is_ops: bool = False) -> AsyncIterator[Client]:
    """A client of the gateway that these settings describe."""
    base = address(settings, is_ops=is_ops)
    certificate = settings.http.tls_cert
    trust = _trust(certificate) if certificate is not None else True
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        trust_env=False,
    ) as session:
        yield Client(session, base)


def explain(problem: Any) -> CommandError:
    """A problem document in words for the terminal."""
    if not isinstance(problem, dict):
        return CommandError("the gateway refused without saying why")
    lines = [str(problem.get("detail") or problem.get("title"))]
    said = set()
    for error in problem.get("errors", []):
        hint = f": {error['hint']}" if error.get("hint") else ""
        lines.append(f"  {error['field']} {error['problem']}{hint}")
        said.add(error.get("hint"))
    hint = str(problem.get("hint", ""))
    return CommandError("\n".join(lines), "" if hint in said else hint)
