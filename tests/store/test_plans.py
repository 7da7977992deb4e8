"""The plans of the message path's statements, whatever PostgreSQL believes of its tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from gateway.store.database import PLAN_GUARDS, HotConnection
from gateway.store.embedded import ConnectParameters
from gateway.store.queries import load
from tests.store.sample import opened

GUARDED = {
    "queue": "route",
    "message": "id|target",
    "status": "id|carrier",
    "later": "due_ms",
    "contact": "phone",
    "event": "message",
    "hold": "id|shop|reason",
    "idempotency": "key|at_ms",
    "in_doubt": "target",
    "early_receipt": "id|link",
    "awaited_receipt": "due_ms|ctid",
    "reply": "id",
    "mo_part": "phone|row|ctid",
    "mo_seen": "link",
}
"""Tables of the message path, each with the columns one of which its index condition must name."""

WASTEFUL = {"Sort", "Incremental Sort", "Materialize"}
FORBIDDEN = {"Seq Scan", "Hash Join", "Merge Join", "Bitmap Heap Scan", "Bitmap Index Scan"}

COLD = {
    "overdue_groups",
    "count_groups",
    "oldest_groups",
    "delete_parts",
    "delete_seen",
    "delete_old_seen",
    "forwards",
}
"""Statements of inbound.sql that run now and then, on the pool."""

SMALL = {"dispatch.forget_doubts"}
"""Statements that may read a table that stays small from end to end."""

ROWS = 20_000

FILL = f"""
INSERT INTO shop (code, name, main_phone, contact_email, time_zone)
SELECT 'shop-' || n, 'Sample', '+12125550100', 'owner@example.com', 'UTC'
FROM generate_series(1, 50) n;
INSERT INTO link (name, kind) SELECT 'link-' || n, 'smpp' FROM generate_series(1, 3) n;
INSERT INTO route (name, kind) SELECT 'link-' || n, 'smpp' FROM generate_series(1, 3) n;
INSERT INTO message (id, shop, route, rank, place, channel, category, encoding, segments,
                     expires_ms, sender, target, body)
SELECT n, n % 50, n % 3, n, 1, 1, 1, 0, 1, 0, '+12125550100', '+12125550101', 'x'
FROM generate_series(1, {ROWS}) n;
INSERT INTO queue SELECT n % 3, n, n, n % 50, 0 FROM generate_series(1, {ROWS}) n;
INSERT INTO later SELECT n, n, n % 3, n, n % 50, 0 FROM generate_series(1, {ROWS}) n;
INSERT INTO hold SELECT n, n % 50, n % 3, '+12125550101', 'no-link', NULL, 0
FROM generate_series(1, {ROWS}) n;
INSERT INTO status SELECT n, 0, n % 3, 4, 1, n, NULL, n::text, NULL
FROM generate_series(1, {ROWS}) n;
INSERT INTO contact SELECT n % 50, '+1' || n FROM generate_series(1, {ROWS}) n;
INSERT INTO event (message, id, shop, kind, at_ms)
SELECT n, n, n % 50, 1, n FROM generate_series(1, {ROWS}) n;
INSERT INTO idempotency SELECT n % 50, n::text, '', '', n FROM generate_series(1, {ROWS}) n;
INSERT INTO early_receipt SELECT n, n % 3, n::text, '', 5, '', NULL, n
FROM generate_series(1, {ROWS}) n;
INSERT INTO awaited_receipt SELECT n, n, n FROM generate_series(1, {ROWS}) n;
INSERT INTO in_doubt SELECT n % 3, '+1' || n, n, 0, n FROM generate_series(1, {ROWS}) n;
INSERT INTO flight SELECT n, 1, 1, 1, 1, ARRAY[n] FROM generate_series(1, 200) n;
"""  # noqa: S608

EMPTY = "DELETE FROM queue; DELETE FROM later; DELETE FROM hold; DELETE FROM in_doubt;"
EMPTY += "DELETE FROM status; DELETE FROM message; DELETE FROM contact; DELETE FROM early_receipt;"
EMPTY += "DELETE FROM awaited_receipt;"


def hot_statements() -> list[tuple[str, str]]:
    """File and name of every statement that hot connections run."""
    found = [(file, name) for file in ("dispatch", "receipts") for name in load(file)]
    return found + [("inbound", name) for name in load("inbound") if name not in COLD]


async def plan_of(connection: asyncpg.Connection, sql: str) -> dict[str, Any]:
    """The generic plan of a statement, as the hot connection would use it."""
    count = max((int(n) for n in re.findall(r"\$(\d+)", sql)), default=0)
    await connection.execute(f"PREPARE explained AS {sql}")
    try:
        arguments = f"({', '.join(['NULL'] * count)})" if count else ""
        text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE explained{arguments}")
    finally:
        await connection.execute("DEALLOCATE explained")
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any], above: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Every node of a plan, each with the type of the one above it."""
    yield plan, above
    for child in plan.get("Plans", ()):
        yield from nodes(child, plan["Node Type"])


def tables_below(plan: dict[str, Any]) -> set[str]:
    """The tables that a node reads."""
    return {node["Relation Name"] for node, _ in nodes(plan) if "Relation Name" in node}


def complaints(plan: dict[str, Any]) -> list[str]:
    """What is wrong with a plan of the message path."""
    found = []
    for node, above in nodes(plan):
        kind, table = node["Node Type"], node.get("Relation Name")
        if kind in FORBIDDEN and tables_below(node) & GUARDED.keys():
            found.append(f"{kind} on {sorted(tables_below(node))}")
        elif kind in WASTEFUL and tables_below(node) & GUARDED.keys():
            found.append(f"{kind} over {sorted(tables_below(node))}")
        elif kind in ("Index Scan", "Index Only Scan") and table in GUARDED:
            condition = node.get("Index Cond", "")
            is_first_rows = not condition and above == "Limit"
            if not is_first_rows and not re.search(GUARDED[table], condition):
                found.append(f"{node['Index Name']} is read from end to end: {condition or 'all'}")
    return found


async def assert_plans(connection: asyncpg.Connection) -> None:
    """Fail with every hot statement whose plan is not by index or ctid."""
    wrong = {}
    for file, name in hot_statements():
        found = complaints(await plan_of(connection, load(file)[name]))
        if found and f"{file}.{name}" not in SMALL:
            wrong[f"{file}.{name}"] = found
    assert not wrong, json.dumps(wrong, indent=1)


@pytest.mark.parametrize("statistics", ["none", "of empty tables", "of full tables", "stale full"])
async def test_hot_statements_reach_their_tables_by_index_or_ctid(
    database: ConnectParameters, statistics: str
) -> None:
    """Neither missing nor stale statistics make a plan that reads or sorts a whole table."""
    async with opened(database) as store:
        connection = await store.connect(server_settings=PLAN_GUARDS)
        try:
            if statistics == "of empty tables":
                await connection.execute("ANALYZE")
            if statistics != "none":
                await connection.execute(FILL)
            if statistics in ("of full tables", "stale full"):
                await connection.execute("ANALYZE")
            if statistics == "stale full":
                await connection.execute(EMPTY)
            await assert_plans(connection)
        finally:
            await connection.close()


@pytest.mark.parametrize("has_statistics", [False, True])
@pytest.mark.parametrize("name", ["claim_pinned", "poll_routes"])
async def test_pinned_messages_are_found_by_an_index_of_their_own(
    database: ConnectParameters, name: str, has_statistics: bool
) -> None:
    """A long queue without any costs nothing: they are looked for each second."""
    async with opened(database) as store:
        connection = await store.connect(server_settings=PLAN_GUARDS)
        try:
            await connection.execute(FILL)
            if has_statistics:
                await connection.execute("ANALYZE")
            plan = await plan_of(connection, load("dispatch")[name])
        finally:
            await connection.close()
    used = [node.get("Index Name") for node, _ in nodes(plan) if "Index Name" in node]
    assert "queue_pinned" in used


async def test_a_hot_connection_is_guarded(database: ConnectParameters) -> None:
    """Plans are generic and by index, and commits wait for the disk, whatever the database says."""
    async with opened(database) as store:
        name = database["database"]
        await store.fetch(f"ALTER DATABASE {name} SET synchronous_commit = off")
        hot = HotConnection(store, "test")
        for setting, value in (PLAN_GUARDS | {"synchronous_commit": "on"}).items():
            assert (await hot.fetch(f"SHOW {setting}"))[0][0] == value
        assert (await hot.fetch("SHOW application_name"))[0][0] == "gateway test"
