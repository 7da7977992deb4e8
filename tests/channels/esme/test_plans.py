"""The plans of what the SMPP server asks the store, whatever PostgreSQL believes of its tables."""

from __future__ import annotations

import json

import asyncpg
import pytest

from gateway.store.database import PLAN_GUARDS
from gateway.store.embedded import ConnectParameters
from gateway.store.queries import load
from tests.store.sample import opened
from tests.store.test_plans import FORBIDDEN, WASTEFUL, nodes, plan_of, tables_below

HOT = (
    *("want_receipts", "want_none", "outbox", "acknowledged"),
    *("parts", "add_parts", "forget_parts", "finish_parts", "adopt_parts"),
)
GUARDED = {"esme_text", "esme_part", "esme_outbox", "esme_bind", "reply"}

FILL = """
INSERT INTO esme (system_id, password, link, binds, "window", rate, category, is_latin1,
                  has_replies)
SELECT 'e' || n, '', 'x', 1, 1, 0, 1, false, false FROM generate_series(1, 50) n;
INSERT INTO node (id, name, epoch, until) SELECT n, n::text, 1, now() FROM generate_series(1, 20) n;
INSERT INTO esme_bind SELECT id, 0, 1, 1, 9, '' FROM esme;
INSERT INTO esme_text SELECT n, 1, n, '{1}', 0, '', 0, 0, '', 0, 0 FROM generate_series(1, 20000) n;
INSERT INTO esme_outbox (esme, id, kind, subject, at_ms)
SELECT n % 50, n, 1, n, 0 FROM generate_series(1, 20000) n;
INSERT INTO esme_part SELECT n % 50, '', '', n, 2, 1, n, '', 0, 0, '{0,0,0,0}', n
FROM generate_series(1, 20000) n;
INSERT INTO reply (id, link, number, phone, body, segments)
SELECT n, 1, '', '', '', 1 FROM generate_series(1, 20000) n;
"""
HEARD = """
SELECT t.esme, e.id, e.kind, t.told,
       coalesce((SELECT s.error FROM status s WHERE s.id = e.message AND s.error IS NOT NULL
                 ORDER BY s.id, s.segment LIMIT 1), e.detail->>'error')
FROM unnest($1::event[]) e, LATERAL (SELECT * FROM esme_text t WHERE t.id = e.message LIMIT 1) t
WHERE e.kind IN (1, 2, 3, 4, 5, 6, 15)
"""
"""What the trigger on `event` asks; its transition table is a function here."""


async def complaints(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """What is wrong, by statement."""
    wrong = {}
    for name, sql in [*((name, load("esmes")[name]) for name in HOT), ("heard", HEARD)]:
        found = [
            f"{node['Node Type']} on {sorted(tables_below(node) & GUARDED)}"
            for node, _ in nodes(await plan_of(connection, sql))
            if node["Node Type"] in FORBIDDEN | WASTEFUL and tables_below(node) & GUARDED
        ]
        if found:
            wrong[name] = found
    return wrong


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
                await connection.execute(
                    "DELETE FROM esme_text; DELETE FROM esme_part; DELETE FROM esme_outbox"
                )
            wrong = await complaints(connection)
            assert not wrong, json.dumps(wrong, indent=1)
        finally:
            await connection.close()
