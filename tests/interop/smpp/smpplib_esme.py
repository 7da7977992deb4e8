"""smpplib's client, driven from one thread: it reads when it is told to."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.smpp

from tests.interop.waiting import DEADLINE_S

Pdu = Any
"""smpplib's PDUs have no types; their attributes are as SMPP names them."""


class Esme:
    """A connection of smpplib. `pdus`: what it read, and decoded, in order."""

    def __init__(self, port: int, authority: Path | None = None) -> None:
        self.pdus: list[Pdu] = []
        context = None
        if authority is not None:
            context = _NamedContext(authority)
        self.client = _Recording(
            "127.0.0.1", port, timeout=1, ssl_context=context, allow_unknown_opt_params=True
        )
        self.client.pdus = self.pdus
        self.client.set_error_pdu_handler(lambda pdu: None)
        self.client.set_message_sent_handler(lambda pdu: None)
        self.client.set_query_resp_handler(lambda pdu: None)
        self.client.set_message_received_handler(lambda pdu: None)
        self.client.connect()

    def bind(self, system_id: str, password: str, kind: str = "transceiver") -> Pdu:
        """Bind; raises smpplib's PDUError when that is refused."""
        return getattr(self.client, f"bind_{kind}")(system_id=system_id, password=password)

    def ask(self, command: str, **fields: Any) -> Pdu:
        """Send a request, and read until its response is there."""
        pdu = smpplib.smpp.make_pdu(command, client=self.client, **fields)
        self.client.send_pdu(pdu)
        return self.until(
            lambda each: each.sequence == pdu.sequence and each.command == f"{command}_resp",
            f"{command}_resp",
        )

    def until(self, wanted: Callable[[Pdu], object], what: str, after: int = 0) -> Pdu:
        """The first PDU that is wanted; smpplib answers by itself what came before it."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            for pdu in self.pdus[after:]:
                if wanted(pdu):
                    return pdu
            assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
            self.client.read_once()

    def until_answers(self, command: str, count: int) -> list[Pdu]:
        """So many PDUs of a kind."""

        def answers() -> list[Pdu]:
            return [each for each in self.pdus if each.command == command]

        self.until(lambda _: len(answers()) >= count, f"{count} {command}")
        return answers()

    def until_text(self, parts: int, after: int) -> list[Pdu]:
        """The next deliver_sm that are no receipts, as many as a text has parts."""

        def texts() -> list[Pdu]:
            found = [each for each in self.pdus[after:] if each.command == "deliver_sm"]
            return [each for each in found if not int(each.esm_class) & 0x3C]

        self.until(lambda _: len(texts()) >= parts, f"{parts} deliver_sm", after)
        return texts()[:parts]

    def close(self) -> None:
        """Hang up."""
        self.client.state = smpplib.consts.SMPP_CLIENT_STATE_OPEN
        self.client.disconnect()


class _Recording(smpplib.client.Client):  # type: ignore[misc]
    pdus: list[Pdu]

    def read_pdu(self) -> Pdu:
        pdu = super().read_pdu()
        self.pdus.append(pdu)
        return pdu


class _NamedContext:
    """A context whose sockets want a certificate of `localhost`: smpplib names no host."""

    def __init__(self, authority: Path) -> None:
        self._context = ssl.create_default_context(cafile=str(authority))

    def wrap_socket(self, raw: Any) -> ssl.SSLSocket:
        return self._context.wrap_socket(raw, server_hostname="localhost")


@contextmanager
def bound(
    port: int,
    system_id: str,
    password: str,
    kind: str = "transceiver",
    authority: Path | None = None,
) -> Iterator[Esme]:
    """A bound ESME, which unbinds at the end."""
    esme = Esme(port, authority)
    try:
        esme.bind(system_id, password, kind)
        yield esme
        esme.ask("unbind")
    finally:
        esme.close()
