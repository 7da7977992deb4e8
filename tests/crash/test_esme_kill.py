"""The gateway is killed with -9 while ESMEs submit, again and again."""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import pytest

from gateway.store.database import Database
from gateway.store.esmes import EsmeOptions, add_esme
from protocols.errors import LocalProtocolError
from protocols.smpp import Answered, BindKind, Bound, Closed, Event, Received, encode_submit_body
from protocols.sms.encoding import Encoding
from protocols.sms.segment import segments
from tests.accounts import check_accounts
from tests.crash.stage import ROUNDS, Stage, eventually, number_of, staged
from tests.sandbox.esme import Esme, open_esme, receipt_in

pytestmark = pytest.mark.crash

SOURCE = number_of(0)
PHONE = "+12125550105"
LONG_EVERY = 5


@dataclass
class Text:
    """A text of the ESME. `ids` by part: those that were answered."""

    body: str
    pdus: list[bytes]
    ids: dict[int, str] = field(default_factory=dict)

    @property
    def is_accepted(self) -> bool:
        """Whether every part of it was answered."""
        return len(self.ids) == len(self.pdus)


class Till:
    """An ESME that goes on after each crash: parts without an answer are submitted again, texts in
    one piece are not, so that nothing of it may arrive twice."""

    def __init__(self, port: int, password: str) -> None:
        self._port = port
        self._password = password
        self.texts: list[Text] = []
        self.receipts: set[str] = set()
        self.refused: list[int] = []
        self._esme: Esme | None = None
        self._again: list[tuple[Text, int]] = []

    async def bind(self) -> None:
        """Connect and bind, however long it takes until the gateway lets it."""
        while True:
            with suppress(OSError):
                esme = await open_esme(self._port)
                told = await esme.bind("till", self._password, BindKind.TRANSCEIVER)
                if isinstance(told, Bound):
                    break
                await esme.connection.wait_closed()
            await asyncio.sleep(0.05)
        self._esme = esme
        esme.connection.on_events = self._on_events

    def _on_events(self, events: list[Event]) -> None:
        assert self._esme is not None
        for event in events:
            if isinstance(event, Answered):
                text, part = cast("tuple[Text, int]", event.context)
                if event.status:
                    self.refused.append(event.status)
                else:
                    text.ids[part] = event.message_id
            elif isinstance(event, Received):
                receipt = receipt_in(event.message)
                assert receipt.message_id is not None
                self.receipts.add(receipt.message_id)
                self._esme.connection.session.respond(event.message)
            elif isinstance(event, Closed):
                for context in event.unanswered:
                    text, part = cast("tuple[Text, int]", context)
                    if len(text.pdus) > 1:
                        self._again.append((text, part))
        self._esme.connection.flush()

    def _new(self, chance: random.Random) -> Text:
        number = len(self.texts)
        body = f"text {number}"
        if number % LONG_EVERY == 0:
            body = f"{body} " + "and so on " * chance.randint(20, 40)
        pdus = [
            encode_submit_body(
                SOURCE, PHONE, piece.payload, source_ton=1, dest_ton=1, esm_class=piece.esm_class,
                registered_delivery=1,
            )
            for piece in segments(body, Encoding.GSM7, number)
        ]  # fmt: skip
        text = Text(body, pdus)
        self.texts.append(text)
        return text

    def submit(self, chance: random.Random) -> None:
        """What has to be submitted again, and one more text."""
        assert self._esme is not None
        session, now = self._esme.connection.session, asyncio.get_running_loop().time()
        again, self._again = self._again, []
        text = self._new(chance)
        for one, part in again + [(text, part) for part in range(len(text.pdus))]:
            try:
                session.request(one.pdus[part], now, (one, part))
            except LocalProtocolError:
                if len(one.pdus) > 1:
                    self._again.append((one, part))
        self._esme.connection.flush()

    async def submit_for(self, seconds: float, chance: random.Random) -> None:
        """Submit for a while, or until the bind is gone."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            self.submit(chance)
            await asyncio.sleep(0.002)

    def close(self) -> None:
        """End the bind."""
        if self._esme is not None:
            self._esme.connection.close("over")


async def test_kills_lose_no_text_and_no_receipt_of_an_esme(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every text whose submit_sm_resp came is one message, long ones whole and once, and the ESME
    gets a receipt for every part."""
    chance = random.Random(20261122)  # noqa: S311
    async with staged() as stage:
        port, password = await _open_account(stage, monkeypatch)
        till = Till(port, password)
        for _ in range(ROUNDS):
            process = await stage.start()
            await till.bind()
            await till.submit_for(chance.uniform(0.1, 0.5), chance)
            await process.kill()
            await stage.without_backends()
        process = await stage.start()
        await till.bind()

        async def is_answered() -> bool:
            till.submit(chance)
            await asyncio.sleep(0.1)
            return all(text.is_accepted for text in till.texts if len(text.pdus) > 1)

        await eventually(is_answered, "all long texts are accepted")
        await asyncio.sleep(0.2)
        await stage.drained()
        await stage.receipted()
        accepted = [text for text in till.texts if text.is_accepted]
        assert len(accepted) > ROUNDS * 5
        wanted = {id_ for text in accepted for id_ in text.ids.values()}
        assert all(len({id_[:13] for id_ in text.ids.values()}) == 1 for text in accepted)

        async def is_told() -> bool:
            return wanted <= till.receipts

        await eventually(is_told, "a receipt for every answered part")
        rows = await stage.fetch("SELECT body FROM message")
        bodies = [row["body"] for row in rows]
        assert len(bodies) == len(set(bodies)), "a text was accepted twice"
        assert {text.body for text in accepted} <= set(bodies)
        assert not till.refused
        connection = await stage.connect()
        await check_accounts(connection)
        await connection.close()
        till.close()
        assert await process.stop() == 0


async def _open_account(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Let ESMEs bind to the stage's gateways, on a port that stays the same."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    plain = stage._config()
    text = f'[smpp]\nlisten = "127.0.0.1:{port}"\n{plain}'
    monkeypatch.setattr(stage, "_config", lambda: text)
    database = Database(stage.parameters)
    options = EsmeOptions(binds=4, window=1_000)
    try:
        password = await database.run(lambda c: add_esme(c, "till", shop="sample", options=options))
    finally:
        await database.close()
    return port, password
