"""Every PDU broken by chance, against sessions whose owners take everything, in both roles."""

from __future__ import annotations

import tracemalloc

import pytest

from protocols.smpp import (
    Bare,
    BindKind,
    BindRequested,
    Event,
    PduError,
    Received,
    Requested,
    Role,
    Session,
    State,
    decode,
    encode,
)
from protocols.smpp import commands as c
from protocols.smpp.limits import Limits
from protocols.smpp.states import OPTIONAL
from tests.protocols.smpp.mutations import mutated
from tests.protocols.smpp.sessions import BODY, ENQUIRE, carry

COUNT = 12_500
"""Four runs: two roles, two ways to be fed."""
ENDINGS = {c.UNBIND, c.UNBIND_RESP}
LIVING = encode(Bare(c.ENQUIRE_LINK_RESP, 0, 99))


def bound(role: Role) -> Session:
    """A session over SMPP v5.0 that takes whatever the standard has, with requests under way."""
    limits = Limits(unanswered=50)
    esme = Session(Role.ESME, takes=OPTIONAL, version=0x50, limits=limits)
    smsc = Session(Role.SMSC, takes=OPTIONAL, version=0x50, limits=limits)
    esme.bind(BindKind.TRANSCEIVER, "lab", "lab", 0.0)
    (asked,) = carry(esme, smsc)
    assert isinstance(asked, BindRequested)
    smsc.accept_bind(asked.request, "smsc")
    carry(smsc, esme)
    session = esme if role is Role.ESME else smsc
    for _ in range(10):
        session.request(BODY, 0.0)
    session.data_to_send()
    return session


def settle(session: Session, events: list[Event]) -> None:
    """Answer every second request, by what an owner would say."""
    for event in events:
        if isinstance(event, Received) and event.message.sequence % 2:
            session.respond(event.message, message_id="7f00a1")
        elif isinstance(event, Requested):
            session.answer(event.request, 0x0C)


@pytest.mark.parametrize("is_bytewise", [False, True], ids=["in one segment", "octet by octet"])
@pytest.mark.parametrize("role", Role)
def test_session_outlives_everything_but_an_unbind(role: Role, is_bytewise: bool) -> None:
    """Nothing is raised, enquire_link is answered after each PDU, no more requests wait than may,
    and memory stays bounded."""
    session = bound(role)
    tracemalloc.start()
    try:
        for octets in mutated(COUNT, 1 + is_bytewise):
            stream = octets + ENQUIRE
            pieces = [stream[i : i + 1] for i in range(len(stream))] if is_bytewise else [stream]
            events = [event for piece in pieces for event in session.receive_data(piece, 1.0)]
            if session.state is not State.BOUND_TRX:
                assert int.from_bytes(octets[4:8], "big") in ENDINGS
                session = bound(role)
                continue
            assert session.data_to_send().endswith(LIVING)
            assert session.unanswered <= 50
            settle(session, events)
            session.data_to_send()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_broken_pdus_are_read_or_refused_with_their_status() -> None:
    """Of 50,000 each is a PDU or a PduError that keeps the framing and knows what to answer; every
    command is among the former."""
    read: set[int] = set()
    refused: set[int] = set()
    for octets in mutated(50_000):
        command = int.from_bytes(octets[4:8], "big")
        try:
            pdu = decode(octets)
        except PduError as fault:
            assert not fault.is_framing_lost
            assert fault.status_hint
            assert fault.command_id == command
            refused.add(command)
        else:
            assert pdu.command_id == command
            read.add(command)
    assert read >= set(c.NAMES)
    assert {c.DATA_SM, c.SUBMIT_MULTI, c.QUERY_SM, c.BROADCAST_SM, c.QUERY_SM_RESP} <= refused


def test_stream_has_the_same_effect_in_any_pieces() -> None:
    """A thousand broken PDUs at once, or octet by octet: the same events and answers."""
    for role in Role:
        for seed in range(5):
            stream = b"".join(
                octets
                for octets in mutated(200, seed)
                if int.from_bytes(octets[4:8], "big") not in ENDINGS
            )
            whole, split = bound(role), bound(role)
            at_once = whole.receive_data(stream, 1.0)
            in_pieces = [
                event
                for i in range(len(stream))
                for event in split.receive_data(stream[i : i + 1], 1.0)
            ]
            assert in_pieces == at_once
            assert split.data_to_send() == whole.data_to_send()
