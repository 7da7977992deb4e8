"""How many connections there may be, and whose."""

from __future__ import annotations

from protocols.sip.entrance import Entrance


def entrance() -> Entrance:
    return Entrance(connections=4, per_host=2, handshakes=3, handshakes_per_host=2)


def test_connections_are_counted_in_all_and_for_each_address() -> None:
    """One address gets its part, and all together no more than there is."""
    door = entrance()
    for host in ("a", "a", "b"):
        assert door.has_room(host)
        door.stands(host)
    assert not door.has_room("a") and door.has_room("b")
    door.stands("b")
    assert not door.has_room("c")
    door.left("a")
    assert door.has_room("c")


def test_callers_on_their_way_in_count_too() -> None:
    """Or more could come in at a time than there is room for."""
    door = entrance()
    door.arrives("a")
    door.stands("a")
    assert not door.has_room("a")
    door.arrives("b")
    door.arrives("b")
    assert not door.has_room("b") and not door.has_room("c")
    door.arrived("b")
    assert door.has_room("c")


def test_an_address_without_connections_is_forgotten() -> None:
    """Callers of a whole network leave nothing behind."""
    door = entrance()
    for number in range(1_000):
        host = f"192.0.2.{number}"
        assert door.has_room(host)
        door.arrives(host)
        door.stands(host)
        door.arrived(host)
        door.left(host)
    assert not door._standing and not door._arriving
