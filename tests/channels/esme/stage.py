"""A gateway whose SMPP server ESMEs bind to, with a simulated carrier behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.links import LinkSettings
from config.settings import (
    HttpSettings,
    LimitSettings,
    NodeSettings,
    Settings,
    SmsSettings,
    StoreSettings,
)
from config.smpp_server import SmppServerSettings
from gateway.app import Gateway
from gateway.sandbox.smsc import SandboxSmsc
from gateway.store import esmes
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from gateway.store.esmes import EsmeOptions
from gateway.store.numbers import assign_number
from gateway.store.shops import add_shop
from protocols.smpp import BindKind, Bound
from tests.accounts import check_accounts
from tests.sandbox.esme import SHOP, Esme, open_esme
from tests.store.sample import SAMPLE, store_of

OTHER = "+12125550198"
"""The number of another shop."""
PHONE = "+12125550105"
DEADLINE_S = 20.0


@dataclass
class EsmeStage:
    """What a test plays on. `passwords` by system_id."""

    parameters: ConnectParameters
    folder: Path
    smsc: SandboxSmsc
    store: Database
    smpp: SmppServerSettings
    limits: LimitSettings
    links: tuple[LinkSettings, ...] = ()
    passwords: dict[str, str] = field(default_factory=dict)
    gateway: Gateway = field(init=False)

    @property
    def port(self) -> int:
        """Where ESMEs bind."""
        assert self.gateway.smpp is not None
        return self.gateway.smpp.ports[0]

    async def start(self, name: str = "one") -> Gateway:
        """Run a gateway."""
        p = self.parameters
        url = f"postgresql://{p['user']}@/{p['database']}?host={p['host']}&port={p['port']}"
        self.gateway = Gateway(
            Settings(
                http=HttpSettings(listen="127.0.0.1:0"),
                store=StoreSettings(database_url=url, data_dir=self.folder),
                node=NodeSettings(name=name, lease_s=5.0),
                links=self.links,
                smpp=self.smpp,
                sms=SmsSettings(),
                limits=self.limits,
            ),
            ("sms",),
        )
        await self.gateway.start()
        return self.gateway

    async def account(
        self, system_id: str = "pos", *, shop: str | None = "sample", **options: Any
    ) -> str:
        """Add an account; returns its password, and keeps it."""
        link = options.pop("link", None)
        password = await self.store.run(
            lambda c: esmes.add_esme(
                c,
                system_id,
                shop=None if link else shop,
                link=link,
                options=EsmeOptions(**options),
            )
        )
        self.passwords[system_id] = password
        server = self.gateway.smpp
        assert server is not None
        await eventually(lambda: server.accounts.named(system_id) is not None)
        return password

    @asynccontextmanager
    async def esme(
        self,
        system_id: str = "pos",
        kind: BindKind = BindKind.TRANSCEIVER,
        password: str | None = None,
    ) -> AsyncIterator[Esme]:
        """A bound ESME."""
        async with await open_esme(self.port) as esme:
            told = await esme.bind(system_id, password or self.passwords[system_id], kind)
            assert isinstance(told, Bound), told
            yield esme

    async def count(self, table: str) -> int:
        """Rows of a table."""
        rows = await self.store.fetch(f"SELECT count(*) FROM {table}")  # noqa: S608
        return int(rows[0][0])


async def eventually(is_true: Callable[[], object | Awaitable[object]]) -> None:
    """Wait until something holds that no event tells."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            told = is_true()
            if await told if isinstance(told, Awaitable) else told:
                return
            await asyncio.sleep(0.01)


async def _check_accounts(store: Database) -> None:
    connection = await store.connect()
    try:
        await check_accounts(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def esme_stage(
    parameters: ConnectParameters,
    folder: Path,
    smpp: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    links: tuple[LinkSettings, ...] = (),
) -> AsyncIterator[EsmeStage]:
    """A stage with two shops, one carrier, and a running gateway; the accounts of messages are
    checked at the end.
    """
    smsc = SandboxSmsc()
    port = await smsc.start()
    store = store_of(parameters)
    for code, number in (("sample", SHOP), ("other", OTHER)):
        shop = SAMPLE | {"code": code}
        await store.run(lambda c, shop=shop: add_shop(c, shop, SmsSettings()))  # type: ignore[misc]
        await store.run(
            lambda c, code=code, number=number: assign_number(  # type: ignore[misc]
                c, number, code, "acme", "smpp", SmsSettings()
            )
        )
    acme = LinkSettings(
        name="acme",
        host="127.0.0.1",
        port=port,
        system_id="lab",
        password="lab",
        reconnect_min_s=0.05,
    )
    stage = EsmeStage(
        parameters,
        folder,
        smsc,
        store,
        SmppServerSettings(**({"listen": "127.0.0.1:0"} | (smpp or {}))),
        LimitSettings(**(limits or {})),
        (acme, *links),
    )
    await stage.start()
    try:
        await smsc.wait_until(lambda: bool(smsc.sessions))
        yield stage
    finally:
        await stage.gateway.stop()
        try:
            await _check_accounts(store)
        finally:
            await store.close()
            await smsc.stop()
