"""query_sm, cancel_sm and replace_sm of shops' ESMEs. Each sees its own shop's messages alone."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import asyncpg

from config.settings import SmsSettings
from gateway import ids
from gateway.channels.esme.requests import Refused, sender_of
from gateway.channels.esme.statuses import STATES
from gateway.dispatch.cancel import CancelResult, cancel
from gateway.errors import StoreDown
from gateway.ids import IdSource, wall_ms
from gateway.store.database import Database
from gateway.store.directory import Directory
from gateway.store.esmes import Esme
from gateway.store.queries import load
from gateway.store.reading import StoredMessage, read_message
from protocols.smpp import CancelSm, Operation, QuerySm, QuerySmResponse, ReplaceSm, times
from protocols.smpp import status as s
from protocols.sms.receipts import ReceiptState

log = logging.getLogger(__name__)

UNDER_WAY_MAX: Final = 100
"""Operations of all binds of the process at a time; more are throttled."""
UNDER_WAY_EACH: Final = 20
"""Of those the ones of one account, so that none is in the way of the others."""

Reply = Callable[[Operation, int, QuerySmResponse | None], None]


class Operations:
    """Answers the questions of all sessions of the process."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        ids_: IdSource,
        sms: SmsSettings,
        *,
        may_write: Callable[[], bool],
    ) -> None:
        self._database = database
        self._directory = directory
        self._ids = ids_
        self._sms = sms
        self._may_write = may_write
        self._tasks: set[asyncio.Task[None]] = set()
        self._of: Counter[int] = Counter()
        """Operations under way by account."""

    def take(self, esme: Esme, request: Operation, reply: Reply) -> None:
        """Do what a request asks, and answer it."""
        if isinstance(request, ReplaceSm):
            # A message's text never changes once it is accepted: whoever reads it later, in a
            # timeline or a dispute, reads what was accepted.
            reply(request, s.ESME_RREPLACEFAIL, None)
        elif len(self._tasks) >= UNDER_WAY_MAX or self._of[esme.id] >= UNDER_WAY_EACH:
            reply(request, s.ESME_RTHROTTLED, None)
        elif isinstance(request, QuerySm):
            self._start(esme, self._query(esme, request), request, reply)
        elif isinstance(request, CancelSm):
            self._start(esme, self._cancel(esme, request), request, reply)
        else:
            reply(request, s.ESME_RINVCMDID, None)

    def _start(
        self,
        esme: Esme,
        work: Coroutine[Any, Any, QuerySmResponse | None],
        request: Operation,
        reply: Reply,
    ) -> None:
        async def run() -> None:
            status, response = s.ESME_ROK, None
            try:
                response = await work
            except Refused as refused:
                status = refused.status
            except (StoreDown, asyncpg.PostgresError) as error:
                log.warning("a question of an ESME is not answered: %s", error)
                status = s.ESME_RSYSERR
            reply(request, status, response)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        self._of[esme.id] += 1
        task.add_done_callback(partial(self._ended, esme.id))

    def _ended(self, esme: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._of[esme] -= 1
        if not self._of[esme]:
            del self._of[esme]

    async def _query(self, esme: Esme, request: QuerySm) -> QuerySmResponse:
        """Where a message is (section 4.8)."""
        message = await self._find(esme, request)
        state = message.state(wall_ms())
        told = STATES.get(state, ReceiptState.ENROUTE)
        done_ms = max((part.done_ms or 0 for part in message.parts), default=0)
        final_date = ""
        if told is not ReceiptState.ENROUTE and done_ms:
            final_date = times.absolute(datetime.fromtimestamp(done_ms / 1000, UTC))
        return QuerySmResponse(
            message_id=request.message_id, final_date=final_date, message_state=told
        )

    async def _cancel(self, esme: Esme, request: CancelSm) -> None:
        """Call back what is not sent yet (section 4.9): the text that has this id, whichever of its
        parts is named, and of a submit_multi those to all recipients."""
        if not request.message_id:
            raise Refused(s.ESME_RCANCELFAIL)
        message = await self._find(esme, request)
        if not self._may_write():
            raise Refused(s.ESME_RSYSERR)
        found = [message.id]
        rows = await self._database.fetch(load("esmes")["told_as"], message.id, esme.id)
        found += [row["id"] for row in rows]
        results = [
            await cancel(
                self._database, esme.shop, id_, now_ms=wall_ms(), event_id=self._ids.next()
            )
            for id_ in found
        ]
        if CancelResult.DONE not in results:
            raise Refused(s.ESME_RCANCELFAIL)

    async def _find(self, esme: Esme, request: QuerySm | CancelSm) -> StoredMessage:
        """The message that a request names. Raises Refused: another shop's is none, and so is one
        of another source address."""
        id_ = message_of(request.message_id)
        shop = None if esme.shop is None else self._directory.shop_by_id(esme.shop)
        if id_ is None or shop is None:
            raise Refused(s.ESME_RINVMSGID)
        sender = sender_of(request.source_ton, request.source, shop, self._sms)
        message = await self._database.read(lambda c: read_message(c, id_, shop.id))
        if message is None or (sender is not None and message.sender != sender):
            raise Refused(s.ESME_RINVMSGID)
        return message


def message_of(shown: str) -> int | None:
    """The message that an ESME knows by an id, or by that of one of its parts."""
    return ids.read("msg", f"msg_{shown.partition('-')[0]}")
