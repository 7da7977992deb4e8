"""The statements that store texts reach every table by index or ctid, whatever statistics say."""

from __future__ import annotations

import pytest

from gateway.inbound.replies import SQL
from gateway.store.database import Database, HotConnection

ARGUMENTS: dict[str, list[object]] = {
    "add_parts": [[1], ["p"], ["n"], [1], [2], [1], [b"d"], [b"x"], [0], [1]],
    "open_parts": [[0], [1], ["p"], ["n"], [1], [2]],
    "close_parts": [1, [(0, 1)]],
    "quarantined": [[0], [1], ["n"], ["p"]],
    "add_replies": [[5], [1], [1], ["n"], ["p"], ["b"], [1], ["{}"], [5], [1], [b"d"]]
    + [[1], ["p"], ["n"]]
    + [[6], [1], [1], [1], [1], [5], ["s"], ["t"], ["b"]],
    "seen": [1, 0],
}
FILL = """
INSERT INTO mo_part SELECT 1, 'p' || n, 'n', 1, 2, 1, 'd', 'x', 0, n, CASE WHEN n % 2 = 0 THEN n END
FROM generate_series(1, 3000) n;
INSERT INTO contact (shop, phone) SELECT 1, 'p' || n FROM generate_series(1, 3000) n;
INSERT INTO mo_seen SELECT n, n % 3, 'd' FROM generate_series(1, 3000) n;
INSERT INTO message (id, shop, route, rank, place, channel, category, encoding, segments,
                     expires_ms, sender, target, body)
SELECT n, 1, 1, 0, 1, 1, 1, 0, 1, 1, 'n', 'p' || n, 'b' FROM generate_series(1, 3000) n;
"""


@pytest.mark.parametrize("statistics", ["none", "of empty tables", "fresh"])
async def test_no_statement_scans_or_sorts(store: Database, statistics: str) -> None:
    """Neither before statistics exist, nor when they were taken while the tables were empty."""
    pooled = await store.connect()
    if statistics == "of empty tables":
        await pooled.execute("ANALYZE")
    await pooled.execute(FILL)
    if statistics == "fresh":
        await pooled.execute("ANALYZE")
    await pooled.close()
    hot = HotConnection(store, "plans")
    for name, arguments in ARGUMENTS.items():
        rows = await hot.fetch(f"EXPLAIN {SQL[name]}", *arguments)
        plan = "\n".join(row[0] for row in rows)
        for node in ("Seq Scan", "Hash Join", "Merge Join", "Bitmap", "Sort"):
            assert node not in plan, f"{name}: {plan}"
    hot.drop()
