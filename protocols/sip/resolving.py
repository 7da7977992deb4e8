"""Where a domain's servers are (RFC 3263), and in which order to try them (RFC 2782).

Nothing here asks DNS: `locate` is a generator that yields questions and is sent the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import Final, TypeAlias

from protocols.sip.flow import Transport

MAX_TARGETS: Final = 16
MAX_SERVERS: Final = 16
"""Names of one SRV set whose addresses are asked for."""


class RecordType(Enum):
    NAPTR = "NAPTR"
    SRV = "SRV"
    A = "A"
    AAAA = "AAAA"


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask DNS."""

    type: RecordType
    name: str


@dataclass(frozen=True, slots=True)
class Naptr:
    """RFC 3403 section 4.1, without what SIP does not use."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """RFC 2782."""

    priority: int
    weight: int
    port: int
    target: str


Record: TypeAlias = Naptr | Srv | str
"""Of A and AAAA the address as text."""
Below: TypeAlias = Callable[[int], int]
"""A random number from 0 to one less than the limit."""


@dataclass(frozen=True, slots=True)
class Target:
    """One place to send requests to."""

    transport: Transport
    address: str
    port: int
    name: str = ""
    """The server's name; empty where only an address is known."""


SERVICES: Final = {
    Transport.UDP: ("SIP+D2U", "_sip._udp."),
    Transport.TCP: ("SIP+D2T", "_sip._tcp."),
    Transport.TLS: ("SIPS+D2T", "_sips._tcp."),
}
_BY_SERVICE: Final = {service: transport for transport, (service, _) in SERVICES.items()}

Locating: TypeAlias = Generator[Question, Sequence[Record], tuple[Target, ...]]


def locate(
    host: str,
    port: int,
    transports: Sequence[Transport],
    below: Below,
    *,
    families: Sequence[RecordType] = (RecordType.A,),
) -> Locating:
    """The targets of a host or domain, best first; none when nobody serves it.

    `port` 0: as DNS says. Of several `transports` NAPTR chooses; without NAPTR those that SRV
    knows, in our order; UDP where nothing says which, if it is among them, else the first (RFC 3263
    sections 4.1 and 4.2).
    """
    host = host.strip("[]")
    usual = Transport.UDP if Transport.UDP in transports else transports[0]
    if is_address(host):
        return (Target(usual, host, port or usual.default_port),)
    if port:
        return tuple((yield from _addresses(host, port, usual, families)))
    services = yield from _services(host, transports)
    targets: list[Target] = []
    has_srv = False
    for transport, name in services:
        answer = yield Question(RecordType.SRV, name)
        records = [each for each in answer if isinstance(each, Srv)]
        has_srv = has_srv or bool(records)
        for server in order_srv(records, below)[:MAX_SERVERS]:
            found = yield from _addresses(server.target, server.port, transport, families)
            targets += [each for each in found if each not in targets]
    if not has_srv:
        targets = yield from _addresses(host, usual.default_port, usual, families)
    return tuple(targets[:MAX_TARGETS])


def _services(
    domain: str, transports: Sequence[Transport]
) -> Generator[Question, Sequence[Record], list[tuple[Transport, str]]]:
    """Transports and the names of their SRV sets, best first."""
    own = [(each, f"{SERVICES[each][1]}{domain}") for each in transports]
    if len(transports) == 1:
        return own
    records = yield Question(RecordType.NAPTR, domain)
    return choose_naptr([each for each in records if isinstance(each, Naptr)], transports) or own


def choose_naptr(
    records: Iterable[Naptr], transports: Sequence[Transport]
) -> list[tuple[Transport, str]]:
    """The SRV sets that NAPTR names for transports of ours, by order and preference."""
    fitting = [
        record
        for record in records
        if record.flags.lower() == "s"
        and _BY_SERVICE.get(record.service.upper()) in transports
        and record.replacement.strip(".")
    ]
    fitting.sort(key=lambda record: (record.order, record.preference))
    return [(_BY_SERVICE[each.service.upper()], each.replacement.rstrip(".")) for each in fitting]


def order_srv(records: Iterable[Srv], below: Below) -> list[Srv]:
    """Lowest priority first; within one, drawn by weight (RFC 2782). A target of `.` says that
    there is no such service, and is left out."""
    rest = sorted(
        (each for each in records if each.target.strip(".")),
        key=lambda record: (record.priority, record.weight),
    )
    ordered: list[Srv] = []
    while rest:
        peers = [each for each in rest if each.priority == rest[0].priority]
        chosen = _draw(peers, below)
        rest.remove(chosen)
        ordered.append(chosen)
    return ordered


def _draw(records: Sequence[Srv], below: Below) -> Srv:
    """One of a priority; those of weight 0 come first, and so have a small chance."""
    point = below(sum(record.weight for record in records) + 1)
    passed = 0
    for record in records:
        passed += record.weight
        if passed >= point:
            return record
    return records[-1]


def _addresses(
    name: str, port: int, transport: Transport, families: Sequence[RecordType]
) -> Generator[Question, Sequence[Record], list[Target]]:
    name = name.rstrip(".")
    if is_address(name):
        return [Target(transport, name, port)]
    found: list[Target] = []
    for family in families:
        records = yield Question(family, name)
        found += [
            Target(transport, record, port, name)
            for record in records
            if isinstance(record, str) and is_address(record)
        ]
    return found


def is_address(text: str) -> bool:
    """Whether a host is an address, IPv6 without brackets."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_server_name(text: str) -> bool:
    """Whether a certificate can be for it: an address, or labels of 1 to 63 characters."""
    return is_address(text) or all(0 < len(each) < 64 for each in text.rstrip(".").split("."))
