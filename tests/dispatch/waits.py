"""Putting messages into the queue, and waiting for what becomes of them."""

from __future__ import annotations

from typing import Any

from tests.dispatch.stage import Stage


async def waiting(node: Stage, **fields: Any) -> int:
    """A message in the queue, of a link that has no room yet."""
    id_ = await node.accept(**fields)
    assert await node.place(id_) == "queue"
    return id_


async def clear(node: Stage) -> None:
    """Empty every table that messages pass."""
    tables = "message, queue, later, hold, flight, status, event, in_doubt, contact, virtual_time"
    await node.rows(f"TRUNCATE {tables}")


async def reaches(node: Stage, id_: int, place: str) -> None:
    """Wait until the message is in this place."""

    async def reached() -> bool:
        return await node.place(id_) == place

    await node.until(reached)


async def leaves(node: Stage, table: str) -> None:
    """Wait until the table is empty."""

    async def left() -> bool:
        return not await node.rows(f"SELECT id FROM {table}")  # noqa: S608

    await node.until(left)


async def ends(node: Stage, id_: int) -> None:
    """Wait until the message has its final state."""

    async def ended() -> bool:
        return bool(await node.states(id_))

    await node.until(ended)
    await node.settled()
