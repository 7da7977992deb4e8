"""Asks DNS where trunks' servers are, and remembers what it said (RFC 3263 by
`protocols.sip.resolving`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiodns
import pycares

from protocols.sip.flow import Transport
from protocols.sip.resolving import Naptr, Question, Record, RecordType, Srv, Target, locate

QUESTION_S: Final = 2.0
TRIES: Final = 2
TTL_MIN_S: Final = 5.0
TTL_MAX_S: Final = 3_600.0
NOTHING_S: Final = 30.0
"""How long it is believed that there is no such record."""
STALE_S: Final = 86_400.0
"""How long an old answer is better than none while DNS does not answer."""
REMEMBERED: Final = 512
MAX_QUESTIONS: Final = 48
"""For one host: what DNS says must not make us ask without end."""

_NOTHING: Final = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA})
_TYPES: Final = {
    RecordType.NAPTR: "NAPTR",
    RecordType.SRV: "SRV",
    RecordType.A: "A",
    RecordType.AAAA: "AAAA",
}

_FAMILIES: Final = {RecordType.A: socket.AF_INET, RecordType.AAAA: socket.AF_INET6}


class DnsError(OSError):
    """DNS did not answer, and nothing is remembered."""


@dataclass(frozen=True, slots=True)
class _Answer:
    records: tuple[Record, ...]
    until: float
    stale_until: float


class Resolver:
    """Looks up servers. Make it with a running loop."""

    def __init__(
        self,
        servers: Sequence[str] = (),
        *,
        below: Callable[[int], int],
        is_ipv6: bool = False,
        port: int = 53,
    ) -> None:
        """`servers`: addresses to ask at `port`; without any those of the system. `is_ipv6`: what
        we listen on, and so what we can send to."""
        options: dict[str, Any] = {"timeout": QUESTION_S, "tries": TRIES}
        if servers:
            options |= {"udp_port": port, "tcp_port": port}
        self._dns = aiodns.DNSResolver(nameservers=list(servers) or None, **options)
        self._has_system = not servers
        self._below = below
        self._families = (RecordType.AAAA if is_ipv6 else RecordType.A,)
        self._answers: dict[Question, _Answer] = {}
        self._asked: dict[Question, asyncio.Future[tuple[Record, ...]]] = {}
        self._loop = asyncio.get_running_loop()

    async def locate(
        self, host: str, port: int, transports: Sequence[Transport]
    ) -> tuple[Target, ...]:
        """Where a host or domain is served, best first. Raises DnsError.

        A server whose address DNS does not tell is left out, unless it is the only one. Where NAPTR
        is not answered, as behind firewalls that know nothing of it, SRV is asked at once.
        """
        steps = locate(host, port, transports, self._below, families=self._families)
        missed: DnsError | None = None
        try:
            question = next(steps)
            for _ in range(MAX_QUESTIONS):
                records: tuple[Record, ...] = ()
                try:
                    records = await self._ask(question)
                except DnsError as error:
                    if question.type is RecordType.SRV:
                        raise
                    if question.type is RecordType.NAPTR:
                        self._remember(question, (), NOTHING_S)
                    missed = error
                question = steps.send(records)
        except StopIteration as end:
            found: tuple[Target, ...] = end.value
            if missed is not None and not found:
                raise missed from None
            return found
        raise DnsError(f"DNS says too much about {host}")

    def recall(
        self, host: str, port: int, transports: Sequence[Transport]
    ) -> tuple[Target, ...] | None:
        """As `locate`, from what is remembered alone, with the weights drawn anew; None when
        something has to be asked."""
        steps = locate(host, port, transports, self._below, families=self._families)
        now = self._loop.time()
        try:
            question = next(steps)
            for _ in range(MAX_QUESTIONS):
                answer = self._answers.get(question)
                if answer is None or answer.stale_until <= now:
                    return None
                question = steps.send(answer.records)
        except StopIteration as end:
            found: tuple[Target, ...] = end.value
            return found
        return None

    async def close(self) -> None:
        """Ask nothing any more."""
        await self._dns.close()

    async def _ask(self, question: Question) -> tuple[Record, ...]:
        known = self._answers.get(question)
        if known is not None and known.until > self._loop.time():
            return known.records
        asked = self._asked.get(question)
        if asked is None:
            asked = asyncio.ensure_future(self._query(question))
            self._asked[question] = asked
            asked.add_done_callback(lambda _: self._asked.pop(question, None))
        return await asyncio.shield(asked)

    async def _query(self, question: Question) -> tuple[Record, ...]:
        try:
            result = await self._dns.query_dns(question.name, _TYPES[question.type])
        except aiodns.error.DNSError as error:
            if records := await self._by_system(question):
                return records
            return self._on_failure(question, error)
        found = [(_record(question.type, each.data), each.ttl) for each in result.answer]
        records = tuple(record for record, _ in found if record is not None)
        ttl = min((ttl for record, ttl in found if record is not None), default=NOTHING_S)
        self._remember(question, records, ttl)
        return records

    async def _by_system(self, question: Question) -> tuple[Record, ...]:
        """What the system knows beyond DNS, as from /etc/hosts."""
        family = _FAMILIES.get(question.type)
        if family is None or not self._has_system:
            return ()
        try:
            found = await self._loop.getaddrinfo(
                question.name, None, family=family, type=socket.SOCK_DGRAM
            )
        except (OSError, UnicodeError):  # of a name that cannot be, as one with two dots in a row
            return ()
        records = tuple(dict.fromkeys(str(each[4][0]) for each in found))
        self._remember(question, records, NOTHING_S)
        return records

    def _on_failure(
        self, question: Question, error: aiodns.error.DNSError
    ) -> tuple[Record, ...]:
        code = error.args[0] if error.args else 0
        if code in _NOTHING:
            self._remember(question, (), NOTHING_S)
            return ()
        known = self._answers.get(question)
        if known is not None and known.stale_until > self._loop.time():
            return known.records
        words = error.args[1] if len(error.args) > 1 else "no answer"
        raise DnsError(f"DNS on {question.type.value} of {question.name}: {words}") from error

    def _remember(self, question: Question, records: tuple[Record, ...], ttl_s: float) -> None:
        if len(self._answers) >= REMEMBERED:
            del self._answers[min(self._answers, key=lambda each: self._answers[each].until)]
        now = self._loop.time()
        until = now + min(max(float(ttl_s), TTL_MIN_S), TTL_MAX_S)
        self._answers[question] = _Answer(records, until, now + STALE_S)


def _record(kind: RecordType, data: Any) -> Record | None:
    """A record of the kind that was asked for; None for another, as a CNAME on the way."""
    if kind is RecordType.SRV and isinstance(data, pycares.SRVRecordData):
        return Srv(data.priority, data.weight, data.port, data.target)
    if kind is RecordType.NAPTR and isinstance(data, pycares.NAPTRRecordData):
        return Naptr(
            data.order, data.preference, data.flags, data.service, data.replacement
        )
    if kind is RecordType.A and isinstance(data, pycares.ARecordData):
        return data.addr
    if kind is RecordType.AAAA and isinstance(data, pycares.AAAARecordData):
        return data.addr
    return None
