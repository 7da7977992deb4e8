"""Calls over a network that loses, doubles and reorders, by rule."""

from __future__ import annotations

import pytest

from protocols.sip.call_tables import CallState
from protocols.sip.events import Answered, Confirmed, EndCause, Ended, Progress, Rejected
from protocols.sip.flow import Transport
from tests.protocols.sip.network import DELAY_S, Network, Packet, Two


def end(two: Two) -> None:
    """Hang up, and see that nothing is left on either side."""
    two.call.hang_up(two.net.now)
    two.net.run(70)
    assert two.a.last(Ended).cause is EndCause.LOCAL
    assert two.b.last(Ended).cause is EndCause.REMOTE
    assert two.net.is_quiet()


def test_a_lost_invite_is_sent_again_after_t1() -> None:
    """Timer A: 0.5 s, then doubled."""
    two = Two()
    two.net.lose("INVITE", 2)
    two.invite()
    two.net.run(2)
    assert two.net.times("INVITE") == [0.0, 0.5, 1.5]
    two.answer()
    assert two.call.state is two.taken.state is CallState.ESTABLISHED
    end(two)


def test_an_invite_that_nobody_answers_times_out_after_64_t1() -> None:
    two = Two()
    two.net.lose("INVITE", 99)
    two.invite()
    two.net.run(31.5)
    assert not two.a.told(Rejected)
    assert two.net.times("INVITE") == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    two.net.run(1)
    assert (two.a.last(Rejected).cause, two.a.last(Rejected).code) == (EndCause.TIMEOUT, 408)
    assert two.net.is_quiet()


def test_a_reliable_transport_sends_an_invite_once() -> None:
    two = Two(transport=Transport.TCP)
    two.net.lose("INVITE", 99)
    two.invite()
    two.net.run(40)
    assert two.net.names() == ["INVITE"]
    assert two.a.last(Rejected).cause is EndCause.TIMEOUT


@pytest.mark.parametrize("transport", list(Transport))
def test_a_lost_200_is_sent_again_over_any_transport(transport: Transport) -> None:
    """The 2xx belongs to the callee's core, not to the transaction."""
    two = Two(transport=transport)
    two.invite()
    two.net.lose("200 INVITE", 2)
    two.answer()
    assert two.call.state is not CallState.ESTABLISHED
    two.net.run(3)
    assert two.net.times("200 INVITE") == [0.0, 0.5, 1.5]
    assert two.call.state is two.taken.state is CallState.ESTABLISHED
    assert len(two.a.told(Answered)) == len(two.b.told(Confirmed)) == 1
    end(two)


def test_a_lost_ack_is_sent_again_for_each_copy_of_the_200() -> None:
    two = Two()
    two.invite()
    two.net.lose("ACK", 3)
    two.answer()
    two.net.run(5)
    assert two.net.times("200 INVITE") == [0.0, 0.5, 1.5, 3.5]
    assert two.net.names().count("ACK") == 4
    assert two.taken.state is CallState.ESTABLISHED
    end(two)


def test_a_callee_that_never_hears_an_ack_hangs_up_after_64_t1() -> None:
    two = Two()
    two.invite()
    two.net.lose("ACK", 99)
    two.answer()
    two.net.run(31)
    assert not two.b.told(Ended)
    two.net.run(2)
    assert two.b.last(Ended).cause is EndCause.NO_ACK
    assert two.a.last(Ended).cause is EndCause.REMOTE
    two.net.run(40)
    assert two.net.is_quiet()


def test_a_callee_that_hangs_up_before_the_ack_waits_for_it() -> None:
    """RFC 3261 section 15: no BYE on a dialog whose 2xx has no ACK."""
    two = Two()
    two.invite()
    two.net.lose("ACK", 1)
    two.answer()
    two.taken.hang_up(two.net.now)
    two.net.run(0.3)
    assert "BYE" not in two.net.names()
    two.net.run(1)
    assert two.net.names().count("BYE") == 1
    assert two.b.last(Ended).cause is EndCause.LOCAL


def test_a_lost_bye_is_sent_again() -> None:
    two = Two()
    two.establish()
    two.net.lose("BYE", 2)
    two.call.hang_up(two.net.now)
    two.net.run(4)
    assert two.net.times("BYE") == [0.0, 0.5, 1.5]
    assert two.a.last(Ended).cause is EndCause.LOCAL
    assert two.b.last(Ended).cause is EndCause.REMOTE


def test_a_lost_200_of_a_bye_is_answered_again_without_ending_the_call_twice() -> None:
    two = Two()
    two.establish()
    two.net.lose("200 BYE", 1)
    two.call.hang_up(two.net.now)
    two.net.run(40)
    assert len(two.b.told(Ended)) == len(two.a.told(Ended)) == 1
    assert two.net.is_quiet()


def test_a_bye_that_nobody_answers_ends_the_call_all_the_same() -> None:
    two = Two()
    two.establish()
    two.net.lose("BYE", 99)
    two.call.hang_up(two.net.now)
    two.net.run(33)
    assert two.a.last(Ended).cause is EndCause.LOCAL
    times = two.net.times("BYE")
    assert times[:6] == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5]


def test_both_sides_may_hang_up_at_once() -> None:
    two = Two()
    two.establish()
    two.call.hang_up(two.net.now)
    two.taken.hang_up(two.net.now)
    two.net.run(40)
    assert len(two.a.told(Ended)) == len(two.b.told(Ended)) == 1
    assert two.net.is_quiet()


@pytest.mark.parametrize("copies", [2, 3])
def test_duplicates_of_everything_change_nothing(copies: int) -> None:
    two = Two()
    two.net.rules.append(lambda packet: [DELAY_S * (i + 1) for i in range(copies)])
    two.invite()
    two.taken.ring(two.net.now)
    two.answer()
    assert two.call.state is two.taken.state is CallState.ESTABLISHED
    assert len(two.a.told(Answered)) == len(two.b.told(Confirmed)) == 1
    end(two)


@pytest.mark.parametrize("copies", [1, 2])
def test_a_lost_refusal_is_sent_again_until_its_ack(copies: int) -> None:
    two = Two()
    two.invite()
    two.net.lose("486 INVITE", copies)
    two.taken.reject(two.net.now, 486)
    two.net.run(40)
    assert two.net.names().count("486 INVITE") == copies + 1
    assert two.net.names().count("ACK") == 1
    assert two.a.last(Rejected).code == 486
    assert two.net.is_quiet()


def test_a_lost_ack_of_a_refusal_is_sent_again_without_telling_twice() -> None:
    two = Two()
    two.invite()
    two.net.lose("ACK", 2)
    two.taken.reject(two.net.now, 503)
    two.net.run(40)
    assert two.net.names().count("ACK") == 3
    assert len(two.a.told(Rejected)) == 1
    assert two.net.is_quiet()


def test_a_lost_cancel_is_sent_again() -> None:
    two = Two()
    two.invite()
    two.net.lose("CANCEL", 2)
    two.call.hang_up(two.net.now)
    two.net.run(2)
    assert two.net.names().count("CANCEL") == 3
    assert two.a.last(Rejected).cause is EndCause.CANCELED
    assert two.b.last(Ended).cause is EndCause.CANCELED


def test_a_peer_that_never_says_487_is_given_up_after_64_t1() -> None:
    two = Two()
    two.invite()
    two.net.lose("487 INVITE", 99)
    two.call.hang_up(two.net.now)
    two.net.run(33)
    assert two.a.last(Rejected).cause is EndCause.CANCELED


def test_provisional_responses_out_of_order_are_told_as_they_come() -> None:
    two = Two()
    two.invite()

    def rule(packet: Packet) -> list[float]:
        return [0.2] if packet.name == "180 INVITE" else [DELAY_S]

    two.net.rules.append(rule)
    two.taken.ring(two.net.now, 180)
    two.taken.ring(two.net.now, 183)
    two.net.run(0.5)
    assert [event.code for event in two.a.told(Progress)] == [183, 180]
    two.answer()
    end(two)


def test_a_200_that_overtakes_the_180_leaves_the_180_unheard() -> None:
    two = Two()
    two.invite()
    two.net.rules.append(lambda p: [0.3] if p.name == "180 INVITE" else [DELAY_S])
    two.taken.ring(two.net.now, 180)
    two.answer()
    two.net.run(1)
    assert two.call.state is CallState.ESTABLISHED
    assert not two.a.told(Progress)
    end(two)


@pytest.mark.parametrize("seed", range(12))
def test_a_network_that_loses_a_third_and_shuffles_the_rest_carries_the_call(seed: int) -> None:
    from random import Random

    random = Random(seed)  # noqa: S311 - repeatable on purpose
    two = Two()

    def rule(packet: Packet) -> list[float]:
        if random.random() < 0.33:
            return []
        return [random.uniform(0.01, 0.4) for _ in range(random.choice((1, 1, 2)))]

    two.net.rules.append(rule)
    two.invite()
    two.net.run(10)
    two.taken.ring(two.net.now)
    two.answer()
    two.net.run(20)
    assert two.call.state is two.taken.state is CallState.ESTABLISHED
    two.call.hang_up(two.net.now)
    two.net.run(120)
    assert len(two.a.told(Ended)) == len(two.b.told(Ended)) == 1
    assert two.net.is_quiet()


def test_a_transport_that_fails_ends_what_waits_for_it() -> None:
    net = Network()
    a = net.agent("a.example")
    two = Two()
    two.net, two.a = net, a
    two.invite()
    hop = two.call.invite and two.call.outgoing.hop if two.call.outgoing else None
    assert hop is not None
    a.took(a.agent.transport_failed(hop, net.now))
    assert (a.last(Rejected).cause, a.last(Rejected).code) == (EndCause.TRANSPORT, 503)
    assert net.is_quiet()
