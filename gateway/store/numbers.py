"""Which shop a number belongs to. All runs within the caller's transaction (`Database.run`).

A number is assigned to one shop at a time. The past stays: late answers are judged by who had the
number when.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.errors import Fault, Refusal
from gateway.store import fields, queries
from gateway.store.records import announce
from gateway.store.shops import lock_shop, loop_refusal

if TYPE_CHECKING:
    import asyncpg

    from config.settings import SmsSettings


_CAMPAIGN = re.compile(r"[A-Za-z0-9._-]{1,32}")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A number that is assigned now, to a shop (its code); its texts leave by `route_name`, a route
    or link. `campaign`: its 10DLC campaign.
    """

    number: str
    shop: str
    route_name: str
    since: datetime
    campaign: str | None = None


def _sql(name: str) -> str:
    return queries.load("admin")[name]


def _assignment(row: asyncpg.Record) -> Assignment:
    return Assignment(
        row["number"], row["code"], row["route_name"], row["since"], row["campaign"]
    )


def read_number(text: str, sms: SmsSettings) -> str:
    """`text` as numbers are stored: E.164, or the digits of a short code. Raises a Refusal."""
    try:
        return fields.number(text.strip(), sms.default_region, sms.countries)
    except fields.FieldError as error:
        fault = Fault("number", error.problem, error.hint)
        raise Refusal("invalid-request", f"number {error.problem}", (fault,)) from error


def read_campaign(text: str) -> str:
    """`text` as the id of a 10DLC campaign, such as `CABC123`. Raises a Refusal."""
    if not _CAMPAIGN.fullmatch(text):
        problem = "should be 1 to 32 letters, digits, ., _ or -"
        fault = Fault("campaign", problem, "use the id that the campaign registry gave")
        raise Refusal("invalid-request", f"campaign {problem}", (fault,))
    return text


async def assign_number(
    connection: asyncpg.Connection,
    number: str,
    shop: str,
    link: str,
    kind: str,
    sms: SmsSettings,
    campaign: str | None = None,
) -> Assignment:
    """Give a shop (by its code) a number whose texts go out by `link`, a route or link of this
    `kind`.

    The route of a link has its name and is made if need be. Doing the same twice is no error; a
    `campaign` that is given then replaces the earlier one. Raises a Refusal if the number or
    campaign is malformed, the number assigned otherwise or the shop's main phone, or if there is no
    such shop.
    """
    number = read_number(number, sms)
    campaign = None if campaign is None else read_campaign(campaign)
    owner = await lock_shop(connection, shop)
    if owner.main_phone == number:
        raise loop_refusal("number")
    route = await _route(connection, link, kind)
    added = await connection.fetchval(_sql("assign_number"), number, owner.id, route, campaign)
    holder = await connection.fetchrow(_sql("holder_of_number"), number)
    if holder is None:  # released by another meanwhile
        return await assign_number(connection, number, shop, link, kind, sms, campaign)
    assignment = _assignment(holder)
    if (assignment.shop, assignment.route_name) != (shop, link):
        raise _taken(assignment)
    is_news = added is not None
    if campaign is not None and assignment.campaign != campaign:
        await connection.execute(_sql("set_campaign"), number, campaign)
        assignment, is_news = replace(assignment, campaign=campaign), True
    if is_news:
        await announce(connection, f"shop {owner.id}")
    return assignment


async def _route(connection: asyncpg.Connection, name: str, kind: str) -> int:
    route = await connection.fetchval(_sql("route_by_name"), name)
    if route is None:
        await connection.execute(_sql("add_route"), name, kind)
        route = await connection.fetchval(_sql("route_by_name"), name)
    return int(route)


def _taken(holder: Assignment) -> Refusal:
    fault = Fault(
        "number",
        f"is assigned to shop {holder.shop} by link {holder.route_name}",
        f"release it first: `gateway number release {holder.number}`",
    )
    return Refusal("invalid-request", f"the number {fault.problem}", (fault,), hint=fault.hint)


async def running_routes(connection: asyncpg.Connection) -> set[str]:
    """The routes of which living processes run a link, such as the sandbox's."""
    return {row["name"] for row in await connection.fetch(_sql("running_routes"))}


async def release_number(connection: asyncpg.Connection, number: str, sms: SmsSettings) -> str:
    """Take a number from its shop, and return it as stored. Raises a Refusal if no shop has it."""
    number = read_number(number, sms)
    owner = await connection.fetchval(_sql("release_number"), number)
    if owner is None:
        raise Refusal(
            "not-found",
            "the number is assigned to no shop",
            (Fault("number", "is assigned to no shop"),),
            hint="`gateway number list` shows those that are",
        )
    await announce(connection, f"shop {owner}")
    return number


async def list_numbers(connection: asyncpg.Connection) -> list[Assignment]:
    """All numbers assigned now, by shop."""
    return [_assignment(row) for row in await connection.fetch(_sql("all_numbers"))]
