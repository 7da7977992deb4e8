"""The composition root: which parts a process has, and the order in which they start and end.

A process is a node with one or more roles: `api` takes requests, `sms` runs the SMPP links, `mail`
sends forwards, `voice` runs the SIP trunks. One process with all of them is the default. A part
that fails in a way that it does not handle itself ends the process: every promise is in the
database, and a fresh start keeps it better than half a process.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import asyncpg
from msgspec.structs import replace

from config.changes import Changes, compare
from config.faults import SettingsError
from config.places import Places
from config.settings import Settings
from gateway.api.context import ApiContext
from gateway.api.server import ApiServer
from gateway.channels.checks import link_breaches, require_meaning
from gateway.channels.esme.server import SmppServer
from gateway.channels.linkset import Dispatch, LinkSet
from gateway.channels.states import LinkStates
from gateway.dispatch.acceptance import Acceptance
from gateway.dispatch.depths import Depths
from gateway.dispatch.flights import Flights
from gateway.dispatch.intake import Intake
from gateway.dispatch.network import MAIL, Network
from gateway.dispatch.notify import Notifier
from gateway.dispatch.receipts import Receipts
from gateway.dispatch.recovery import Recovery
from gateway.dispatch.routes import Routes
from gateway.dispatch.settle import Settler
from gateway.dispatch.upkeep import Upkeep
from gateway.errors import Fenced, GatewayError, Refusal, StoreDown
from gateway.ids import IdSource, wall_ms
from gateway.inbound.texts import Texts
from gateway.model import State
from gateway.observe.metrics import Metrics
from gateway.roles import ROLES
from gateway.store.database import HotConnection
from gateway.store.directory import Directory
from gateway.store.nodes import Node, default_name, lock_name, machine_id, register
from gateway.store.opening import open_store
from gateway.store.queries import load
from gateway.voice.checks import trunk_breaches
from gateway.voice.previews import Previews

if TYPE_CHECKING:
    from gateway.voice.part import VoicePart

log = logging.getLogger(__name__)

CLAIM_CONNECTIONS = 4
"""Connections that the links share to claim: a claim takes a millisecond, and links may be many."""

_STORE_ERRORS = (StoreDown, Fenced, asyncpg.PostgresError)

SWEEP_S = 5.0
DRAIN_S = 5.0
"""How long SIGTERM waits for what is under way."""
LAST_S = 1.0
"""How long each last step may take when the store does not answer."""


class Gateway:
    """One node."""

    def __init__(
        self,
        settings: Settings,
        roles: tuple[str, ...] = ROLES,
        read: Callable[[], tuple[Settings, Places]] | None = None,
    ) -> None:
        """`read` reads the settings again, with the places of their keys. It raises
        SettingsError.
        """
        self.settings = settings
        self._read = read
        self._reloading = asyncio.Lock()
        self._applying: asyncio.Task[None] | None = None
        self.roles = roles
        self.failed: asyncio.Event = asyncio.Event()
        self.url = ""
        """Where the API can be reached, once started; empty without the role."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_stopping = False
        self._is_ready = False
        self._api: ApiServer | None = None
        self._previews: Previews | None = None
        self.smpp: SmppServer | None = None
        """Where ESMEs bind to us, once started; None where nobody can."""
        self.voice: VoicePart | None = None
        """The trunks, once started; None where there are none."""
        self._lock: int | None = None

    async def start(self) -> None:
        """Open the store, become a node, and start every part. Raises GatewayError with what to
        do.
        """
        settings = self.settings
        require_meaning(settings)
        self._database, self._release = await open_store(settings.store)
        name = settings.node.name or default_name(self.roles)
        self._lock, name = lock_name(settings.store.data_dir, name)
        machine = machine_id(settings.store.data_dir)
        identity = await register(self._database, name, machine, settings.node.lease_s)
        self._node = Node(self._database, identity, settings.node.lease_s)
        log.info("node %s is number %d, epoch %d", identity.name, identity.id, identity.epoch)
        self._ids = IdSource(identity.id, floor=identity.floor)
        self._metrics = Metrics()
        self._directory = Directory(self._database)
        await self._directory.load()
        self._routes = await self._load_routes()
        self._build_dispatch()
        self._build_links()
        await self._links.control.read()
        self._start_tasks()
        if "sms" in self.roles and settings.smpp.is_on:
            await self._start_smpp()
        if "voice" in self.roles and settings.trunks:
            await self._start_voice()
        if "api" in self.roles:
            self._previews = Previews.of(settings, self._database, self._metrics.spoke)
            self._api = ApiServer(self._api_context())
            await self._api.start()
            self.url = self._api.url
        self._is_ready = True

    # Parts ---------------------------------------------------------------------------------------

    def _hot(self, name: str) -> HotConnection:
        return HotConnection(self._database, name)

    async def _load_routes(self) -> Routes:
        """The routes of the store, with their virtual times, and what the settings say of them."""
        dispatch = load("dispatch")
        times = await self._database.fetch(dispatch["read_virtual_times"])
        routes = Routes((row["route"], row["lane"], row["rank"]) for row in times)
        self._network = Network(routes)
        await self._network.load(self._database, self.settings)
        for row in await self._database.fetch(dispatch["poll_routes"], self._node.id):
            route = routes.get(row["id"], row["name"])
            route.is_served_elsewhere = row["is_served"]
            route.elsewhere = frozenset(row["elsewhere"])
        for row in await self._database.fetch(load("depths")["last_ranks"]):
            routes.get(row["route"]).ranker.waits(row["rank"], row["shop"])
        return routes

    def _build_dispatch(self) -> None:
        settings, node = self.settings, self._node
        self._flights = Flights()
        self._notifier = Notifier(self._database, self._routes, node.id)
        self._depths = Depths(self._database, self._metrics)
        self._receipts = Receipts(
            self._hot("receipts"),
            self._ids,
            may_write=node.may_write,
            on_final=self._count_segments,
            on_unmatched=self._metrics.receipts_unmatched.inc,
            on_dropped=self._metrics.receipts_dropped.inc,
            id_forms=self._network.id_forms,
        )
        self._settler = Settler(
            self._hot("settler"),
            self._ids,
            self._flights,
            self._routes,
            may_write=node.may_write,
            on_carrier_ids=self._receipts.carrier_ids,
            on_states=self._count_segments,
            link_names=self._network.link_names,
        )
        self._recovery = Recovery(
            self._hot("recovery"),
            self._ids,
            self._routes,
            self._flights,
            node=node.id,
            epoch=node.epoch,
            may_judge=node.may_judge,
            on_queued=self._notifier.queued,
        )
        self._upkeep = Upkeep(
            self._hot("upkeep"),
            self._ids,
            self._routes,
            self._recovery,
            node=node.id,
            receipt_s=settings.limits.receipt_s,
            may_write=node.may_write,
            on_queued=self._notifier.queued,
        )
        self._upkeep.shop_by_id = self._directory.shop_by_id
        self._directory.on_shop_changed.append(self._upkeep.shop_changed)
        self._acceptance = Acceptance(
            settings.sms,
            settings.limits,
            self._ids,
            self._network.dialects,
        )
        self._acceptance.routing = self._network.routing
        self._intake = Intake(
            self._hot("intake"),
            self._ids,
            self._routes,
            self._flights,
            node=node.id,
            epoch=node.epoch,
            waiting_max=settings.http.waiting_posts_max,
            may_write=node.may_write,
            on_accepted=self._depths.accepted,
            on_queued=self._notifier.queued,
            on_unknown=self._upkeep.look_for_orphans,
        )

    def _build_links(self) -> None:
        self._texts = Texts(
            self.settings,
            self._database,
            self._directory,
            self._ids,
            self._routes,
            mail_route=self._network.route_ids.get(MAIL),
            clock=asyncio.get_running_loop().time,
            may_write=self._node.may_write,
            on_queued=self._notifier.queued,
            count=self._count_text,
            dialects=self._network.link_dialects,
        )
        self._links = LinkSet(
            Dispatch(
                node=self._node,
                database=self._database,
                claims=[self._hot(f"claims {n}") for n in range(CLAIM_CONNECTIONS)],
                directory=self._directory,
                ids=self._ids,
                routes=self._routes,
                flights=self._flights,
                settler=self._settler,
                receipts=self._receipts,
                texts=self._texts,
                on_unknown=self._upkeep.look_for_orphans,
                on_claimed=self._depths.claimed,
            ),
            self.settings.limits,
            self._spawn,
            network=self._network,
        )

    async def _start_smpp(self) -> None:
        self.smpp = SmppServer(
            self.settings,
            database=self._database,
            directory=self._directory,
            acceptance=self._acceptance,
            intake=self._intake,
            depths=self._depths,
            metrics=self._metrics,
            ids=self._ids,
            node=self._node,
            accepted=self._links.accepted,
        )
        await self.smpp.start()
        for name, run in self.smpp.parts():
            self._spawn(name, run)

    async def _start_voice(self) -> None:
        from gateway.voice.part import VoicePart  # its libraries are for who has trunks

        voice = VoicePart(self.settings, self._database, self._node.id)
        await voice.start()
        self.voice = voice
        for name, run in voice.parts():
            self._spawn(name, run)

    def _count_segments(self, link: int, state: State, count: int) -> None:
        self._metrics.segments(self._network.link_names.get(link, "other"), state, count)
        if self.smpp is not None and state is not State.SUBMITTED:
            self.smpp.heard()

    def _count_text(self, _link: int, outcome: str) -> None:
        if outcome in ("reply", "unrouted"):
            self._metrics.replies.inc()
        if self.smpp is not None:
            self.smpp.heard()
        if outcome == "unrouted":
            self._metrics.replies_unrouted.inc()

    async def _sweep_texts(self) -> None:
        """Deliver long texts that stay incomplete, every few seconds."""
        failed = ""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._texts.sweep(wall_ms())
                failed = ""
            except (StoreDown, Fenced) as error:
                log.debug("the sweep of incomplete texts waits: %s", error)
            except asyncpg.PostgresError as error:
                if error.sqlstate != failed:
                    log.error("incomplete texts could not be swept: %s", error.sqlstate)
                failed = error.sqlstate

    def _api_context(self) -> ApiContext:
        return ApiContext(
            settings=self.settings,
            directory=self._directory,
            acceptance=self._acceptance,
            intake=self._intake,
            database=self._database,
            depths=self._depths,
            metrics=self._metrics,
            ids=self._ids,
            has_link=lambda route: self._routes.get(route).is_served,
            next_link=lambda route: self._routes.get(route).next_link(),
            readiness=self._unready,
            reload=self.reload,
            speaker=self._previews,
        )

    def _unready(self) -> list[str]:
        """Why nothing can be accepted now."""
        reasons = []
        if not self._is_ready or self._is_stopping:
            reasons.append("the gateway is starting or stopping")
        if not self._node.may_write():
            reasons.append("the database has not renewed this node's lease")
        return reasons

    # Life ----------------------------------------------------------------------------------------

    def _start_tasks(self) -> None:
        parts: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = [
            ("lease", self._node.run),
            ("directory", self._directory.run),
            ("intake", self._intake.run),
            ("settler", self._settler.run),
            ("receipts", self._receipts.run),
            ("texts", self._texts.run),
            ("incomplete texts", self._sweep_texts),
            ("upkeep", self._upkeep.run),
            ("notifier", self._notifier.run),
            ("depths", self._depths.run),
            ("link states", LinkStates(self._database, self._links, self._node.id).run),
            ("link control", self._links.control.run),
        ]
        for name, run in parts:
            self._spawn(name, run)
        self._links.begin(self.settings, self.roles)

    # Settings read again ------------------------------------------------------------------------

    async def reload(self) -> Changes:
        """Take over what changed in links, routes, trunks, mail and certificates, and no more.

        Raises SettingsError with every fault, GatewayError and Refusal; all stays as it is then.
        """
        if self._read is None or not self._is_ready or self._is_stopping:
            raise Refusal("not-available", "The settings cannot be read again now.")
        async with self._reloading:
            new, places = self._read()
            if breaches := [*link_breaches(new), *(trunk_breaches(new) if self.voice else ())]:
                raise SettingsError([places.fault(e.path, e.problem, e.hint) for e in breaches])
            changes = compare(self.settings, new)
            if self._api is not None:
                self._api.reload_tls()
            if self.smpp is not None:
                self.smpp.reload_certificates()
            mail = new.mail if changes.mail else self.settings.mail
            live = replace(self.settings, links=new.links, routes=new.routes, mail=mail)
            live = replace(live, trunks=new.trunks) if changes.trunks else live
            await self._network.load(self._database, live)
            self._acceptance.routing = self._network.routing
            self.settings = live
            self._applying = asyncio.create_task(self._links.apply(changes, live, self.roles))
            await asyncio.shield(self._applying)
            if self.voice is not None:
                await self.voice.reload(live)
            log.info("settings read again: %s", changes.words())
            return changes

    def reload_soon(self) -> None:
        """As `reload`, for a signal: the log tells what came of it."""
        task = asyncio.create_task(self._reload_and_tell(), name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload_and_tell(self) -> None:
        try:
            await self.reload()
        except SettingsError as error:
            log.error("the settings have faults, nothing was changed\n%s", error)
        except (GatewayError, Refusal) as error:
            log.error("the settings were not read again: %s", error)

    def _spawn(
        self, name: str, run: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(self._watch(name, run), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watch(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part; if it ends before its time, so does the process."""
        try:
            await run()
        except Exception:
            log.exception("%s failed: the process ends, to be started again", name)
        if not self._is_stopping:
            self.failed.set()

    async def stop(self) -> None:
        """End in order: no new requests and claims, answers for what is under way, all written."""
        self._is_stopping = True
        if self._applying is not None:
            self._applying.cancel()  # what it would build would send while all else ends
            await asyncio.wait([self._applying])
        # A node that others have replaced can write nothing down: waiting would not help.
        patience_s = 0.0 if self._node.is_lost else DRAIN_S
        deadline = asyncio.get_running_loop().time() + patience_s
        if self._api is not None:
            await self._api.stop()
        if self._previews is not None:
            await self._previews.close()
        if self.smpp is not None:
            await self.smpp.stop(deadline)
        if self.voice is not None:
            await self.voice.stop(deadline)
        self._links.stop_feeding()
        try:
            async with asyncio.timeout_at(deadline):
                await self._links.fed()
                await self._texts.drained()
        except TimeoutError:
            log.warning("the store is slow: what is under way is resolved at the next start")
        await self._links.drain(deadline)
        try:
            async with asyncio.timeout_at(deadline + 1.0):
                await self._settler.drained()
        except TimeoutError:
            log.warning("the store did not take the last outcomes: the next start resolves them")
        states = LinkStates(self._database, self._links, self._node.id)
        await asyncio.gather(
            self._at_last("sweep of texts", self._texts.sweep(wall_ms())),
            self._at_last("last state of links", states.write()),
        )
        await self._end_tasks()
        await self._leave()

    async def _at_last(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something that the next start would make up for, unless the store takes too long."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait([task], timeout=LAST_S)
        if not task.done() or isinstance(task.exception(), _STORE_ERRORS):
            log.warning("the store does not answer: %s is left out", name)
        else:
            task.result()

    async def _end_tasks(self) -> None:
        """Cancel all tasks. Those that hang in the store end when their connections are cut."""
        tasks = list(self._tasks)
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=LAST_S)
        if late:
            await self._database.close()
            await asyncio.wait(late, timeout=LAST_S)

    async def _leave(self) -> None:
        self._texts.close()
        await self._at_last("end of the lease", self._node.leave())
        self._directory.close()
        await self._database.close()
        self._release()
        if self._lock is not None:
            os.close(self._lock)

    async def abandon(self) -> None:
        """Give back what a failed start has taken."""
        self._is_stopping = True
        if self.voice is not None:
            await self.voice.stop(0.0)
        await self._end_tasks()
        if hasattr(self, "_database"):
            await self._database.close()
            self._release()
        if self._lock is not None:
            os.close(self._lock)
