"""The accounts: every accepted message is in exactly one place, whatever has happened."""

from __future__ import annotations

from collections import defaultdict

import asyncpg

from gateway.model import NEVER_LEFT, State, is_settled

_PLACES = """
SELECT 'queue' AS place, id FROM queue
UNION ALL SELECT 'later', id FROM later
UNION ALL SELECT 'hold', id FROM hold
UNION ALL SELECT 'flight', unnest(ids) FROM flight
"""


async def check_accounts(connection: asyncpg.Connection) -> None:
    """Assert that no message is lost and none is in two places.

    A message is in the queue, in `later`, in `hold`, in one flight, or settled by its status rows.
    A flight lives until all that it holds is answered for, so that a message may be settled in it;
    and what was settled while it waited (canceled) may still lie where it waited, to be dropped by
    whoever takes it from there.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        messages = {
            row["id"]: row["segments"]
            for row in await connection.fetch("SELECT id, segments FROM message")
        }
        states: dict[int, list[State]] = defaultdict(list)
        for row in await connection.fetch("SELECT id, state FROM status"):
            states[row["id"]].append(State(row["state"]))
        places: dict[int, list[str]] = defaultdict(list)
        for row in await connection.fetch(_PLACES):
            places[row["id"]].append(row["place"])
    wrong = [
        f"{id_}: in {places[id_] or 'no place'}, segments {states[id_]} of {segments}"
        for id_, segments in messages.items()
        if not _is_in_one_place(segments, states[id_], places[id_])
    ]
    strangers = [id_ for id_ in (*states, *places) if id_ not in messages]
    assert not wrong, f"{len(wrong)} messages are not in exactly one place: {wrong[:5]}"
    assert not strangers, f"rows of messages that there are not: {strangers[:5]}"


def _is_in_one_place(segments: int, states: list[State], places: list[str]) -> bool:
    if len(states) > segments or len(places) > 1:
        return False
    if not is_settled(segments, states):
        return len(places) == 1
    return not places or places == ["flight"] or any(state in NEVER_LEFT for state in states)
