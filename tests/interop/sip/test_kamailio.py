"""Kamailio between us and SIPp: a proxy with passwords and recorded routes, and a registrar."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from protocols.sip.digest import Credentials
from protocols.sip.events import (
    Answered,
    EndCause,
    Ended,
    Progress,
    Registered,
    RegistrationFailed,
    Rejected,
    Unregistered,
)
from protocols.sip.fields import NameAddr
from protocols.sip.flow import Hop, Transport
from protocols.sip.registration import Account
from protocols.sip.uri import Uri
from tests.channels.certificates import Authority
from tests.interop.matrix import covers
from tests.interop.sip import suite
from tests.interop.sip.agent import HOST, agent, at
from tests.interop.sip.kamailio import PASSWORD, REALM, USER, kamailio
from tests.interop.sip.ports import free_port
from tests.interop.sip.sipp import (
    BYE_TAKEN,
    INVITED,
    answer,
    audio,
    keep,
    recv,
    request,
    sipp,
)
from tests.interop.sip.suite import KAMAILIO

KNOWN = Credentials(USER, PASSWORD)
NOTED = INVITED.replace(
    "</action>", keep("Record-Route", "6") + keep("Via", "7", occurrence=2) + "</action>"
)
"""INVITED, and notes the way back through the proxy."""
OUR_VIA = "Via:[$7]"
ANSWERED = answer(200, body=audio(), is_repeated=True)


def _account(hop: Hop, secret: str = PASSWORD) -> Account:
    transport = hop.transport.value.lower()
    return Account(
        Uri.parse(f"sip:{HOST}:{hop.port};transport={transport}"),
        NameAddr.parse(f"<sip:{USER}@{REALM}>"),
        hop,
        Credentials(USER, secret),
        expires_s=120,
    )


@pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param("MD5", marks=covers(KAMAILIO, suite.AUTH_407_MD5, suite.ROUTED)),
        pytest.param("SHA-256", marks=covers(KAMAILIO, suite.AUTH_407_SHA256)),
    ],
)
async def test_a_call_through_the_proxy(folder: Path, algorithm: str) -> None:
    """Kamailio accepts our answer to its 407; ACK and BYE reach SIPp by way of Kamailio."""
    behind = free_port()
    async with (
        kamailio(folder, behind=behind, algorithm=algorithm) as proxy,
        agent() as ours,
        sipp(folder, INVITED, answer(180), ANSWERED, recv("ACK"), BYE_TAKEN, port=behind) as peer,
    ):
        call, _ = await ours.talk(at(proxy.port), credentials=KNOWN)
        await ours.hang_up(call)
        await peer.finish()
        invite = peer.got("INVITE")[0]
        assert f"127.0.0.1:{proxy.port}" in invite.header("Record-Route")
        for name in ("INVITE", "ACK", "BYE"):
            assert f"127.0.0.1:{proxy.port}" in peer.got(name)[0].headers("Via")[0]
        await proxy.until_logged("routed ACK")
        await proxy.until_logged("routed BYE")


@covers(KAMAILIO, suite.RINGING)
async def test_the_peer_behind_the_proxy_ends_the_call(folder: Path) -> None:
    """180 comes through, and so does SIPp's BYE, which follows the route."""
    behind = free_port()
    steps = (
        NOTED, answer(180), ANSWERED, recv("ACK"), request("BYE", 1, "Route:[$6]"), recv(200)
    )  # fmt: skip
    async with (
        kamailio(folder, behind=behind) as proxy,
        agent() as ours,
        sipp(folder, *steps, port=behind) as peer,
    ):
        line = ours.line()
        ours.invite(at(proxy.port), line.offer(), credentials=KNOWN)
        assert (await ours.heard.until(Progress)).code == 180
        line.take((await ours.heard.until(Answered)).body)
        assert (await ours.heard.until(Ended)).cause is EndCause.REMOTE
        await peer.finish()
        await proxy.until_logged("routed BYE")


@covers(KAMAILIO, suite.BUSY)
async def test_a_refusal_behind_the_proxy(folder: Path) -> None:
    """SIPp's 486 comes through, and Kamailio has our ACK."""
    behind = free_port()
    steps = (INVITED, answer(486, is_repeated=True), recv("ACK"))
    async with (
        kamailio(folder, behind=behind) as proxy,
        agent() as ours,
        sipp(folder, *steps, port=behind) as peer,
    ):
        ours.invite(at(proxy.port), ours.line().offer(), credentials=KNOWN)
        assert (await ours.heard.until(Rejected)).code == 486
        await peer.finish()


@covers(KAMAILIO, suite.NO_ANSWER)
async def test_a_call_that_nobody_answers_is_canceled(folder: Path) -> None:
    """Our CANCEL reaches SIPp through Kamailio, and its 487 us."""
    behind = free_port()
    steps = (
        NOTED, answer(180), recv("CANCEL"), answer(200, is_new=False),
        answer(487, OUR_VIA, is_repeated=True, is_to_invite=True), recv("ACK"),
    )  # fmt: skip
    async with (
        kamailio(folder, behind=behind) as proxy,
        agent() as ours,
        sipp(folder, *steps, port=behind) as peer,
    ):
        ours.invite(at(proxy.port), ours.line().offer(), credentials=KNOWN, setup_s=0.5)
        assert (await ours.heard.until(Rejected)).cause is EndCause.NO_ANSWER
        await peer.finish()


@covers(KAMAILIO, suite.NAT)
async def test_the_proxy_sees_another_address(folder: Path) -> None:
    """With an address in Via that nobody has, Kamailio answers to where we are and says where."""
    async with kamailio(folder) as proxy, agent() as ours:
        ours.ua.set_local(Transport.UDP, "192.0.2.77", 5999)
        registration = ours.register(_account(at(proxy.port)))
        registered = await ours.heard.until(Registered)
        assert registered.public == (HOST, ours.ports_of[Transport.UDP])
        ours.do(registration.unregister)
        await ours.heard.until(Unregistered)


@covers(KAMAILIO, suite.REGISTER)
@pytest.mark.parametrize(
    ("transport", "algorithm"),
    [
        pytest.param(Transport.UDP, "MD5", marks=covers(KAMAILIO, suite.AUTH_401_MD5)),
        pytest.param(Transport.UDP, "SHA-256", marks=covers(KAMAILIO, suite.AUTH_401_SHA256)),
        pytest.param(Transport.TCP, "MD5", marks=covers(KAMAILIO, suite.TCP)),
    ],
)
async def test_a_registration_is_made_refreshed_and_taken_back(
    folder: Path, transport: Transport, algorithm: str
) -> None:
    """Kamailio has our contact after REGISTER, still has it after the refresh, which comes by
    itself, and no more when we have left."""
    async with kamailio(folder, algorithm=algorithm) as proxy, agent() as ours:
        registration = ours.register(_account(at(proxy.port, transport)))
        assert (await ours.heard.until(Registered)).expires_s == 120
        contact = f"sip:gateway@{HOST}:{ours.ports_of[transport]}"
        assert contact in await proxy.contacts()
        count = proxy.log.count("saw REGISTER")
        ours.skip(61.0)
        await ours.heard.until(Registered)
        assert proxy.log.count("saw REGISTER") > count
        assert contact in await proxy.contacts()
        ours.do(registration.unregister)
        await ours.heard.until(Unregistered)
        assert contact not in await proxy.contacts()


@covers(KAMAILIO, suite.AUTH_401_MD5)
async def test_a_wrong_password_is_told(folder: Path) -> None:
    """Kamailio has no contact of ours, and we wait long before we try again."""
    async with kamailio(folder) as proxy, agent(is_checked=False) as ours:
        ours.register(_account(at(proxy.port), "mistaken"))
        failed = await ours.heard.until(RegistrationFailed)
        assert failed.code == 401
        assert failed.retry_in_s is not None
        assert failed.retry_in_s >= 600
        assert "sip:gateway@" not in await proxy.contacts()
        assert proxy.log.count("saw REGISTER") == 2


@covers(KAMAILIO, suite.STALE)
async def test_a_nonce_that_grew_old_is_replaced(folder: Path) -> None:
    """The refresh comes with a nonce that Kamailio forgot: it asks anew, and has our answer."""
    async with kamailio(folder, nonce_s=1) as proxy, agent() as ours:
        registration = ours.register(_account(at(proxy.port)))
        await ours.heard.until(Registered)
        # Kamailio's own clock: its nonces live whole seconds.
        await asyncio.sleep(2.2)
        ours.do(registration.refresh)
        await ours.heard.until(Registered)
        assert proxy.log.count("saw REGISTER") == 4
        ours.do(registration.unregister)
        await ours.heard.until(Unregistered)


@covers(KAMAILIO, suite.TLS)
async def test_a_call_over_tls(
    folder: Path, authority: Authority, certificate: tuple[Path, Path]
) -> None:
    """Kamailio's certificate is verified; the call goes over TLS to it, and over UDP to SIPp."""
    behind = free_port()
    context = ssl.create_default_context(cafile=str(authority.file))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(*certificate)
    async with (
        kamailio(folder, behind=behind, certificate=certificate) as proxy,
        agent(client_tls=context, server_tls=server) as ours,
        sipp(folder, INVITED, answer(180), ANSWERED, recv("ACK"), BYE_TAKEN, port=behind) as peer,
    ):
        call, _ = await ours.talk(at(proxy.tls_port, Transport.TLS), credentials=KNOWN)
        await ours.hang_up(call)
        await peer.finish()
        assert "SIP/2.0/TLS" in " ".join(peer.got("INVITE")[0].headers("Via"))
        await proxy.until_logged("routed BYE")
