"""Which shop a number belongs to. All runs within the caller's transaction (`Database.run`).

A number is assigned to one shop at a time. The past stays: late answers are judged by who had the
number when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.errors import Fault, Refusal
from gateway.store import fields, queries
from gateway.store.records import announce
from gateway.store.shops import lock_shop, loop_refusal

if TYPE_CHECKING:
    import asyncpg

    from config.settings import SmsSettings


@dataclass(frozen=True, slots=True)
class Assignment:
    """A number that is assigned now, to a shop (its code); its texts leave by `route_name`."""

    number: str
    shop: str
    route_name: str
    since: datetime


def _sql(name: str) -> str:
    return queries.load("admin")[name]


def _assignment(row: asyncpg.Record) -> Assignment:
    return Assignment(row["number"], row["code"], row["route_name"], row["since"])


def read_number(text: str, sms: SmsSettings) -> str:
    """`text` as numbers are stored: E.164, or the digits of a short code. Raises a Refusal."""
    try:
        return fields.number(text.strip(), sms.default_region, sms.countries)
    except fields.FieldError as error:
        fault = Fault("number", error.problem, error.hint)
        raise Refusal("invalid-request", f"number {error.problem}", (fault,)) from error


async def assign_number(
    connection: asyncpg.Connection, number: str, shop: str, link: str, kind: str, sms: SmsSettings
) -> Assignment:
    """Give a shop (by its code) a number whose texts go out by `link`, a link of this `kind`.

    The route has the link's name and is made if need be. Doing the same twice is no error. Raises a
    Refusal if the number is malformed, assigned otherwise or the shop's main phone, or if there is
    no such shop.
    """
    number = read_number(number, sms)
    owner = await lock_shop(connection, shop)
    if owner.main_phone == number:
        raise loop_refusal("number")
    route = await _route(connection, link, kind)
    is_new = await connection.fetchval(_sql("assign_number"), number, owner.id, route) is not None
    holder = await connection.fetchrow(_sql("holder_of_number"), number)
    if holder is None:  # released by another meanwhile
        return await assign_number(connection, number, shop, link, kind, sms)
    assignment = _assignment(holder)
    if (assignment.shop, assignment.route_name) != (shop, link):
        raise _taken(assignment)
    if is_new:
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


async def running_links(connection: asyncpg.Connection) -> dict[str, str]:
    """Kinds by name of the SMPP links that living processes run, such as the sandbox's."""
    rows = await connection.fetch(_sql("running_links"))
    return {row["name"]: row["kind"] for row in rows}


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
