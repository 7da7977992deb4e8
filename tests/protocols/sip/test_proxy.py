"""A call through a proxy that records its route, over a network that loses."""

from __future__ import annotations

from random import Random

import pytest

from protocols.sip.call_tables import CallState
from protocols.sip.events import Ended, Offered
from protocols.sip.fields import Via, parse_addresses
from protocols.sip.headers import Headers
from protocols.sip.message import Request, Response
from tests.protocols.sip.network import ANSWER, OFFER, Packet, Two

PROXY = "proxy.example"


class Proxy:
    """A stateless proxy of RFC 3261 section 16.11 with Record-Route."""

    def __init__(self, two: Two) -> None:
        self._net = two.net
        self.seen: list[str] = []
        two.net.peers[PROXY] = self.forward

    def forward(self, packet: Packet) -> None:
        self.seen.append(packet.name)
        message = packet.message
        if isinstance(message, Request):
            self._request(message)
        else:
            self._response(message)

    def _request(self, message: Request) -> None:
        routes = parse_addresses(message.headers.get_all("Route"))
        if routes and routes[0].uri.host == PROXY:
            del routes[0]
        target = routes[0].uri.host if routes else message.uri.host
        via = Via("UDP", PROXY, None, {"branch": f"z9hG4bKp{message.via.branch}"})
        headers = Headers([("Via", str(via))])
        if message.method == "INVITE" and not message.to.tag:
            headers.add("Record-Route", f"<sip:{PROXY};lr>")
        for name, value in message.headers:
            if name != "Route":
                headers.add(name, value)
        headers.add_all("Route", [str(route) for route in routes])
        made = Request(message.method, message.uri, headers, message.body)
        self._net.send(made.encode(), PROXY, target)

    def _response(self, message: Response) -> None:
        vias = message.headers.get_all("Via")[1:]
        headers = Headers([("Via", via) for via in vias])
        for name, value in message.headers:
            if name != "Via":
                headers.add(name, value)
        made = Response(message.code, message.phrase, headers, message.body)
        self._net.send(made.encode(), PROXY, made.via.host)


def through(two: Two) -> Proxy:
    proxy = Proxy(two)
    two.invite(routes=[f"<sip:{PROXY};lr>"])
    return proxy


@pytest.fixture
def two() -> Two:
    return Two(first_hop=PROXY)


def test_every_request_of_the_call_passes_the_proxy(two: Two) -> None:
    proxy = through(two)
    two.answer()
    two.call.update(two.net.now, OFFER)
    two.net.run(0.1)
    two.b.last(Offered).call.accept_offer(two.net.now, ANSWER)
    two.net.run(0.1)
    two.taken.hang_up(two.net.now)
    two.net.run(70)
    requests = [name for name in proxy.seen if not name[0].isdigit()]
    assert requests == ["INVITE", "ACK", "UPDATE", "BYE"]
    assert two.net.is_quiet()


@pytest.mark.parametrize("seed", range(6))
def test_losses_on_both_sides_of_the_proxy_leave_no_call(two: Two, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    two.net.rules.append(lambda p: [] if random.random() < 0.2 else [random.uniform(0.01, 0.1)])
    through(two)
    two.net.run(10)
    two.taken.ring(two.net.now, 183, ANSWER)
    two.taken.answer(two.net.now, None)
    two.net.run(20)
    assert two.call.state is two.taken.state is CallState.ESTABLISHED
    two.call.hang_up(two.net.now)
    two.net.run(120)
    assert len(two.a.told(Ended)) == len(two.b.told(Ended)) == 1
    assert two.net.is_quiet()


def test_a_cancel_finds_its_invite_through_the_proxy(two: Two) -> None:
    """A stateless proxy gives both the same branch."""
    through(two)
    two.taken.ring(two.net.now)
    two.net.run(0.1)
    two.call.hang_up(two.net.now)
    two.net.run(70)
    assert two.b.told(Ended) and not two.a.agent.calls
    assert two.net.is_quiet()
