"""Servers of a domain (RFC 3263) and their order (RFC 2782)."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip.flow import Transport
from protocols.sip.resolving import (
    MAX_TARGETS,
    Naptr,
    Question,
    Record,
    RecordType,
    Srv,
    Target,
    locate,
    order_srv,
)

UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
ALL = (TLS, TCP, UDP)

srv_records = st.lists(
    st.builds(
        Srv,
        priority=st.integers(0, 3),
        weight=st.integers(0, 65_535),
        port=st.integers(1, 65_535),
        target=st.sampled_from(["a.example.com", "b.example.com", "c.example.com"]),
    ),
    max_size=12,
)


def found(
    host: str, port: int, transports: tuple[Transport, ...], records: dict[str, list[Record]]
) -> tuple[tuple[Target, ...], list[str]]:
    """The targets, and what was asked, as `SRV name`."""
    asked: list[str] = []
    steps = locate(host, port, transports, lambda limit: limit - 1)
    answer: list[Record] | None = None
    try:
        while True:
            question: Question = next(steps) if answer is None else steps.send(answer)
            asked.append(f"{question.type.value} {question.name}")
            answer = records.get(asked[-1], [])
    except StopIteration as end:
        return end.value, asked


@given(srv_records, st.randoms())
def test_the_order_has_every_server_once_and_priorities_never_fall(
    records: list[Srv], random: Random
) -> None:
    """Whatever is drawn."""
    ordered = order_srv(records, random.randrange)
    assert Counter(ordered) == Counter(records)
    assert [each.priority for each in ordered] == sorted(each.priority for each in records)


def test_servers_of_a_priority_come_first_by_weight() -> None:
    """One of weight 3 comes first three times as often as one of weight 1."""
    heavy, light = Srv(1, 30, 5060, "heavy"), Srv(1, 10, 5060, "light")
    random = Random(7)  # noqa: S311 - the same draws every time
    firsts = Counter(order_srv([light, heavy], random.randrange)[0].target for _ in range(4_000))
    assert 2.5 < firsts["heavy"] / firsts["light"] < 3.6


def test_a_target_of_a_full_stop_says_that_there_is_no_service() -> None:
    assert order_srv([Srv(0, 0, 0, ".")], lambda limit: 0) == []


def test_an_address_needs_no_dns() -> None:
    targets, asked = found("192.0.2.7", 0, (UDP,), {})
    assert targets == (Target(UDP, "192.0.2.7", 5060),)
    assert not asked


@pytest.mark.parametrize("text", ["[2001:db8::1]", "2001:db8::1"])
def test_an_ipv6_address_is_taken_with_and_without_brackets(text: str) -> None:
    targets, _ = found(text, 0, (TLS,), {})
    assert targets == (Target(TLS, "2001:db8::1", 5061),)


def test_a_port_of_the_settings_leaves_srv_out() -> None:
    records: dict[str, list[Record]] = {"A sip.example.com": ["192.0.2.1"]}
    targets, asked = found("sip.example.com", 5080, (TCP,), records)
    assert targets == (Target(TCP, "192.0.2.1", 5080, "sip.example.com"),)
    assert asked == ["A sip.example.com"]


def test_srv_of_the_wanted_transport_is_asked_and_its_ports_are_taken() -> None:
    records: dict[str, list[Record]] = {
        "SRV _sip._tcp.example.com": [
            Srv(2, 0, 5070, "b.example.com"),
            Srv(1, 0, 5060, "a.example.com"),
        ],
        "A a.example.com": ["192.0.2.1", "192.0.2.2"],
        "A b.example.com": ["192.0.2.3"],
    }
    targets, _ = found("example.com", 0, (TCP,), records)
    assert [(each.address, each.port) for each in targets] == [
        ("192.0.2.1", 5060),
        ("192.0.2.2", 5060),
        ("192.0.2.3", 5070),
    ]


def test_naptr_chooses_the_transport_by_order_and_preference() -> None:
    """Services that we do not have, and other flags, are passed over."""
    records: dict[str, list[Record]] = {
        "NAPTR example.com": [
            Naptr(20, 1, "s", "SIP+D2U", "_sip._udp.example.com"),
            Naptr(10, 2, "s", "SIP+D2T", "_sip._tcp.example.com"),
            Naptr(10, 1, "s", "SIP+D2S", "_sip._sctp.example.com"),
            Naptr(5, 1, "u", "E2U+sip", ""),
        ],
        "SRV _sip._tcp.example.com": [Srv(1, 0, 5060, "a.example.com")],
        "SRV _sip._udp.example.com": [Srv(1, 0, 5060, "a.example.com")],
        "A a.example.com": ["192.0.2.1"],
    }
    targets, _ = found("example.com", 0, ALL, records)
    assert [each.transport for each in targets] == [TCP, UDP]


def test_without_naptr_the_srv_sets_are_asked_in_our_order() -> None:
    records: dict[str, list[Record]] = {
        "SRV _sip._udp.example.com": [Srv(1, 0, 5060, "a.example.com")],
        "A a.example.com": ["192.0.2.1"],
    }
    targets, asked = found("example.com", 0, ALL, records)
    assert [each.transport for each in targets] == [UDP]
    assert asked[:2] == ["NAPTR example.com", "SRV _sips._tcp.example.com"]


def test_without_srv_the_host_itself_is_taken_at_the_usual_port() -> None:
    records: dict[str, list[Record]] = {"A example.com": ["192.0.2.9"]}
    targets, _ = found("example.com", 0, (TLS,), records)
    assert targets == (Target(TLS, "192.0.2.9", 5061, "example.com"),)


@pytest.mark.parametrize(
    ("host", "port"), [("example.com", 0), ("example.com", 5070), ("192.0.2.9", 0)]
)
def test_where_dns_says_nothing_of_transports_it_is_udp(host: str, port: int) -> None:
    """RFC 3263 section 4.1: of several transports, where an address, a port or silence leaves the
    choice to us. A server that speaks TLS alone is named with it."""
    records: dict[str, list[Record]] = {"A example.com": ["192.0.2.9"]}
    (target,), _ = found(host, port, ALL, records)
    assert (target.transport, target.address, target.port) == (UDP, "192.0.2.9", port or 5060)
    (target,), _ = found(host, port, (TLS, TCP), records)
    assert target.transport is TLS


def test_srv_that_says_no_service_is_not_gone_around() -> None:
    """RFC 2782: a target of `.` is final; the host's address is not tried instead."""
    records: dict[str, list[Record]] = {
        "SRV _sip._udp.example.com": [Srv(0, 0, 0, ".")],
        "A example.com": ["192.0.2.9"],
    }
    assert found("example.com", 0, (UDP,), records)[0] == ()


def test_what_is_no_address_is_left_out_and_the_number_of_targets_is_bounded() -> None:
    records: dict[str, list[Record]] = {
        "A example.com": ["not an address", *(f"192.0.2.{n}" for n in range(1, 60))]
    }
    targets, _ = found("example.com", 0, (UDP,), records)
    assert len(targets) == MAX_TARGETS
    assert targets[0].address == "192.0.2.1"


def test_other_families_are_asked_for_where_we_have_them() -> None:
    steps = locate("example.com", 5060, (UDP,), lambda limit: 0, families=(RecordType.AAAA,))
    assert next(steps) == Question(RecordType.AAAA, "example.com")
