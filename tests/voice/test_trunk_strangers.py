"""Scanners: whoever is in no trunk's networks hears nothing, and costs next to nothing."""

from __future__ import annotations

import socket

import pytest

from gateway.voice.call_events import Answered
from gateway.voice.calls import TrunkCall
from tests.voice.trunks import (
    HOST,
    PHONE,
    QUIET,
    Answering,
    next_of,
    only,
    running,
    settings,
    until,
)

STRANGER = "127.0.0.2"
SCAN = 450
"""Three seconds of a lively scan, at once."""


def asked(method: str, number: int, port: int) -> bytes:
    """What scanners send: calls abroad, registrations, questions who is there."""
    return (
        f"{method} sip:+1900555{number:04}@{HOST} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {STRANGER}:{port};branch=z9hG4bK{method}{number};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:100@{HOST}>;tag={number}\r\nTo: <sip:100@{HOST}>\r\n"
        f"Call-ID: {method}{number}\r\nCSeq: 1 {method}\r\n"
        f"Contact: <sip:100@{STRANGER}:{port}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


async def test_a_scan_gets_no_byte_back_and_keeps_nobody_from_calling(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nor does it reach a call, a ladder or the log."""
    taken: list[TrunkCall] = []
    answering = Answering()

    def take(call: TrunkCall) -> None:
        taken.append(call)
        answering(call)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
        scanner.bind((STRANGER, 0))
        scanner.setblocking(False)
        port = scanner.getsockname()[1]
        async with (
            running(settings(1, **QUIET), on_incoming=take) as there,
            running(settings(there.port, **QUIET)) as here,
        ):
            methods = ("INVITE", "REGISTER", "OPTIONS")
            for number in range(SCAN):
                scanner.sendto(asked(methods[number % 3], number, port), (HOST, there.port))
            call = only(here).call(PHONE)
            await next_of(call, Answered)
            await until(lambda: there.transport.noise.datagrams == SCAN)
            with pytest.raises(BlockingIOError):
                scanner.recv(1)
            assert len(taken) == 1
            assert len(only(there).ladders) == 1
            assert only(there).state().figures["last_stranger"] == STRANGER
            assert STRANGER not in caplog.text
            call.hang_up()
            await call.wait_ended()
