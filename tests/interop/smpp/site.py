"""A real `gateway serve` on an embedded store: its links, shops, numbers and SMPP accounts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg

import gateway
from config.settings import SmsSettings
from gateway.store.database import Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.esmes import EsmeOptions, add_esme
from gateway.store.keys import create_key
from gateway.store.migrations import migrate
from gateway.store.numbers import assign_number
from gateway.store.shops import add_shop
from tests.interop.programs import running
from tests.interop.waiting import eventually
from tests.store.sample import OS_USER, SAMPLE, data_folder

ROOT = Path(str(gateway.__file__)).parents[1]
PHONE = "+12125550100"
_SMS = SmsSettings()
_LISTENED = re.compile(r"SMPP is listened for on \S+:([0-9]+)")
_FINAL = {"delivered", "undelivered", "failed", "expired", "canceled", "suppressed"}


@dataclass(frozen=True)
class Account:
    """An SMPP account that peers bind with."""

    shop: str | None = None
    link: str | None = None
    options: EsmeOptions = field(default_factory=EsmeOptions)


@dataclass
class Site:
    """The gateway that all peers of a test run meet. Numbers: a shop's first is its own, the
    others are by link."""

    folder: Path
    links: dict[str, dict[str, Any]]
    """By name: the keys of [[links]]."""
    shops: dict[str, tuple[str, ...]]
    """By code: the links on which it has a number."""
    accounts: dict[str, Account]
    """By system_id."""
    smpp: dict[str, Any]
    """The keys of [smpp]."""
    keys: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    numbers: dict[tuple[str, str], str] = field(default_factory=dict)
    """By shop and link."""
    url: str = ""
    ports: tuple[int, ...] = ()
    """Where SMPP is listened for: plain, TLS."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the gateway logged."""
        return self.folder / "gateway.log"

    # Making it -----------------------------------------------------------------------------------

    def write_settings(self) -> Path:
        """The settings file."""
        lines = [
            "[http]", 'listen = "127.0.0.1:0"',
            "[store]", f'data_dir = "{self.folder}"', f'os_user = "{OS_USER}"',
            "[limits]", "retry_min_s = 0.1", "retry_max_s = 0.5",
            "[smpp]", *_toml(self.smpp),
        ]  # fmt: skip
        for name, settings in self.links.items():
            lines += ["[[links]]", *_toml({"name": name} | settings)]
        path = self.folder / "gateway.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    async def furnish(self, store: EmbeddedPostgres) -> None:
        """Shops, numbers, keys and accounts, as an operator makes them."""

        async def parameters() -> dict[str, Any]:
            return {**await store.start()}

        database = Database(parameters)
        connection = await database.connect()
        await migrate(connection)
        await connection.close()
        await database.run(self._add_all)
        await database.close()

    async def _add_all(self, connection: asyncpg.Connection) -> None:
        for index, (shop, links) in enumerate(self.shops.items()):
            fields = {**SAMPLE, "code": shop, "main_phone": f"+121255502{index:02}"}
            await add_shop(connection, fields, _SMS)
            self.keys[shop] = await create_key(connection, shop)
            for link in links:
                number = f"+121255501{40 + len(self.numbers):02}"
                await assign_number(connection, number, shop, link, "smpp", _SMS)
                self.numbers[shop, link] = number
        for system_id, account in self.accounts.items():
            self.passwords[system_id] = await add_esme(
                connection,
                system_id,
                shop=account.shop,
                link=account.link,
                options=account.options,
            )

    # Using it ------------------------------------------------------------------------------------

    def call(self, shop: str, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer of the HTTP API, which has to be a good one."""
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.keys[shop]}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                told = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error
        return dict(json.loads(told)) if told else {}

    def send(self, shop: str, link: str, text: str, to: str = PHONE) -> str:
        """Post a text that leaves by a link; returns the message's id."""
        body = {"to": to, "text": text, "from": self.numbers[shop, link]}
        return str(self.call(shop, "POST", "/v1/messages", body)["id"])

    def send_all(self, shop: str, link: str, texts: Sequence[str]) -> list[str]:
        """Post many texts in one request; returns their ids."""
        body = {
            "defaults": {"to": PHONE, "from": self.numbers[shop, link]},
            "messages": [{"text": text} for text in texts],
        }
        results = self.call(shop, "POST", "/v1/messages/batch", body)["results"]
        return [str(result["id"]) for result in results]

    def message(self, shop: str, id_: str) -> dict[str, Any]:
        """How a message stands."""
        return self.call(shop, "GET", f"/v1/messages/{id_}")

    def until_status(self, shop: str, id_: str, status: str) -> dict[str, Any]:
        """A message as soon as it has this status."""

        def look() -> dict[str, Any] | None:
            found = self.message(shop, id_)
            assert found["status"] == status or found["status"] not in _FINAL, found
            return found if found["status"] == status else None

        return eventually(look, f"{id_} is {status}")

    def timeline(self, shop: str, id_: str) -> list[dict[str, Any]]:
        """The events of a message."""
        return list(self.call(shop, "GET", f"/v1/messages/{id_}/events")["events"])

    def messages(self, shop: str, **search: Any) -> list[dict[str, Any]]:
        """Messages of a shop."""
        query = urlencode({"limit": 200} | search, quote_via=quote)
        return list(self.call(shop, "GET", f"/v1/messages?{query}")["messages"])

    def replies(self, shop: str) -> list[dict[str, Any]]:
        """All texts that came for a shop."""
        return list(self.call(shop, "GET", "/v1/replies?limit=200")["replies"])

    def until_reply(
        self, shop: str, wanted: Callable[[dict[str, Any]], object]
    ) -> dict[str, Any]:
        """A text that came for a shop."""

        def look() -> dict[str, Any] | None:
            return next((each for each in self.replies(shop) if wanted(each)), None)

        return eventually(look, f"a reply for {shop}")

    def until_text(self, shop: str, text: str) -> dict[str, Any]:
        """The same by its text."""
        return self.until_reply(shop, lambda each: each["text"] == text)

    def command(self, *args: str) -> str:
        """Run `gateway …` beside the gateway; returns what it printed."""
        told = subprocess.run(
            [sys.executable, "-m", "gateway", *args, "--config", str(self.folder / "gateway.toml")],
            capture_output=True, text=True, timeout=60, cwd=ROOT, env=_environment(), check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stdout + told.stderr
        return told.stdout

    def binds(self, link: str) -> list[str]:
        """The state of each bind of a link, as `gateway link show` has it."""
        shown = json.loads(self.command("link", "show", link, "--json"))
        return [bind["state"] for bind in shown["binds"]]

    def said(self) -> str:
        """What the gateway logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def _toml(settings: Mapping[str, Any]) -> list[str]:
    def value(one: object) -> str:
        return str(one).lower() if isinstance(one, bool) else json.dumps(one, default=str)

    return [f"{key} = {value(one)}" for key, one in settings.items()]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def serving(
    links: dict[str, dict[str, Any]],
    shops: dict[str, tuple[str, ...]],
    accounts: dict[str, Account],
    smpp: dict[str, Any],
) -> Iterator[Site]:
    """A gateway that runs, and is ended by SIGTERM; it has to end in order."""
    with data_folder() as folder:
        site = Site(folder, links, shops, accounts, smpp)
        config = site.write_settings()
        store = EmbeddedPostgres(folder, os_user=OS_USER)
        try:
            asyncio.run(site.furnish(store))
            command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
            options: dict[str, Any] = {"stdout": subprocess.PIPE, "cwd": ROOT}
            with running(
                command, log=site.log, environment=_environment(), **options
            ) as site.process:
                _wait_until_ready(site)
                try:
                    yield site
                finally:
                    print(site.said()[-8000:])
                site.process.send_signal(signal.SIGTERM)
                assert site.process.wait(30) == 0, site.said()[-4000:]
        finally:
            store.release()


def _wait_until_ready(site: Site) -> None:
    assert site.process is not None and site.process.stdout is not None
    line = site.process.stdout.readline().decode()
    assert line.startswith("ready"), f"the gateway did not start: {site.said()}"
    site.url = line.removeprefix("ready").strip()
    site.ports = tuple(int(port) for port in _LISTENED.findall(site.said()))
