"""What waits, as operators and shops are told: figures by route, lane and shop, and one
sentence a route.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from gateway.dispatch.acceptance import iso
from gateway.dispatch.depths import Depth, LinkState, RouteName, Snapshot
from gateway.ids import show
from gateway.model import Lane
from gateway.policy.gate import WORDS

SHOPS_MAX = 1_000
"""Shops that are listed for one route, those with most messages first."""


class LaneReport(msgspec.Struct, kw_only=True):
    """What is ready in one lane of a route."""

    lane: str
    waiting: int
    oldest_s: float


class HeldReport(msgspec.Struct, kw_only=True):
    """What is held for one reason. `text`: the reason in words."""

    reason: str
    text: str
    count: int


class ShopReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one shop has in one route.

    `drain_s`: at the present rate and fair shares, about so long.
    """

    shop: str
    waiting: int
    scheduled: int
    held: int
    oldest_s: float | None = None
    drain_s: float | None = None


class LinkReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A bind of a link that serves a route. `rate`: segments a second, lately, for all routes of
    the link. `standby`: its tier; links of a higher one help when lower ones cannot.
    """

    link: str
    bind: int
    standby: int = 0
    state: str
    since: str
    rate: float | None = None
    error: str | None = None
    next_try: str | None = None


class RouteReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What waits for one route.

    `waiting` is ready, `scheduled` waits for its time or for a retry.
    """

    route: str
    summary: str
    waiting: int
    scheduled: int
    sending: int | None = None
    oldest_s: float | None = None
    rate: float | None = None
    drain_s: float | None = None
    held: list[HeldReport] = []
    lanes: list[LaneReport] = []
    links: list[LinkReport] = []
    shops: list[ShopReport] = []


class ForwardReport(msgspec.Struct, kw_only=True):
    """A reply that could not be mailed to its shop; GET /v1/replies still has it."""

    reply: str
    message: str
    shop: str
    at: str
    error: str | None


class QueueReport(msgspec.Struct, kw_only=True):
    """Everything that waits, as of a moment."""

    as_of: str
    routes: list[RouteReport]
    failed_forwards: list[ForwardReport]
    unrouted_replies: int | None


def report(snapshot: Snapshot, shop: int | None = None, own: Collection[int] = ()) -> QueueReport:
    """The report for operators, or with `shop` what that shop may see: its own messages alone.

    `own`: the routes of the shop's numbers, which it sees even when nothing waits there.
    """
    forwards = [f for f in snapshot.failed_forwards if shop is None or f.shop == shop]
    routes = [
        _route(snapshot, id_, route, shop)
        for id_, route in snapshot.routes.items()
        if shop is None
        or id_ in own
        or any(d.route == id_ and d.shop == shop for d in snapshot.depths)
    ]
    return QueueReport(
        as_of=iso(snapshot.as_of_ms),
        routes=routes,
        failed_forwards=[
            ForwardReport(
                reply=show("rpl", forward.reply),
                message=show("msg", forward.message),
                shop=snapshot.shops.get(forward.shop, ""),
                at=iso(forward.at_ms),
                error=forward.error,
            )
            for forward in forwards
        ],
        unrouted_replies=snapshot.unrouted if shop is None else None,
    )


def describe(snapshot: Snapshot) -> list[str]:
    """One sentence a route, and what else an operator should know."""
    told = report(snapshot)
    lines = [route.summary for route in told.routes]
    lines += [
        f"reply {forward.reply} of shop {forward.shop} could not be mailed: {forward.error}"
        for forward in told.failed_forwards
    ]
    if snapshot.unrouted:
        lines.append(f"{snapshot.unrouted:,} texts of three days came for numbers of no shop")
    return lines


def _route(snapshot: Snapshot, id_: int, route: RouteName, shop: int | None) -> RouteReport:
    everyone = [depth for depth in snapshot.depths if depth.route == id_]
    depths = [depth for depth in everyone if shop is None or depth.shop == shop]
    tiers = {each.link: each.standby for each in snapshot.route_links if each.route == id_}
    links = [link for name in tiers for link in snapshot.links if link.link == name]
    rate = sum(link.rate for link in links if link.is_up and link.is_fresh(snapshot.as_of_ms))
    ready = [depth for depth in depths if depth.place == "queue"]
    waiting = _total(ready)
    shops = _shops(snapshot, everyone, rate, shop)
    drain_s = waiting / rate if rate else None
    if shop is not None:
        drain_s = shops[0].drain_s if shops else None
    found = RouteReport(
        route=route.name,
        summary="",
        waiting=waiting,
        scheduled=_total(d for d in depths if d.place == "later"),
        sending=snapshot.flying.get(id_, 0) if shop is None else None,
        oldest_s=_age_s(snapshot, ready),
        rate=round(rate, 1) if shop is None and links else None,
        drain_s=None if drain_s is None else round(drain_s, 1),
        held=_held(depths),
        lanes=_lanes(snapshot, ready),
        links=[
            _link(link, tiers[link.link], snapshot.as_of_ms, is_whole=shop is None)
            for link in links
        ],
        shops=shops,
    )
    words = None if shop is not None else _links_words(links, tiers, route, snapshot.as_of_ms)
    found.summary = _sentence(found, words, route)
    return found


def _total(depths: Iterable[Depth]) -> int:
    return sum(depth.count for depth in depths)


def _age_s(snapshot: Snapshot, depths: Sequence[Depth]) -> float | None:
    if not depths:
        return None
    oldest_ms = min(depth.oldest_ms for depth in depths)
    return round(max(snapshot.as_of_ms - oldest_ms, 0) / 1000, 1)


def _lanes(snapshot: Snapshot, ready: Sequence[Depth]) -> list[LaneReport]:
    found = []
    for lane in Lane:
        mine = [depth for depth in ready if depth.lane is lane]
        if mine:
            found.append(
                LaneReport(
                    lane=lane.name.lower(),
                    waiting=_total(mine),
                    oldest_s=_age_s(snapshot, mine) or 0.0,
                )
            )
    return found


def _held(depths: Sequence[Depth]) -> list[HeldReport]:
    counts: Counter[str] = Counter()
    for depth in depths:
        if depth.reason is not None:
            counts[depth.reason] += depth.count
    return [
        HeldReport(reason=reason, text=WORDS.get(reason, reason), count=count)
        for reason, count in counts.most_common()
    ]


def _shops(
    snapshot: Snapshot, depths: Sequence[Depth], rate: float, only: int | None
) -> list[ShopReport]:
    """What each shop has.

    With fair shares, a shop of several that wait gets its part of the rate.
    """
    by_shop: dict[int, list[Depth]] = {}
    for depth in depths:
        by_shop.setdefault(depth.shop, []).append(depth)
    ready = {id_: _total(d for d in mine if d.place == "queue") for id_, mine in by_shop.items()}
    total, contenders = sum(ready.values()), sum(1 for count in ready.values() if count)
    found = []
    for id_, mine in by_shop.items():
        if only is not None and id_ != only:
            continue
        ahead = min(ready[id_] * contenders, total)
        found.append(
            ShopReport(
                shop=snapshot.shops.get(id_, ""),
                waiting=ready[id_],
                scheduled=_total(d for d in mine if d.place == "later"),
                held=_total(d for d in mine if d.place == "hold"),
                oldest_s=_age_s(snapshot, [d for d in mine if d.place == "queue"]),
                drain_s=round(ahead / rate, 1) if rate and ready[id_] else None,
            )
        )
    found.sort(key=lambda each: (-(each.waiting + each.scheduled + each.held), each.shop))
    return found[:SHOPS_MAX]


def _link(link: LinkState, standby: int, now_ms: int, *, is_whole: bool) -> LinkReport:
    """A bind; `is_whole`: with what concerns the operator alone."""
    return LinkReport(
        link=link.link,
        bind=link.bind,
        standby=standby,
        state=link.state if link.is_fresh(now_ms) else "unknown",
        since=_iso(link.since),
        rate=round(link.rate, 1) if is_whole else None,
        error=link.error if is_whole else None,
        next_try=_iso(link.next_try) if is_whole and link.next_try else None,
    )


def _iso(moment: datetime) -> str:
    return iso(int(moment.timestamp() * 1000))


# Sentences ----------------------------------------------------------------------------------------


def _sentence(found: RouteReport, links: Sequence[str] | None, route: RouteName) -> str:
    """`acme: 1,204 waiting, oldest 38 s, link up since 10:02`. `links`: what to say of each."""
    parts = [f"{found.waiting:,} waiting" if found.waiting else "nothing waiting"]
    if found.oldest_s is not None:
        parts.append(f"oldest {span(found.oldest_s)}")
    if found.sending:
        parts.append(f"{found.sending:,} being sent")
    if found.scheduled:
        parts.append(f"{found.scheduled:,} for later")
    parts += [f"{held.count:,} held ({held.text})" for held in found.held]
    if found.drain_s is not None and found.waiting:
        parts.append(f"about {span(found.drain_s)} to drain")
    if links:
        parts += links
    elif links is not None and route.kind != "mail":
        parts.append("no link has served it yet")
    return f"{route.name}: {', '.join(parts)}"


def _links_words(
    states: Sequence[LinkState], tiers: Mapping[str, int], route: RouteName, now_ms: int
) -> list[str]:
    """What to say of the links of a route: bind by bind where there is one link."""
    found = []
    lowest = min(tiers.values(), default=0)
    for name, tier in tiers.items():
        binds = [state for state in states if state.link == name]
        called = "link" if tuple(tiers) == (route.name,) else f"link {name}"
        called = f"standby {called}" if tier > lowest else called
        if len(binds) == 1:
            found.append(_link_words(binds[0], now_ms, called))
        elif len(tiers) == 1:
            found += [_link_words(bind, now_ms, f"bind {bind.bind + 1}") for bind in binds]
        elif binds:
            found.append(_binds_words(binds, now_ms, called))
        elif len(tiers) > 1:
            found.append(f"{called} has not run yet")
    return found


def _binds_words(binds: Sequence[LinkState], now_ms: int, called: str) -> str:
    """`link beta 3 of 4 binds up (ESME_RALYBND)`, with the last error of one that is not."""
    up = [bind for bind in binds if bind.is_up and bind.is_fresh(now_ms)]
    words = f"{called} {len(up)} of {len(binds)} binds up"
    error = next((bind.error for bind in binds if bind not in up and bind.error), None)
    return f"{words} ({error})" if error else words


def _link_words(link: LinkState, now_ms: int, name: str) -> str:
    """`link down since 10:02 (ESME_RINVPASWD), next try in 20 s`."""
    if not link.is_fresh(now_ms):
        return f"{name} not heard of since {_clock(link.updated, now_ms)}"
    words = f"{name} {link.state} since {_clock(link.since, now_ms)}"
    if link.error:
        words += f" ({link.error})"
    if link.next_try is not None and not link.is_up:
        wait_s = max(link.next_try.timestamp() - now_ms / 1000, 0)
        words += f", next try in {span(wait_s)}"
    return words


def _clock(moment: datetime, now_ms: int) -> str:
    """The time of day where this machine stands, with the day if it is not today."""
    local = moment.astimezone()
    today = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone().date()
    return f"{local:%H:%M}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


def span(seconds: float) -> str:
    """A length of time in its most telling unit: `38 s`, `12 min`, `3 h`, `2 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s"
