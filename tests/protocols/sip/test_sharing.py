"""What the transport decides without a socket: who is let in, whose a message is, when to ping."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip.allowlist import REMEMBERED, Allowlist
from protocols.sip.keepalive import PONG_S, Care, KeepAliver, Patience
from protocols.sip.large_requests import LARGE_BYTES, REFUSED_S, LargeRequests, over_tcp
from protocols.sip.randomness import SystemRandomness
from protocols.sip.sharing import MarkedRandomness, choose, mark_of, user_of
from protocols.sip.token_bucket import SourceBuckets, TokenBucket

PEER = ("192.0.2.1", 5060)


@dataclass(frozen=True)
class Owner:
    mark: str
    user: str


FIRST, SECOND = Owner("g0", "first"), Owner("g1", "second")
BOTH = (FIRST, SECOND)


def request(
    method: str = "INVITE", *, user: str = "x", to_tag: str = "", branch: str = "1"
) -> bytes:
    to = f"To: <sip:a@example.com>{';tag=' + to_tag if to_tag else ''}"
    return (
        f"{method} sip:{user}@example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK{branch}\r\n"
        f"From: <sip:b@example.com>;tag=g1.other\r\n{to}\r\n\r\n"
    ).encode()


# ---------------------------------------------------------------------- who is let in


def test_owners_of_an_address_are_found_in_their_networks() -> None:
    allowed: Allowlist[str] = Allowlist()
    allowed.put("one", [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])
    allowed.put("two", [ip_network("192.0.2.7")])
    assert allowed.owners("192.0.2.7") == ("one", "two")
    assert allowed.owners("192.0.2.8") == ("one",)
    assert allowed.owners("2001:db8::5") == ("one",)
    assert allowed.owners("198.51.100.1") == ()
    assert allowed.owners("sip.example.com") == ()


def test_networks_that_change_count_at_once() -> None:
    allowed: Allowlist[str] = Allowlist()
    allowed.put("one", [ip_network("192.0.2.1")])
    assert allowed.allows("one", "192.0.2.1")
    allowed.put("one", [ip_network("192.0.2.2")])
    assert not allowed.allows("one", "192.0.2.1")
    allowed.remove("one")
    assert not allowed.allows("one", "192.0.2.2")


def test_a_scan_from_everywhere_is_not_remembered_without_end() -> None:
    allowed: Allowlist[str] = Allowlist()
    for number in range(REMEMBERED * 2):
        allowed.owners(str(ip_network(number).network_address))
    assert len(allowed._known) <= REMEMBERED


@given(st.text(max_size=60))
def test_nonsense_is_a_stranger(host: str) -> None:
    allowed: Allowlist[str] = Allowlist()
    allowed.put("one", [ip_network("203.0.113.0/24")])
    assert allowed.owners(host) == () or host.startswith("203.0.113.")


# ---------------------------------------------------------------------- whose it is


def test_responses_and_requests_within_a_call_go_to_whose_mark_they_bear() -> None:
    """The From tag of a request is the peer's, whatever it looks like."""
    token = MarkedRandomness("g1", SystemRandomness()).token()
    response = request(branch=token).replace(b"INVITE sip:x@example.com SIP/2.0", b"SIP/2.0 200 OK")
    assert mark_of(response) == "g1"
    assert choose(response, BOTH) is SECOND
    assert choose(request("BYE", to_tag=token), BOTH) is SECOND
    assert mark_of(request()) == ""


def test_a_tag_behind_a_long_way_of_proxies_is_found() -> None:
    """A message of a stream may have more Via and Record-Route than a datagram holds."""
    way = "".join(f"Via: SIP/2.0/TCP p{n}.example;branch=z9hG4bK{n:090}\r\n" for n in range(60))
    data = request("BYE", user="first", to_tag="g1.tag")
    start, rest = data.split(b"\r\n", 1)
    assert choose(start + b"\r\n" + way.encode() + rest, BOTH) is SECOND


def test_a_new_request_goes_to_the_user_that_it_names_or_to_the_first() -> None:
    assert choose(request(user="second"), BOTH) is SECOND
    assert choose(request(user="+12125550100"), BOTH) is FIRST
    assert choose(request(user="second"), (FIRST,)) is FIRST
    assert user_of(b"OPTIONS sip:example.com SIP/2.0\r\n") == ""


@given(st.binary(max_size=400))
def test_any_bytes_belong_to_somebody(data: bytes) -> None:
    assert choose(data, BOTH) in BOTH


# ---------------------------------------------------------------------- how often


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10.0, 3, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s(0.0) == pytest.approx(0.1)
    assert bucket.take(0.1)
    assert not bucket.take(0.1)


def test_sources_do_not_share_a_bucket_and_are_not_kept_without_end() -> None:
    buckets = SourceBuckets(1.0, 1, sources=2)
    assert buckets.take("a", 0.0)
    assert not buckets.take("a", 0.0)
    assert buckets.take("b", 0.0)
    assert buckets.take("c", 0.0)
    assert buckets.refused == 1


# ---------------------------------------------------------------------- large requests


def test_a_large_request_and_what_has_its_branch_goes_over_tcp() -> None:
    large = LargeRequests()
    assert not large.belongs_on_tcp(request(), PEER, 0.0)
    assert large.belongs_on_tcp(request() + b"x" * LARGE_BYTES, PEER, 0.0)
    assert large.belongs_on_tcp(request("ACK"), PEER, 0.0)
    assert not large.belongs_on_tcp(request("ACK", branch="2"), PEER, 0.0)
    assert not large.belongs_on_tcp(b"SIP/2.0 200 OK\r\n" + b"x" * LARGE_BYTES, PEER, 0.0)


def test_a_peer_that_took_no_tcp_gets_udp_for_a_while() -> None:
    large, data = LargeRequests(), request() + b"x" * LARGE_BYTES
    assert large.belongs_on_tcp(data, PEER, 0.0)
    large.refused(data, PEER, 0.0)
    assert not large.belongs_on_tcp(data, PEER, REFUSED_S - 1)
    assert large.belongs_on_tcp(data, ("192.0.2.2", 5060), 1.0)
    assert large.belongs_on_tcp(data, PEER, REFUSED_S + 1)


def test_only_our_own_via_is_rewritten() -> None:
    data = b"INVITE x SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n\r\nVia: SIP/2.0/UDP c"
    assert over_tcp(data).count(b"SIP/2.0/TCP a") == 1
    assert over_tcp(data).count(b"SIP/2.0/UDP") == 2


# ---------------------------------------------------------------------- life signs


def test_a_caller_has_to_say_something_soon() -> None:
    care = KeepAliver(0.0, ping_s=0, is_caller=True, patience=Patience(first_s=10))
    assert care.due() == 10
    assert care.check(9) is Care.NOTHING
    assert care.check(10) is Care.CLOSE


def test_a_message_that_has_begun_has_a_deadline_that_more_pieces_do_not_move() -> None:
    care = KeepAliver(0.0, ping_s=0, is_caller=False, patience=Patience(message_s=20))
    care.rest(1.0, has_rest=True)
    care.rest(15.0, has_rest=True)
    assert care.check(21.0) is Care.CLOSE
    care.heard(21.0)
    care.rest(21.0, has_rest=False)
    assert care.check(30.0) is Care.NOTHING


def test_a_quiet_connection_is_pinged_and_one_that_stops_to_answer_is_closed() -> None:
    """Only once the peer answered a ping is an answer missed (RFC 5626 section 4.4.1)."""
    care = KeepAliver(0.0, ping_s=30, is_caller=False)
    assert care.check(30.0) is Care.PING
    assert care.check(60.0) is Care.PING
    care.heard(61.0, is_pong=True)
    assert care.check(90.0) is Care.PING
    assert care.check(90.0 + PONG_S) is Care.CLOSE
    assert care.why


def test_a_connection_without_any_word_is_closed_at_last() -> None:
    care = KeepAliver(0.0, ping_s=0, is_caller=False, patience=Patience(idle_s=100))
    assert care.check(99) is Care.NOTHING
    assert care.check(100) is Care.CLOSE
