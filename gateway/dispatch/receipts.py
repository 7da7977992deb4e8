"""Delivery receipts: matched to their segments, committed, and only then acknowledged, in order.

A task of its own without delay: carriers send no more receipts than their small window until the
last ones are acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import asyncpg

from gateway.dispatch.early import Early, EarlyReceipts
from gateway.dispatch.matching import SQL, Item, Matching
from gateway.dispatch.outcomes import columns
from gateway.dispatch.recent import RecentIds, Sent, Taken, choose
from gateway.errors import Fenced, StoreDown
from gateway.ids import IdSource
from gateway.model import State
from gateway.store.database import HotConnection, is_row_fault, storable
from protocols.smpp.status import ESME_ROK, ESME_RX_R_APPN, ESME_RX_T_APPN
from protocols.sms.id_learning import IdForm, IdLearner
from protocols.sms.receipts import Outcome, Receipt

log = logging.getLogger(__name__)

BATCH_MAX = 500
WAITING_MAX = 20_000
"""Receipts that may wait for the store, over all links. Carriers keep what goes beyond."""
_ATTEMPTS = 3
_POLL_S = 1.0
_RETRY_MIN_S = 0.05
_RETRY_MAX_S = 2.0
_STATES = {
    Outcome.DELIVERED: int(State.DELIVERED),
    Outcome.UNDELIVERED: int(State.UNDELIVERED),
    Outcome.NONE: 0,
}


class Receipts:
    """Takes the receipts of all links of the process."""

    def __init__(
        self,
        connection: HotConnection,
        ids: IdSource,
        *,
        early_per_link: int = 10_000,
        may_write: Callable[[], bool] = lambda: True,
        on_final: Callable[[int, State, int], None] = lambda link, state, count: None,
        on_unmatched: Callable[[int], None] = lambda count: None,
        on_dropped: Callable[[int], None] = lambda count: None,
        id_forms: Mapping[int, IdForm] = MappingProxyType({}),
    ) -> None:
        """`on_final` gets link, final state and count of segments settled, `on_unmatched` the
        number of receipts that match nothing yet, `on_dropped` of those given up. `id_forms`: how
        the ids of a link's receipts are to be read; it may change, and what is not in it is
        learned.
        """
        self._connection = connection
        self._ids = ids
        self._early = EarlyReceipts(early_per_link)
        self._recent = RecentIds()
        self._id_forms = id_forms
        self._learners: dict[int, IdLearner] = {}
        self._may_write = may_write
        self._on_final = on_final
        self._on_unmatched = on_unmatched
        self._on_dropped = on_dropped
        self._waiting: list[Item] = []
        self._wake = asyncio.Event()
        self._polled = 0.0
        self._unread: set[int] = set()

    def receipt(
        self, link: int, receipt: Receipt, phone: str, respond: Callable[[int], None]
    ) -> None:
        """A receipt has come on a link, for a text to `phone`. It is answered when it is stored, or
        refused for now where too many wait already.
        """
        if len(self._waiting) >= WAITING_MAX:
            respond(ESME_RX_T_APPN)
            return
        written = receipt.message_id
        forms = self._learner(link).forms(written) if written else ()
        self._waiting.append(
            Item(
                link,
                tuple(map(storable, forms)),
                "".join(c for c in phone if c.isdigit()),
                _STATES[receipt.outcome],
                storable(receipt.word),
                None if receipt.error is None else storable(receipt.error),
                respond,
                written=written or "",
            )
        )
        self._wake.set()

    def carrier_ids(self, committed: Iterable[tuple[int, str, Taken]]) -> None:
        """These segments were just committed, by link and id: receipts may have waited for them."""
        add = self._recent.add
        for link, carrier, taken in committed:
            add(link, carrier, taken)
        if len(self._early):
            for link, carrier, _ in committed:
                self._try_again(self._early.waiting_for(link, carrier))

    async def load(self, link: int) -> None:
        """Take up the early receipts of a link that another process stored. Raises StoreDown."""
        most = self._early.per_link
        await self._load_id_form(link)
        rows = await self._connection.fetch(SQL["load_early"], link, most)
        if len(rows) == most:
            await self._connection.fetch(SQL["drop_older_early"], link, rows[-1]["id"])
        now = asyncio.get_running_loop().time()
        for row in reversed(rows):
            forms = self._learner(link).forms(row["carrier"]) if row["carrier"] else ()
            phone, state, word, error = row["phone"], row["state"], row["word"], row["error"]
            self._early.add(Early(row["id"], link, forms, phone, state, word, error), now)
        self._wake.set()

    def bound(self, link: int) -> None:
        """A bind of the link stands: another node may have stored early receipts of it."""
        self._unread.add(link)
        self._wake.set()

    async def _load_unread(self) -> None:
        for link in list(self._unread):
            try:
                await self.load(link)
            except StoreDown as error:
                log.debug("early receipts are read later: %s", error)
                return
            self._unread.discard(link)

    def _try_again(self, receipts: Iterable[Early]) -> None:
        for early in receipts:
            self._waiting.append(
                Item(
                    early.link,
                    early.forms,
                    early.phone,
                    early.state,
                    early.word,
                    early.error,
                    early=early,
                )
            )
            self._wake.set()

    async def run(self) -> None:
        """Match, commit and acknowledge, for ever."""
        while True:
            await self._wait()
            await self._load_unread()
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            if not self._waiting:
                self._wake.clear()
            by_link: dict[int, list[Item]] = {}
            for item in batch:
                if item.early is None or item.early in self._early:
                    by_link.setdefault(item.link, []).append(item)
            for link, items in by_link.items():
                await self._persist(link, items)

    async def _wait(self) -> None:
        """Until there is something to do: a receipt came, or an early one is due."""
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(_POLL_S if len(self._early) else None):
                await self._wake.wait()
        except TimeoutError:
            pass
        if clock() - self._polled >= _POLL_S:
            self._polled = clock()
            self._try_again(self._early.due(self._polled))

    async def _persist(self, link: int, batch: list[Item]) -> None:
        """Handle a batch of one link, however long the store takes, and acknowledge it.

        If something in it cannot be stored, it is halved until that stands alone and is refused
        alone.
        """
        failures = 0
        while True:
            try:
                if not self._may_write():
                    raise Fenced("the node's lease was not renewed")
                await self._handle(link, batch)
                break
            except (StoreDown, Fenced) as error:
                failures += 1
                if failures in (1, 10) or failures % 100 == 0:
                    log.warning("%d receipts wait for the store: %s", len(batch), error)
            except asyncpg.PostgresError as error:
                failures += 1
                if is_row_fault(error) or failures >= _ATTEMPTS:
                    await self._part(link, batch, error)
                    return
            delay_s = min(_RETRY_MIN_S * 2.0 ** min(failures, 10), _RETRY_MAX_S)
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311
        for item in batch:
            if item.respond is not None:
                item.respond(ESME_ROK)

    async def _part(self, link: int, batch: list[Item], error: asyncpg.PostgresError) -> None:
        """Something in the batch cannot be stored: the rest can."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._persist(link, batch[:middle])
            await self._persist(link, batch[middle:])
            return
        log.error("a receipt of link %d could not be stored: %s", link, error.sqlstate)
        item = batch[0]
        if item.early is not None:
            self._early.remove(item.early)
        self._on_dropped(1)
        if item.respond is not None:
            item.respond(ESME_RX_R_APPN if is_row_fault(error) else ESME_RX_T_APPN)

    async def _handle(self, link: int, batch: list[Item]) -> None:
        """Match and commit a batch."""
        matching = Matching(self._ids)
        matched: list[tuple[Item, Sent]] = []
        for item, sent in zip(batch, await self._find(link, batch), strict=True):
            if sent is not None:
                matching.matched(item, sent)
                matched.append((item, sent))
            elif not await self._resolve_doubt(item, matching):
                matching.unmatched(item)
        matching.bound(self._early.per_link)
        if matching.kept:
            matching.give_up(self._early.excess(link, len(matching.kept)))
        if matching:
            counts = await matching.commit(self._connection)
            for state, count in counts.items():
                self._on_final(link, state, count)
        await self._learn(link, matched)
        self._remember(link, matched, matching)

    async def _find(self, link: int, batch: list[Item]) -> list[Sent | None]:
        """The segment that each receipt is for: from memory, or the store if it is not there."""
        found = [self._recent.find(link, item.forms, item.phone) for item in batch]
        known = [
            (n, form)
            for n, item in enumerate(batch)
            if found[n] is None
            for form in item.forms
        ]
        if not known:
            return found
        numbers, forms = columns(known)
        candidates: dict[int, list[Sent]] = {}
        for n, *sent in await self._connection.fetch(SQL["find_sent"], link, numbers, forms):
            candidates.setdefault(n, []).append(Sent(*sent))
        for n, segments in candidates.items():
            found[n] = choose(segments, batch[n].phone, batch[n].forms)
        return found

    # How a carrier writes its ids -----------------------------------------------------------------

    def _learner(self, link: int) -> IdLearner:
        fixed = self._id_forms.get(link)
        learner = self._learners.get(link)
        if learner is None or learner.fixed is not fixed:
            learned = None if learner is None else learner.learned
            learner = self._learners[link] = IdLearner(fixed, learned)
        return learner

    async def _load_id_form(self, link: int) -> None:
        rows = await self._connection.fetch(SQL["read_id_form"], link)
        if rows and rows[0]["id_form"]:
            form = IdForm(rows[0]["id_form"])
            self._learners[link] = IdLearner(self._id_forms.get(link), form)

    async def _learn(self, link: int, matched: Sequence[tuple[Item, Sent]]) -> None:
        """Remember how this carrier's receipts write its ids, once enough of them have told."""
        learner = self._learner(link)
        has_changed = False
        for item, sent in matched:
            is_open = learner.form is IdForm.AUTO
            if not is_open and sent.carrier == item.forms[0]:
                continue
            if is_open and self._recent.is_ambiguous(link, item.forms, item.phone):
                continue
            has_changed |= learner.observe(sent.carrier, item.written)
        if has_changed:
            await self._connection.fetch(SQL["put_id_form"], link, learner.learned.value)

    async def _resolve_doubt(self, item: Item, matching: Matching) -> bool:
        """A receipt whose id nobody knows settles the oldest segment in doubt of its link and
        destination, once all tries are over.
        """
        early = item.early
        if early is None or not early.is_last_try or item.state == 0 or not item.phone:
            return False
        targets = [item.phone, f"+{item.phone.lstrip('0')}"]
        most = len(matching.doubts) + 1
        rows = await self._connection.fetch(SQL["find_doubt"], item.link, targets, most)
        taken = {(id_, segment) for _, _, id_, segment in matching.doubts}
        free = [row for row in rows if (row["id"], row["segment"]) not in taken]
        if not free:
            return False
        oldest = min(free, key=lambda row: (row["id"], row["segment"]))
        matching.doubt_resolved(item, early, oldest)
        return True

    def _remember(
        self, link: int, matched: Sequence[tuple[Item, Sent]], matching: Matching
    ) -> None:
        """Bring what is kept in memory in line with what was committed."""
        for item, _ in matched:
            if item.state:
                self._recent.forget(link, item.forms)
        for early in matching.dropped:
            self._early.remove(early)
        now = asyncio.get_running_loop().time()
        for early in matching.kept:
            self._early.add(early, now)
            if self._recent.find(link, early.forms, early.phone) is not None:
                # The response was committed while the receipt was kept for want of it.
                self._try_again([early])
        if matching.kept:
            self._on_unmatched(len(matching.kept))
        if matching.given_up:
            self._on_dropped(matching.given_up)
