"""The SMPP server of one process: its doors, who may bind, and the parts behind them."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg

from config.settings import Settings, split_listen
from gateway.channels.accepted import AcceptedLink
from gateway.channels.esme.accounts import Accounts
from gateway.channels.esme.binding import Admission, Caller
from gateway.channels.esme.checks import PasswordChecks
from gateway.channels.esme.desk import Desk
from gateway.channels.esme.guard import AddressGuard, group_of
from gateway.channels.esme.operations import Operations
from gateway.channels.esme.outbinding import Outbinder
from gateway.channels.esme.outbox import Outbox
from gateway.channels.esme.parts import LongTexts
from gateway.channels.esme.session import Copies, EsmeSession
from gateway.channels.esme.shares import Shares
from gateway.channels.esme.submitting import Submissions
from gateway.dispatch.acceptance import Acceptance
from gateway.dispatch.depths import Depths
from gateway.dispatch.intake import Intake
from gateway.errors import GatewayError, StoreDown
from gateway.ids import IdSource
from gateway.observe.metrics import Metrics
from gateway.store.database import Database, HotConnection
from gateway.store.directory import Directory
from gateway.store.esmes import Esme
from gateway.store.nodes import Node
from gateway.store.queries import load
from protocols.smpp import Bind, BindKind, Limits, Role, Session, Timers
from protocols.smpp import commands as c
from protocols.smpp.connection import Listener, SmppConnection, listen

log = logging.getLogger(__name__)

SWEEP_S: Final = 10.0
TAKES: Final = frozenset(
    {c.SUBMIT_SM, c.DATA_SM, c.SUBMIT_MULTI, c.QUERY_SM, c.CANCEL_SM, c.REPLACE_SM}
)
"""What shops' ESMEs may ask for."""
_ENDED: Final = "the account was changed or revoked"


class SmppServer:
    """Listens, admits, and holds the binds of shops' ESMEs; carriers' go to their links."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        directory: Directory,
        acceptance: Acceptance,
        intake: Intake,
        depths: Depths,
        metrics: Metrics,
        ids: IdSource,
        node: Node,
        accepted: Callable[[str], AcceptedLink | None],
    ) -> None:
        """`accepted`: the link of this name that carriers bind to, if this process runs it."""
        self._settings = settings.smpp
        self._database = database
        self._node = node
        self._clock = asyncio.get_running_loop().time
        self._sessions: set[EsmeSession] = set()
        self._callers: set[Caller] = set()
        self._silent: OrderedDict[Caller, None] = OrderedDict()
        self._silent_of: Counter[str] = Counter()
        self._listeners: list[Listener] = []
        self._sweeps: asyncio.Task[None] | None = None
        self._is_stopping = False
        self.accounts = Accounts(database)
        self.accounts.on_changed = self._account_changed
        self.guard = AddressGuard(self._settings)
        self.checks = PasswordChecks(
            per_s=self._settings.checks_per_s, waiting_max=self._settings.checks_waiting_max
        )
        self._copies = Copies(self._settings.copies_s)
        self._submissions = Submissions(
            HotConnection(database, "esme texts"),
            intake,
            receipt_s=settings.limits.receipt_s,
            count=metrics.accepted,
        )
        self._shares = Shares(database, node, self.accounts, accepted=accepted)
        self._desk = Desk(
            accounts=self.accounts,
            directory=directory,
            acceptance=acceptance,
            depths=depths,
            sms=settings.sms,
            limits=settings.limits,
            submissions=self._submissions,
            share_of=self._shares.of,
            clock=self._clock,
        )
        self._desk.long_texts = self._long_texts = LongTexts(
            HotConnection(database, "esme parts"),
            database,
            ids,
            node=node.id,
            epoch=node.epoch,
            parts_max=self._settings.parts_max,
            reassembly_s=self._settings.reassembly_s,
            copies_s=self._settings.copies_s,
            may_write=node.may_write,
            on_whole=self._desk.take_whole,
        )
        self._outbox = Outbox(
            HotConnection(database, "esme outbox"),
            database,
            node=node.id,
            epoch=node.epoch,
            keep_max=self._settings.outbox_max,
            keep_s=self._settings.outbox_s,
            may_write=node.may_write,
        )
        self._operations = Operations(
            database, directory, ids, settings.sms, may_write=node.may_write
        )
        self._admission = Admission(
            self._settings,
            accounts=self.accounts,
            guard=self.guard,
            checks=self.checks,
            connection=HotConnection(database, "esme binds"),
            node=node,
            accepted=accepted,
            on_shop=self._shop_bound,
            on_changed=self._shares.changed,
            clock=self._clock,
        )
        self._outbinder = Outbinder(
            self._settings.system_id,
            self.accounts,
            database,
            may_write=node.may_write,
            new_session=self._new_session,
            admit=self._admission.requested,
        )

    # Running -------------------------------------------------------------------------------------

    @property
    def ports(self) -> list[int]:
        """The ports listened on, plain before TLS."""
        return [listener.port for listener in self._listeners]

    async def start(self) -> None:
        """Read the accounts and open the doors. Raises GatewayError when a port is taken."""
        await self.accounts.load()
        doors: list[tuple[str, ssl.SSLContext | None]] = []
        if self._settings.listen:
            doors.append((self._settings.listen, None))
        if self._settings.tls_listen:
            doors.append((self._settings.tls_listen, self._tls()))
        for address, context in doors:
            host, port = split_listen(address)
            try:
                listener = await listen(
                    host, port, self._new_caller, ssl=context, is_welcome=self._is_welcome
                )
            except OSError as error:
                raise GatewayError(f"SMPP cannot be listened for on {address}: {error}") from error
            self._listeners.append(listener)
            log.info("SMPP is listened for on %s:%d", host, listener.port)

    def parts(self) -> list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
        """What runs as long as the server does."""
        return [
            ("esme accounts", self.accounts.run),
            ("esme passwords", self.checks.run),
            ("esme recipients", self._desk.run),
            ("esme submissions", self._submissions.run),
            ("esme long texts", self._long_texts.run),
            ("esme outbox", self._outbox.run),
            ("esme upkeep", self._sweep),
            ("esme outbinds", self._outbinder.run),
            ("esme rates", self._shares.run),
        ]

    async def stop(self, deadline: float) -> None:
        """Take no more binds and end those of shops in good order, by `deadline` on the loop's
        clock. Carriers' binds are ended by their links."""
        self._is_stopping = True
        for listener in self._listeners:
            listener.close()
        for session in list(self._sessions):
            session.part("the gateway stops")
        for caller in list(self._silent):
            caller.close("the gateway stops")
        mine = [session.connection for session in self._sessions]
        if mine:
            ends = [asyncio.ensure_future(each.wait_closed()) for each in mine]
            await asyncio.wait(ends, timeout=max(0.0, deadline - self._clock()))
        for session in list(self._sessions):
            session.connection.close("the gateway stops")
        await asyncio.gather(*(each.wait_closed() for each in self._listeners))
        await self._admission.stop()
        try:
            await self._outbox.drained()
            leave = load("esmes")["leave_binds"]
            await self._database.fetch(leave, self._node.id, self._node.epoch)
        except (StoreDown, asyncpg.PostgresError) as error:
            log.warning("what ESMEs acknowledged last may be sent again: %s", error)
        self.checks.close()

    def heard(self) -> None:
        """Something became of messages, or a text came: an ESME may have to be told."""
        self._outbox.heard()

    def reload_certificates(self) -> None:
        """Read the certificate again, for the next connections. Raises GatewayError."""
        for listener in self._listeners:
            if listener.ssl is not None:
                listener.ssl = self._tls()

    def _tls(self) -> ssl.SSLContext:
        settings = self._settings
        try:
            return server_tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        except (OSError, ssl.SSLError) as error:
            raise GatewayError(f"the certificate of [smpp] cannot be used: {error}") from error

    async def _sweep(self) -> None:
        """Upkeep, every few seconds."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._copies.prune(self._clock())
            try:
                await self._admission.settle()
                await self._admission.verify()
                await self._long_texts.sweep()
                await self._outbox.sweep()
            except (StoreDown, asyncpg.PostgresError) as error:
                log.debug("the upkeep of ESMEs waits: %s", error)

    # Connections ---------------------------------------------------------------------------------

    def _is_welcome(self, host: str) -> bool:
        is_full = len(self._callers) - len(self._silent) >= self._settings.connections_max
        return not is_full and self.guard.is_welcome(host, self._clock())

    def _new_session(self) -> Session:
        settings = self._settings
        return Session(
            Role.SMSC,
            limits=Limits(pdu_bytes=settings.pdu_max_bytes),
            timers=Timers(
                session_init_s=settings.session_init_s,
                response_s=settings.response_s,
                enquire_s=settings.enquire_s,
                inactivity_s=settings.inactivity_s or None,
            ),
            takes=TAKES,
        )

    def _new_caller(self) -> Caller:
        return Caller(
            self._new_session(),
            on_bind=self._on_bind,
            on_came=self._on_came,
            on_left=self._on_left,
        )

    def _on_came(self, caller: Caller) -> None:
        """A connection stands: it is one of the silent until it asks for a bind. Beyond their
        bound the oldest of the address that has most goes: a good ESME binds at once."""
        if self._is_stopping:
            caller.close("the gateway stops")
            return
        self.guard.came(caller.host, self._clock())
        self._callers.add(caller)
        self._silent[caller] = None
        group = group_of(caller.host)
        self._silent_of[group] += 1
        if len(self._silent) > self._settings.unbound_max:
            worst = self._silent_of.most_common(1)[0][0]
            oldest = next(each for each in self._silent if group_of(each.host) == worst)
            oldest.close("too many connections are not bound")

    def _spoke(self, caller: Caller) -> None:
        if caller in self._silent:
            del self._silent[caller]
            group = group_of(caller.host)
            self._silent_of[group] -= 1
            if not self._silent_of[group]:
                del self._silent_of[group]

    def _on_left(self, caller: Caller) -> None:
        self._spoke(caller)
        self._admission.gone(caller)
        if caller in self._callers:
            self._callers.discard(caller)
            self.guard.left(caller.host)

    def _on_bind(self, caller: Caller, request: Bind) -> None:
        self._spoke(caller)
        self._admission.requested(caller, caller.host, request)

    # Binds ---------------------------------------------------------------------------------------

    def _shop_bound(
        self,
        esme: Esme,
        connection: SmppConnection,
        kind: BindKind,
        release: Callable[[], None],
    ) -> None:
        session = EsmeSession(
            esme,
            connection,
            kind,
            desk=self._desk,
            outbox=self._outbox,
            operations=self._operations,
            copies=self._copies,
            on_closed=partial(self._session_closed, release),
        )
        self._sessions.add(session)

    def _session_closed(self, release: Callable[[], None], session: EsmeSession) -> None:
        self._sessions.discard(session)
        release()

    def _account_changed(self, was: Esme, now: Esme | None) -> None:
        """A revoked account loses its binds, and so does one with another password."""
        self._desk.forget(was.id)
        if now is None or now.password != was.password:
            self._admission.end(was.id, _ENDED)


def server_tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext:
    """TLS for a listener. Raises OSError and ssl.SSLError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A password, so that a locked key is an error and never asks at a terminal.
    context.load_cert_chain(str(cert), None if key is None else str(key), password="")
    if client_ca is not None:
        context.load_verify_locations(str(client_ca))
        context.verify_mode = ssl.CERT_REQUIRED
    return context
