"""The links and routes of the settings as the store numbers them, and which link serves what."""

from __future__ import annotations

from collections.abc import Sequence

from config.routes import RouteLink, effective_routes
from config.settings import Settings
from gateway.dispatch.choosing import Routing
from gateway.dispatch.routes import Routes, Serving
from gateway.dispatch.wording import common, is_default, text_dialect
from gateway.store.database import Database
from gateway.store.queries import load
from protocols.sms.dialect import TextDialect
from protocols.sms.id_learning import IdForm

MAIL = "mail"
"""The name of the operator's mail account as a link and as a route."""
SMPP = "smpp"


class Network:
    """What the settings last read say. Its dictionaries live as long as it does."""

    def __init__(self, routes: Routes) -> None:
        self.link_ids: dict[str, int] = {}
        self.route_ids: dict[str, int] = {}
        """By name; the names of earlier settings stay known."""
        self.link_names: dict[int, str] = {}
        self.dialects: dict[int, TextDialect] = {}
        """What all links of a route take, by its id, where that is not the default."""
        self.link_dialects: dict[int, TextDialect] = {}
        """What each link takes, by its id."""
        self.id_forms: dict[int, IdForm] = {}
        """How each link's receipts write its ids, by its id, where the settings say it."""
        self.routing: Routing | None = None
        """How messages find their route; None where each takes its number's home."""
        self._routes = routes
        self._serves: dict[str, list[Serving]] = {}
        self._links_of: dict[str, tuple[str, ...]] = {}

    async def load(self, database: Database, settings: Settings) -> None:
        """Take over settings: at the start, and whenever they are read again. Raises StoreDown."""
        await self._put_links(database, settings)
        routes = effective_routes(settings.routes, settings.links)
        serves: dict[str, list[Serving]] = {name: [] for name in self.link_ids}
        for each in routes:
            await self._put_route(database, each.name, SMPP, each.members)
            route = self._routes.get(self.route_ids[each.name], each.name)
            route.overflow_s = each.overflow_s
            for link in each.members:
                serves[link.link].append(Serving(route, link.weight, link.standby))
        if settings.mail.is_on:
            await self._put_route(database, MAIL, MAIL, (RouteLink(link=MAIL),))
            serves[MAIL].append(Serving(self._routes.get(self.route_ids[MAIL], MAIL)))
        served = {each.route.id for mine in serves.values() for each in mine}
        links = list(self.link_ids.values())
        await database.fetch(load("routes")["drop_routes"], links, list(served))
        for route in self._routes:
            route.has_link = route.id in served
        self._serves = serves
        self._links_of = {r.name: tuple(link.link for link in r.members) for r in routes}
        self._take_dialects(settings)
        self.routing = Routing(routes, self.route_ids) if settings.routes else None

    def _take_dialects(self, settings: Settings) -> None:
        spoken = {link.name: text_dialect(link) for link in settings.links}
        self.link_dialects.clear()
        self.link_dialects.update((self.link_ids[name], d) for name, d in spoken.items())
        self.id_forms.clear()
        self.id_forms.update(
            (self.link_ids[link.name], IdForm(link.receipt_ids))
            for link in settings.links
            if link.receipt_ids != "auto"
        )
        self.dialects.clear()
        for name, links in self._links_of.items():
            dialect = common(spoken[link] for link in links)
            if not is_default(dialect):
                self.dialects[self.route_ids[name]] = dialect

    async def _put_links(self, database: Database, settings: Settings) -> None:
        ways: list[tuple[str, str, bool]] = [
            (link.name, link.kind, link.registered_delivery) for link in settings.links
        ]
        if settings.mail.is_on:
            ways.append((MAIL, MAIL, False))
        for name, kind, has_receipts in ways:
            rows = await database.fetch(load("nodes")["put_link"], name, kind, has_receipts)
            self.link_ids[name] = rows[0]["id"]
            self.link_names[rows[0]["id"]] = name

    async def _put_route(
        self, database: Database, name: str, kind: str, links: Sequence[RouteLink]
    ) -> None:
        sql = load("routes")
        rows = await database.fetch(load("nodes")["put_route"], name, kind)
        id_ = self.route_ids[name] = rows[0]["id"]
        ids = [self.link_ids[link.link] for link in links]
        for link, link_id in zip(links, ids, strict=True):
            await database.fetch(sql["put_route_link"], id_, link_id, link.weight, link.standby)
        await database.fetch(sql["drop_route_links"], id_, ids)

    def serves(self, link: str) -> list[Serving]:
        """What a link's feeder feeds it from."""
        return self._serves.get(link, [])
