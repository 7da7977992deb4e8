"""The desk where submissions of shops' ESMEs are taken: read, judged, and handed to the writer."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from config.settings import LimitSettings, SmsSettings
from gateway.channels.esme.accounts import Accounts
from gateway.channels.esme.parts import LongTexts, PartItem, Whole
from gateway.channels.esme.requests import (
    Refused,
    phone_of,
    read_envelope,
    read_part,
    send_request,
    text_of,
)
from gateway.channels.esme.statuses import status_of
from gateway.channels.esme.submitting import (
    Addresses,
    Answer,
    SomeAnswer,
    Submission,
    Submissions,
)
from gateway.dispatch.acceptance import Acceptance, Draft
from gateway.dispatch.depths import Depths
from gateway.dispatch.intake import Idempotency
from gateway.errors import Refusal
from gateway.ids import wall_ms
from gateway.store.directory import Directory, Shop
from gateway.store.esmes import Esme
from protocols.smpp import DestAddress, Message, SubmitMulti, Unsuccess
from protocols.smpp import status as s
from protocols.sms.reassembly import Part

_BURST_S: Final = 1.0
_SLICE: Final = 20
"""Recipients of a submit_multi that are judged in one turn of the loop: others are not to wait for
thousands, which one read may bring.
"""


@dataclass(frozen=True, slots=True)
class _List:
    """A submit_multi whose recipients are to be judged."""

    esme: Esme
    shop: Shop
    message: SubmitMulti
    text: str
    answer: SomeAnswer


@dataclass(slots=True)
class _Bucket:
    """What an account may still submit in this second."""

    tokens: float = 0.0
    seen: float = 0.0


class Desk:
    """Takes what ESMEs submit, and tells each `Answer` what became of it."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        directory: Directory,
        acceptance: Acceptance,
        depths: Depths,
        sms: SmsSettings,
        limits: LimitSettings,
        submissions: Submissions,
        share_of: Callable[[int], float],
        clock: Callable[[], float],
    ) -> None:
        """`share_of`: this node's part of an account's rate. `clock`: monotonic seconds.
        `long_texts` is to be set before anything is taken."""
        self.long_texts: LongTexts
        self._accounts = accounts
        self._directory = directory
        self._acceptance = acceptance
        self._depths = depths
        self._sms = sms
        self._limits = limits
        self._submissions = submissions
        self._share_of = share_of
        self._clock = clock
        self._buckets: dict[int, _Bucket] = {}
        self._lists: deque[_List] = deque()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Judge the recipients of submissions that have several, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._lists:
                await self._judge(self._lists.popleft())

    def take(self, esme: Esme, message: Message, answer: SomeAnswer) -> None:
        """Take a submit_sm, data_sm or submit_multi."""
        try:
            self._require_pace(esme, message)
            shop = self._shop(esme)
            part = read_part(message, esme)
            if isinstance(message, SubmitMulti):
                self._take_multi(esme, shop, message, part, answer)
            elif part.group is not None:
                self._take_part(esme, shop, message, part, answer)
            else:
                self._take_text(esme, shop, message, part, answer)
        except Refused as refused:
            answer.settle(refused.status)

    def forget(self, esme: int) -> None:
        """An account is changed or gone."""
        self._buckets.pop(esme, None)

    def _take_text(
        self, esme: Esme, shop: Shop, message: Message, part: Part, answer: Answer
    ) -> None:
        draft = self._draft(esme, shop, message, text_of(part))
        wanted = (message.registered_delivery,)
        self._submissions.add(Submission(draft, esme.id, Addresses.of(message), wanted, answer))

    def _take_part(
        self, esme: Esme, shop: Shop, message: Message, part: Part, answer: Answer
    ) -> None:
        """What can be said of a part alone is said before it is stored."""
        self._draft(esme, shop, message, "-")
        self.long_texts.add(PartItem(esme.id, message, part, answer))

    def take_whole(self, whole: Whole) -> None:
        """Have a text accepted whose parts are all there."""
        item = whole.items[0]
        finished = partial(self.long_texts.finished, whole)
        esme = self._accounts.by_id(item.esme)
        try:
            if esme is None:
                raise Refused(s.ESME_RPROHIBITED)
            draft = self._draft(esme, self._shop(esme), item.message, whole.body)
        except Refused as refused:
            finished(refused.status)
            return
        draft.message.id = whole.text
        # Accepted once, however often its last part comes.
        name = f"smpp-text:{whole.text}"
        key = Idempotency(name, hashlib.sha256(name.encode()).digest())
        addresses = Addresses.of(item.message)
        self._submissions.add(
            Submission(draft, esme.id, addresses, whole.wanted, _Finish(finished), key=key)
        )

    def _take_multi(
        self, esme: Esme, shop: Shop, message: SubmitMulti, part: Part, answer: SomeAnswer
    ) -> None:
        """One message for each recipient, all told under the first one's id."""
        if part.group is not None:
            # Parts of several texts at once would each need an answer of their own.
            raise Refused(s.ESME_RINVESMCLASS)
        self._lists.append(_List(esme, shop, message, text_of(part), answer))
        self._wake.set()

    async def _judge(self, one: _List) -> None:
        esme, shop, message = one.esme, one.shop, one.message
        drafts: list[tuple[DestAddress, Draft]] = []
        shares = _Shares(one.answer)
        for number, dest in enumerate(message.dests, 1):
            if not number % _SLICE:
                await asyncio.sleep(0)
            if not isinstance(dest, DestAddress):
                shares.refuse(DestAddress(0, 0, dest.name), s.ESME_RINVDLNAME)
                continue
            try:
                drafts.append((dest, self._draft(esme, shop, message, one.text, dest)))
            except Refused as refused:
                shares.refuse(dest, refused.status)
        shares.left = len(drafts)
        shares.finish()
        told = drafts[0][1].message.id if drafts else 0
        for dest, draft in drafts:
            addresses = Addresses.of(message, dest)
            wanted = (message.registered_delivery,)
            share = _Share(shares, dest)
            self._submissions.add(Submission(draft, esme.id, addresses, wanted, share, told))

    def _draft(
        self, esme: Esme, shop: Shop, message: Message, text: str, dest: DestAddress | None = None
    ) -> Draft:
        """The message that a submission asks for; `dest`: one of several. Raises Refused."""
        now_ms = wall_ms()
        sms = self._sms
        envelope = read_envelope(message, esme, shop, sms, now_ms)
        ton, address = message.dest_ton, message.dest
        if dest is not None:
            ton, address = dest.ton, dest.address
        phone = phone_of(ton, address, sms.default_region, sms.countries)
        if phone is None:
            raise Refused(s.ESME_RINVDSTADR)
        if self._depths.waiting(shop.id) >= self._limits.waiting_per_shop:
            raise Refused(s.ESME_RMSGQFUL)
        try:
            wanted = send_request(envelope, phone, text, esme.system_id)
            return self._acceptance.draft(shop, wanted, now_ms)
        except Refusal as refusal:
            raise Refused(status_of(refusal)) from refusal

    def _shop(self, esme: Esme) -> Shop:
        shop = None if esme.shop is None else self._directory.shop_by_id(esme.shop)
        if shop is None:
            raise Refused(s.ESME_RSYSERR)
        return shop

    def _require_pace(self, esme: Esme, message: Message) -> None:
        """Raise Refused when the account submits more a second than it may."""
        if not esme.options.rate:
            return
        rate = esme.options.rate * self._share_of(esme.id)
        now = self._clock()
        most = max(1.0, rate * _BURST_S)
        bucket = self._buckets.get(esme.id)
        if bucket is None:
            bucket = self._buckets[esme.id] = _Bucket(most, now)
        bucket.tokens = min(most, bucket.tokens + (now - bucket.seen) * rate)
        bucket.seen = now
        cost = len(message.dests) if isinstance(message, SubmitMulti) else 1
        if bucket.tokens < min(cost, most):
            raise Refused(s.ESME_RTHROTTLED)
        bucket.tokens -= cost


@dataclass(slots=True, eq=False)
class _Finish:
    """Tells the parts of a whole text what became of it."""

    finished: Callable[[int], None]

    def settle(self, status: int, message_id: str = "") -> None:
        self.finished(status)


@dataclass(slots=True, eq=False)
class _Shares:
    """What became of each recipient of a submit_multi."""

    answer: SomeAnswer
    left: int = 0
    message_id: str = ""
    unsuccess: list[Unsuccess] = field(default_factory=list)

    def refuse(self, dest: DestAddress, status: int) -> None:
        """One recipient is refused."""
        self.unsuccess.append(Unsuccess(dest.ton, dest.npi, dest.address, status))

    def finish(self) -> None:
        """Answer when every recipient is settled; an error only when all are refused."""
        if self.left:
            return
        if self.message_id:
            self.answer.settle_some(self.message_id, self.unsuccess)
        else:
            self.answer.settle(self.unsuccess[0].status if self.unsuccess else s.ESME_RINVNUMDESTS)


@dataclass(slots=True, eq=False)
class _Share:
    """One recipient of a submit_multi."""

    shares: _Shares
    dest: DestAddress

    def settle(self, status: int, message_id: str = "") -> None:
        shares = self.shares
        if status:
            shares.refuse(self.dest, status)
        else:
            shares.message_id = message_id or shares.message_id
        shares.left -= 1
        shares.finish()
