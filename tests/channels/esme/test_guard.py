"""Addresses that knock too often, or guess: how long each is kept out, and what is remembered."""

from __future__ import annotations

import pytest

from config.smpp_server import SmppServerSettings
from gateway.channels.esme import guard
from gateway.channels.esme.guard import AddressGuard

ADDRESS, OTHER = "192.0.2.1", "192.0.2.2"


def test_each_further_ban_takes_twice_as_long_up_to_the_longest() -> None:
    """Five failures are a ban, which ends by itself; other addresses have nothing to do with it."""
    one = AddressGuard(SmppServerSettings(ban_min_s=60.0, ban_max_s=200.0))
    now = 0.0
    for ban_s in (60.0, 120.0, 200.0, 200.0):
        assert [one.failed(ADDRESS, now) for _ in range(5)] == [0.0] * 4 + [ban_s]
        assert one.is_banned(ADDRESS, now + ban_s - 1)
        assert not one.is_welcome(ADDRESS, now + ban_s - 1)
        assert one.is_welcome(OTHER, now)
        now += ban_s
        assert not one.is_banned(ADDRESS, now)
        assert one.is_welcome(ADDRESS, now)


def test_failures_long_ago_and_before_a_good_bind_do_not_count() -> None:
    """Who mistypes now and then is never banned; an earlier ban is not forgotten by one success."""
    one = AddressGuard(SmppServerSettings(attempts=2, attempts_s=600.0, ban_min_s=60.0))
    assert one.failed(ADDRESS, 0.0) == 0.0
    assert one.failed(ADDRESS, 601.0) == 0.0
    one.succeeded(ADDRESS)
    assert one.failed(ADDRESS, 602.0) == 0.0
    assert one.failed(ADDRESS, 603.0) == 60.0
    one.succeeded(ADDRESS)
    assert [one.failed(ADDRESS, 700.0) for _ in range(2)] == [0.0, 120.0]


def test_connections_of_one_address_are_bounded_in_number_and_rate() -> None:
    """What is over makes room, a minute gives all of them back, and each refusal is counted."""
    one = AddressGuard(SmppServerSettings(connections_per_address=2, connections_per_minute=6))
    for _ in range(2):
        assert one.is_welcome(ADDRESS, 0.0)
        one.came(ADDRESS, 0.0)
    assert not one.is_welcome(ADDRESS, 0.0)
    one.left(ADDRESS)
    assert [one.is_welcome(ADDRESS, 0.0) for _ in range(5)] == [True] * 4 + [False]
    assert one.is_welcome(ADDRESS, 10.0)
    assert not one.is_welcome(ADDRESS, 10.0)
    assert [one.is_welcome(ADDRESS, 100.0) for _ in range(7)] == [True] * 6 + [False]
    assert one.turned_away == 4


def test_one_subscriber_of_ipv6_is_one_address() -> None:
    """All of a /64 are counted together, and an IPv4 address in either form is the same one."""
    one = AddressGuard(SmppServerSettings(attempts=1))
    assert one.failed("2001:db8:0:1::5", 0.0) > 0
    assert one.is_banned("2001:db8:0:1:ffff::1", 1.0)
    assert not one.is_banned("2001:db8:0:2::5", 1.0)
    assert one.failed("::ffff:192.0.2.1", 0.0) > 0
    assert one.is_banned(ADDRESS, 1.0)


def test_memory_of_addresses_is_bounded_and_keeps_bans(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood from ever new addresses makes no room for one that is banned."""
    monkeypatch.setattr(guard, "ADDRESSES_KEPT", 100)
    one = AddressGuard(SmppServerSettings(attempts=1))
    one.failed(ADDRESS, 0.0)
    for n in range(5_000):
        one.is_welcome(f"198.51.{n // 250}.{n % 250}", 1.0)
    assert len(one._records) <= 101
    assert one.is_banned(ADDRESS, 1.0)
