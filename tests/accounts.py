"""The accounts: every accepted message is in exactly one place, whatever happened."""

from __future__ import annotations

from collections import Counter

import asyncpg

from gateway.model import State, is_settled

_LEAVES_RETRIES = {State.CANCELED, State.UNDELIVERED}
_PLACES = """
SELECT 'queue' AS place, id FROM queue
UNION ALL SELECT 'later', id FROM later
UNION ALL SELECT 'hold', id FROM hold
UNION ALL SELECT 'flight', i.id FROM flight f, unnest(f.ids) i(id)
"""


async def check_accounts(connection: asyncpg.Connection) -> None:
    """Assert that each message that is not settled is in one of queue, later, hold and a flight,
    and none that is settled in any but a flight that is not over.

    A cancel, or a receipt that one segment did not arrive, may leave the row of a retry behind:
    whoever comes to it drops it.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        segments = dict(await connection.fetch("SELECT id, segments FROM message"))
        places: dict[int, Counter[str]] = {id_: Counter() for id_ in segments}
        for row in await connection.fetch(_PLACES):
            assert row["id"] in places, f"{row['place']} holds {row['id']}, which nobody accepted"
            places[row["id"]][row["place"]] += 1
        states: dict[int, list[State]] = {id_: [] for id_ in segments}
        for row in await connection.fetch("SELECT id, state FROM status"):
            states[row["id"]].append(State(row["state"]))
    for id_, where in places.items():
        if not is_settled(segments[id_], states[id_]):
            assert where.total() == 1, f"message {id_} is in {dict(where) or 'no place'}"
        elif not _LEAVES_RETRIES & set(states[id_]):
            waits = where.total() - where["flight"]
            assert waits == 0, f"settled message {id_} ({states[id_]}) waits in {dict(where)}"
