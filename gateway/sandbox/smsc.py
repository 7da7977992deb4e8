"""A simulated SMSC that speaks real SMPP on loopback: for demo, trial, tests and benchmarks.

Magic numbers (`gateway.sandbox.behaviour`) choose what becomes of a text. Receipts and answers wait
for a receiving session, go out again when a session ended without answering them, and are given up
when refused for good. Nothing is sent anywhere else, nothing is logged of what a text says.

`python -m gateway.sandbox.smsc --help` tells of the process of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from gateway.sandbox.behaviour import Behaviour
from gateway.sandbox.exchange import Exchange, Record
from gateway.sandbox.peer import DELIVERY_TRIES, Delivery, Peer
from gateway.sandbox.receipt_pdu import date_stamp, receipt_body
from gateway.sandbox.submitted import Submitted, texts
from protocols.smpp import Message, Timers
from protocols.smpp.connection import serve
from protocols.smpp.limits import DEFAULT_TIMERS
from protocols.sms.receipts import ReceiptState

LAB: Final[Mapping[str, str]] = MappingProxyType({"lab": "lab"})
"""The account that is there when none is named: system_id and password."""
KEPT_SUBMITS: Final = 100_000


class SandboxSmsc:
    """The SMSC. `behaviour` may be changed while it runs."""

    def __init__(
        self,
        *,
        accounts: Mapping[str, str] = LAB,
        behaviour: Behaviour | None = None,
        keep_max: int = KEPT_SUBMITS,
        window: int = 50,
        timers: Timers = DEFAULT_TIMERS,
        on_submit: Callable[[Submitted], int | None] | None = None,
        record: Record | None = None,
        first_id: int | None = None,
    ) -> None:
        """`accounts`: password by system_id. `keep_max`: how many submit_sm `received` holds, the
        newest. `window`: deliver_sm under way on a session.

        `on_submit` sees each submit_sm before its answer, if there is to be one; a status that it
        returns is the answer instead. With `record` nothing is kept. `first_id` None: the clock
        chooses, so that another run never repeats an id.
        """
        self.behaviour = behaviour if behaviour is not None else Behaviour()
        self.on_submit = on_submit
        self._received: deque[Submitted] = deque(maxlen=keep_max)
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._server: asyncio.Server | None = None
        self._address = ("127.0.0.1", 0)
        self._exchange = Exchange(
            accounts,
            self.behaviour,
            window=window,
            timers=timers,
            # So long that its decimal and its hexadecimal form differ in length: neither can be
            # taken for the id of another message.
            first_id=first_id if first_id is not None else time.time_ns() // 1_000,
            record=record if record is not None else self._keep,
            on_change=self._wake,
        )

    # ------------------------------------------------------------------ running

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and return the port; 0 takes any free. Raises OSError when it is taken."""
        self._server = await serve(host, port, self._exchange.new_peer)
        self._address = (host, int(self._server.sockets[0].getsockname()[1]))
        return self._address[1]

    async def stop(self) -> None:
        """Listen no more and end every session. What was kept stays."""
        self.stop_listening()
        peers = list(self._exchange.peers)
        for peer in peers:
            peer.close("the SMSC stops")
        await asyncio.gather(*(peer.wait_closed() for peer in peers))

    def stop_listening(self) -> None:
        """Refuse new connections; those that stand stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def listen_again(self) -> None:
        """Listen on the same port as before."""
        await self.start(*self._address)

    def drop_all(self) -> None:
        """Cut every connection at once; responses not yet written are lost."""
        for peer in list(self._exchange.peers):
            peer.cut()

    @property
    def port(self) -> int:
        """The port of the last `start`."""
        return self._address[1]

    @property
    def sessions(self) -> list[Peer]:
        """Bound sessions, oldest first."""
        accounts = self._exchange.accounts.values()
        bound = [peer for account in accounts for peer in account.peers]
        return sorted(bound, key=lambda peer: peer.number)

    @property
    def connections(self) -> int:
        """How many connections ever came."""
        return self._exchange.connections

    @property
    def unbinds(self) -> int:
        """How many sessions their ESMEs ended in good order."""
        return self._exchange.unbinds

    # ------------------------------------------------------------------ what came

    @property
    def submits(self) -> int:
        """How many submit_sm ever came, whatever their answer."""
        return self._exchange.submits

    @property
    def deliveries(self) -> int:
        """How many deliver_sm were answered with ESME_ROK."""
        return self._exchange.deliveries

    @property
    def received(self) -> list[Submitted]:
        """The submit_sm that came, oldest first."""
        return list(self._received)

    def texts(self, dest: str | None = None) -> list[str]:
        """The whole texts accepted, put together; all, or those to `dest`."""
        return texts(self._received, dest)

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until `condition` holds; it is asked after whatever happens on a session. Raises
        TimeoutError."""
        if condition():
            return
        waiter = (condition, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter[1]
        finally:
            self._waiters.remove(waiter)

    async def wait_for(
        self, predicate: Callable[[Submitted], bool], timeout_s: float = 10.0
    ) -> Submitted:
        """The first submit_sm, kept or yet to come, that `predicate` holds for. Raises
        TimeoutError."""
        found: list[Submitted] = []
        seen = 0

        def look() -> bool:
            nonlocal seen
            new = []
            for one in reversed(self._received):
                if one.order <= seen:
                    break
                new.append(one)
            seen = self.submits
            found.extend(one for one in reversed(new) if predicate(one))
            return bool(found)

        await self.wait_until(look, timeout_s)
        return found[0]

    async def wait_for_count(self, count: int, timeout_s: float = 10.0) -> list[Submitted]:
        """`received` as soon as `count` submit_sm have come. Raises TimeoutError."""
        await self.wait_until(lambda: self.submits >= count, timeout_s)
        return self.received

    def _keep(
        self, peer: Peer, message: Message, message_id: str, status: int | None
    ) -> int | None:
        submitted = Submitted(
            self.submits, peer.number, message, message_id, status, time.monotonic()
        )
        if self.on_submit is not None and status is not None:
            wanted = self.on_submit(submitted)
            submitted.status = status if wanted is None else wanted
        if submitted.status:
            submitted.message_id = ""
        self._received.append(submitted)
        return submitted.status

    def _wake(self) -> None:
        for condition, future in self._waiters:
            if not future.done() and condition():
                future.set_result(None)

    # ------------------------------------------------------------------ what goes out by hand

    async def deliver(
        self,
        source: str,
        dest: str,
        text: str,
        *,
        reference: int | None = None,
        account: str | None = None,
        session: Peer | None = None,
        tries: int = DELIVERY_TRIES,
        timeout_s: float = 10.0,
    ) -> list[int | None]:
        """Send an MO text and return the status of each segment's deliver_sm_resp.

        The same arguments with a `reference` (which marks the segments of a long text) make the
        same PDUs again. With `tries` 1 the first answer counts, None for a session that ended
        without one; otherwise it goes out again. Waits for a session of `account` (None: the first
        one) unless `session` is given. Raises TimeoutError.
        """
        bodies = self._exchange.text_bodies(source, dest, text, reference)
        return await self._send(bodies, account, session, tries, timeout_s)

    async def deliver_body(
        self,
        body: bytes,
        *,
        account: str | None = None,
        session: Peer | None = None,
        tries: int = DELIVERY_TRIES,
        timeout_s: float = 10.0,
    ) -> int | None:
        """Send any deliver_sm, its body made by `encode_submit_body`; otherwise as `deliver`."""
        return (await self._send([body], account, session, tries, timeout_s))[0]

    async def receipt(
        self,
        message_id: str,
        state: ReceiptState = ReceiptState.DELIVERED,
        *,
        error: str = "000",
        is_hex: bool = False,
        has_text: bool = True,
        has_parameters: bool = True,
        esm_class: int | None = None,
        session: Peer | None = None,
        tries: int = DELIVERY_TRIES,
        timeout_s: float = 10.0,
    ) -> int | None:
        """Send a receipt for the kept submit_sm that was answered with `message_id`, in decimal or
        hexadecimal, as text, parameters or both; return the status of its deliver_sm_resp. Raises
        KeyError when none was answered so, TimeoutError."""
        message = self._message(message_id)
        stamp = date_stamp(datetime.now())
        body = receipt_body(
            message,
            format(int(message_id), "x") if is_hex else message_id,
            state,
            submitted=stamp,
            done=stamp,
            error=error,
            has_text=has_text,
            has_parameters=has_parameters,
            esm_class=esm_class,
        )
        return await self.deliver_body(body, session=session, tries=tries, timeout_s=timeout_s)

    def _message(self, message_id: str) -> Message:
        for submitted in reversed(self._received):
            if submitted.message_id == message_id:
                return submitted.message
        raise KeyError(message_id)

    async def _send(
        self,
        bodies: list[bytes],
        account: str | None,
        session: Peer | None,
        tries: int,
        timeout_s: float,
    ) -> list[int | None]:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[int | None]] = [loop.create_future() for _ in bodies]
        deliveries = [
            Delivery(body, future, tries) for body, future in zip(bodies, futures, strict=True)
        ]
        if session is not None:
            for delivery in deliveries:
                session.session.request(delivery.body, loop.time(), delivery)
            session.flush()
        else:
            name = account if account is not None else next(iter(self._exchange.accounts))
            self._exchange.put(self._exchange.accounts[name], deliveries)
        async with asyncio.timeout(timeout_s):
            return [await future for future in futures]


if __name__ == "__main__":
    from gateway.sandbox import smsc_process

    raise SystemExit(smsc_process.main())
