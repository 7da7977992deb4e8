"""The links that this process runs, each with the feeder that claims for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg

from config.changes import Changes
from config.settings import LimitSettings, LinkSettings, MailSettings, Settings
from gateway.channels.accepted import AcceptedLink
from gateway.channels.bound import DRAIN_S, BoundLink
from gateway.channels.caps import DailyCap
from gateway.channels.control import LinkControl
from gateway.channels.link import Services, TakesReceipts, TakesTexts
from gateway.channels.mail import MailLink
from gateway.channels.pacing import DialPace
from gateway.channels.smpp import SmppLink
from gateway.dispatch.feeder import Feeder
from gateway.dispatch.flights import Flights
from gateway.dispatch.network import MAIL, Network
from gateway.dispatch.routes import Routes
from gateway.dispatch.settle import Settler
from gateway.errors import StoreDown
from gateway.ids import IdSource
from gateway.store.database import Database, HotConnection
from gateway.store.directory import Directory
from gateway.store.nodes import Node
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("links")

AnyLink = SmppLink | AcceptedLink | MailLink
Spawn = Callable[[str, Callable[[], Coroutine[Any, Any, None]]], asyncio.Task[None]]
"""Runs a part under a name, until it is cancelled; a part that fails ends the process."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What links and feeders need of the rest of the node."""

    node: Node
    database: Database
    claims: Sequence[HotConnection]
    """Connections that the feeders share."""
    directory: Directory
    ids: IdSource
    routes: Routes
    flights: Flights
    settler: Settler
    receipts: TakesReceipts
    texts: TakesTexts
    on_unknown: Callable[[], None]
    on_claimed: Callable[[int, int], None]


@dataclass(slots=True)
class _Running:
    link: AnyLink
    feeder: Feeder
    tasks: list[asyncio.Task[None]]
    ended: asyncio.Event
    """Set when the link has nothing more to do."""


async def _run(link: BoundLink, ended: asyncio.Event) -> None:
    """Run a link to its end, and then wait to be cancelled: no part ends before its time."""
    await link.run()
    ended.set()
    await asyncio.Event().wait()


class LinkSet:
    """Builds links, runs them, and ends them."""

    def __init__(
        self,
        dispatch: Dispatch,
        limits: LimitSettings,
        spawn: Spawn,
        *,
        network: Network,
    ) -> None:
        """`network` is looked at when a link is added."""
        self._dispatch = dispatch
        self._spawn = spawn
        self._network = network
        self._running: dict[str, _Running] = {}
        self._fed = 0
        self.control = LinkControl(dispatch.database, self.get)
        self._limits = limits
        self._services = Services(
            settler=dispatch.settler,
            receipts=dispatch.receipts,
            texts=dispatch.texts,
            limits=limits,
            wall=time.time,
            dials=DialPace(),
            campaign_of=partial(_campaign, dispatch.directory),
            is_ours=partial(_is_ours, dispatch.directory),
        )

    # What runs -----------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[AnyLink]:
        return (running.link for running in self._running.values())

    def get(self, name: str) -> AnyLink | None:
        """The link of this name, if this process runs it."""
        running = self._running.get(name)
        return None if running is None else running.link

    def accepted(self, name: str) -> AcceptedLink | None:
        """The link of this name, if it is one whose carrier binds to us."""
        link = self.get(name)
        return link if isinstance(link, AcceptedLink) else None

    def begin(self, settings: Settings, roles: tuple[str, ...]) -> None:
        """Build and run all links of these roles."""
        if "sms" in roles:
            for link in settings.links:
                self.add(link)
        if "mail" in roles and settings.mail.is_on:
            self.add_mail(settings.mail)

    async def apply(self, changes: Changes, settings: Settings, roles: tuple[str, ...]) -> None:
        """Come to other settings: what changed is drained and built anew, the rest goes on."""
        gone = {*changes.changed, *changes.removed, *([MAIL] if changes.mail else [])}
        await asyncio.gather(*(self.remove(name) for name in gone if name in self._running))
        if "sms" in roles:
            wanted = {*changes.added, *changes.changed}
            for link in settings.links:
                if link.name in wanted:
                    self.add(link)
        if changes.mail and "mail" in roles and settings.mail.is_on:
            self.add_mail(settings.mail)
        for name, running in self._running.items():
            running.feeder.serve(self._network.serves(name))

    async def remove(self, name: str) -> None:
        """Let a link finish what it has in hand, and end it. What waits for it waits on."""
        running = self._running[name]
        running.feeder.stop()
        await running.feeder.finished()
        await running.link.drain(asyncio.get_running_loop().time() + DRAIN_S)
        await running.ended.wait()
        del self._running[name]
        for task in running.tasks:
            task.cancel()
        await asyncio.wait(running.tasks)
        await self._forget_states(running.link, 0)

    async def _forget_states(self, link: AnyLink, from_bind: int) -> None:
        """What this node last said of binds that it has no more."""
        dispatch = self._dispatch
        try:
            await dispatch.database.fetch(
                SQL["forget_states"], link.id, dispatch.node.id, from_bind
            )
        except (StoreDown, asyncpg.PostgresError) as error:
            log.debug("old states of link %s stay until they are stale: %s", link.name, error)

    # Building ------------------------------------------------------------------------------------

    def add(self, settings: LinkSettings) -> None:
        """Build and run an SMPP link. The loop has to run."""
        id_ = self._network.link_ids[settings.name]
        dispatch, node = self._dispatch, self._dispatch.node
        cap = None
        if settings.daily_cap:
            cap = DailyCap(
                id_,
                settings.daily_cap,
                settings.daily_cap_zone,
                database=dispatch.database,
                wall=time.time,
            )
        link: SmppLink | AcceptedLink
        if settings.kind == "smpp-server":
            link = AcceptedLink(settings, id_, self._services, node.may_write, cap)
        else:
            link = SmppLink(
                settings,
                id_,
                self._services,
                lambda index: node.bind_lease(id_, index, settings.binds),
                cap,
            )
        link.is_stopped = settings.name in self.control.stopped
        self._run(link)

    def add_mail(self, settings: MailSettings) -> None:
        """Build and run the mail link."""
        link = MailLink(
            settings,
            self._limits,
            self._network.link_ids[MAIL],
            database=self._dispatch.database,
            settler=self._dispatch.settler,
            wall=time.time,
        )
        self._run(link)

    def _run(self, link: AnyLink) -> None:
        feeder = self._feed(link)
        tasks = [self._spawn(f"feeder {link.name}", feeder.run)]
        ended = asyncio.Event()
        if isinstance(link, BoundLink):
            tasks.append(self._spawn(f"link {link.name}", partial(_run, link, ended)))
        else:
            ended.set()
        self._running[link.name] = _Running(link, feeder, tasks, ended)

    def _feed(self, link: AnyLink) -> Feeder:
        dispatch = self._dispatch
        feeder = Feeder(
            link,
            self._network.serves(link.name),
            connection=dispatch.claims[self._fed % len(dispatch.claims)],
            directory=dispatch.directory,
            ids=dispatch.ids,
            routes=dispatch.routes,
            flights=dispatch.flights,
            settler=dispatch.settler,
            node=dispatch.node.id,
            epoch=dispatch.node.epoch,
            may_write=dispatch.node.may_write,
            on_unknown=dispatch.on_unknown,
            on_claimed=dispatch.on_claimed,
        )
        self._fed += 1
        link.on_room = feeder.wake
        return feeder

    # Ending --------------------------------------------------------------------------------------

    def stop_feeding(self) -> None:
        """Claim nothing more for any link."""
        for running in self._running.values():
            running.feeder.stop()

    async def fed(self) -> None:
        """Wait until no claim is under way, after `stop_feeding`: one under way brings its messages
        to its link, which gives them back.
        """
        feeders = [running.feeder for running in self._running.values()]
        await asyncio.gather(*(feeder.finished() for feeder in feeders))

    async def drain(self, deadline: float) -> None:
        """End all links: answers that are due until `deadline` (loop time), then unbind."""
        await asyncio.gather(*(link.drain(deadline) for link in self))


def _campaign(directory: Directory, sender: str) -> str | None:
    """The 10DLC campaign that a number is registered for."""
    number = directory.number(sender)
    return None if number is None else number.campaign


def _is_ours(directory: Directory, address: str) -> bool:
    digits = address.removeprefix("+")
    return directory.number(f"+{digits}") is not None or directory.number(digits) is not None
