"""What shows of trunks' settings only with what they point to: files, ports, DNS."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network
from typing import Final

from config.breach import Breach
from config.settings import Settings, split_listen
from gateway.voice.tls import TlsFault, client_context, server_context

DNS_S: Final = 5.0
PORTS_A_CALL: Final = 2


def trunk_breaches(settings: Settings) -> Iterator[Breach]:
    """Certificates and keys that do not serve."""
    if not settings.trunks:
        return
    for index, trunk in enumerate(settings.trunks):
        try:
            if trunk.transport in ("tls", "auto"):
                client_context(trunk)
        except TlsFault as fault:
            hint = "name a PEM file that this user may read"
            yield Breach(("trunks", index, fault.key), str(fault), hint)
    if settings.voice.tls_listen:
        try:
            server_context(settings.voice)
        except TlsFault as fault:
            yield Breach(("voice", fault.key), str(fault), "name PEM files this user may read")


async def trunk_hints(settings: Settings) -> list[str]:
    """What may be in order, but would keep trunks from working as things are now: ports that are
    taken (by the running gateway, if it runs), names that DNS does not know.
    """
    if not settings.trunks:
        return []
    return [*_ports(settings), *_open_doors(settings), *await _names(settings)]


def _open_doors(settings: Settings) -> Iterator[str]:
    """Networks that hold everybody: no scan of the world goes unanswered then."""
    for trunk in settings.trunks:
        for key in ("networks", "media_networks"):
            for network in map(ip_network, getattr(trunk, key)):
                if network.prefixlen == 0:
                    yield f"trunk {trunk.name}: {network} in {key} lets everybody in"


def _ports(settings: Settings) -> Iterator[str]:
    voice = settings.voice
    for key, text, kinds in (
        ("listen", voice.listen, (socket.SOCK_DGRAM, socket.SOCK_STREAM)),
        ("tls_listen", voice.tls_listen, (socket.SOCK_STREAM,)),
    ):
        if not text:
            continue
        host, port = split_listen(text)
        for kind in kinds:
            if words := _why_taken(host, port, kind):
                protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
                known = "by the gateway itself, if it runs"
                yield f"[voice] {key} {text} is taken for {protocol} now, {known}: {words}"
                break
    host, _ = split_listen(voice.listen)
    ports = range(voice.rtp_port_first, voice.rtp_port_last + 1)
    free = sum(not _why_taken(host, port, socket.SOCK_DGRAM) for port in ports)
    wanted = sum(trunk.max_calls for trunk in settings.trunks) * PORTS_A_CALL
    if free < wanted:
        yield f"[voice] {free} ports for sound are free now, all calls together need {wanted}"


def _why_taken(host: str, port: int, kind: socket.SocketKind) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        try:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


async def _names(settings: Settings) -> list[str]:
    """Trunks whose servers DNS does not name. Without a network all of them: no fault."""
    # For who has trunks alone: its library is not loaded otherwise.
    from gateway.voice.dns import Resolver
    from gateway.voice.servers import Servers

    voice = settings.voice
    host, _ = split_listen(voice.listen)
    resolver = Resolver(voice.dns_servers, below=secrets.randbelow, is_ipv6=":" in host)
    hints = []
    try:
        for trunk in settings.trunks:
            servers = Servers(trunk, resolver)
            words = f"DNS names no server of {trunk.proxy or trunk.host}"
            try:
                async with asyncio.timeout(DNS_S):
                    await servers.locate(0.0)
            except OSError as error:
                words = str(error) or "DNS does not answer"
            if not servers.all:
                hints.append(f"trunk {trunk.name}: {words}")
            hints += [
                f"trunk {trunk.name}: DNS names {address}, which is outside of its networks"
                for address in servers.outside()
            ]
    finally:
        with suppress(OSError):
            await resolver.close()
    return hints
