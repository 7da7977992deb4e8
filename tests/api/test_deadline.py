"""The deadline of all that waits for a commit."""

from __future__ import annotations

import asyncio

import pytest

from gateway.api.deadline import Deadline
from gateway.errors import Refusal


async def forever() -> None:
    """Wait for what never comes."""
    await asyncio.Event().wait()


async def test_what_is_in_time_is_left_alone() -> None:
    """A result comes through, an exception too."""

    async def fail() -> None:
        raise KeyError

    deadline = Deadline(60.0)
    assert await deadline.keep(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(KeyError):
        await deadline.keep(fail())


async def test_what_is_late_is_given_up() -> None:
    """Whoever waits too long is refused, and the task lives on."""
    deadline = Deadline(0.001)
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            await deadline.keep(forever())
        assert caught.value.type == "unavailable"
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_who_is_canceled_is_canceled() -> None:
    """A cancellation from elsewhere is not taken for a deadline."""
    deadline = Deadline(60.0)
    task = asyncio.create_task(deadline.keep(forever()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
