"""Several nodes share the binds of a link, and take over those of a dead one."""

from __future__ import annotations

from tests.crash.stage import eventually, staged


async def test_two_nodes_share_the_binds_of_a_link() -> None:
    """The first gives up what is not its share, in good order; a dead node's binds are taken."""
    async with staged(binds=4) as stage:
        smsc = stage.smsc
        first = await stage.start()
        await smsc.wait_until(lambda: len(smsc.sessions) == 4, 30)
        second = await stage.start()

        async def are_shared() -> bool:
            rows = await stage.fetch(
                "SELECT count(*) AS held FROM bind WHERE index >= 0 AND until > now()"
                " GROUP BY node ORDER BY node"
            )
            return [row["held"] for row in rows] == [2, 2] and len(smsc.sessions) == 4

        await eventually(are_shared, "both nodes have two binds")
        assert smsc.unbinds == 2
        for number in range(40):
            await stage.client.post((first, second)[number % 2].url, text=f"No. {number}")
        await stage.drained()
        assert len({submitted.session for submitted in smsc.received}) >= 2
        await first.kill()

        async def has_all() -> bool:
            return len(smsc.sessions) == 4

        await eventually(has_all, "the other node has all binds")
        assert sorted(smsc.texts()) == sorted(f"No. {number}" for number in range(40))
        assert await second.stop() == 0
