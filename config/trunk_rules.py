"""Rules about trunks and the voice section that the type of one key cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from config.breach import Breach
from config.faults import KeyPath
from config.settings import Settings, is_loopback, split_listen
from config.trunks import TrunkSettings, VoiceSettings, is_network

_PORTS_A_CALL = 2
_SESSION_MIN_S = 90
"""RFC 4028 section 4: the least that a session may live without a refresh."""
_HOST_KEYS = ("host", "proxy", "registrar", "domain", "tls_server_name")
_TLS_KEYS = ("tls_ca", "tls_cert", "tls_key", "tls_server_name")


def trunks_are_sound(settings: Settings) -> Iterator[Breach]:
    """Every trunk has a name of its own and somewhere to go, and keeps its secrets."""
    seen: dict[str, int] = {}
    for index, trunk in enumerate(settings.trunks):
        path: KeyPath = ("trunks", index)
        first = seen.setdefault(trunk.name, index)
        if first != index and trunk.name:
            other: KeyPath = ("trunks", first, "name")
            problem = f'trunks[{first}] is named "{trunk.name}" too'
            yield Breach((*path, "name"), problem, others=(other,))
        for key, problem, hint in _faults(trunk):
            yield Breach((*path, key), problem, hint)
        yield from _reachable(settings.voice, trunk, path)


def voice_is_possible(settings: Settings) -> Iterator[Breach]:
    """The ports suffice for the calls, and TLS has its files."""
    voice = settings.voice
    for key in ("tls_cert", "tls_key"):
        if voice.tls_listen and getattr(voice, key) is None:
            hint = "tls_listen needs tls_cert and tls_key"
            yield Breach(("voice", key), "missing", hint, (("voice", "tls_listen"),))
    for key in ("tls_cert", "tls_key", "tls_client_ca"):
        if getattr(voice, key) is not None and not voice.tls_listen:
            hint = "set tls_listen, or leave it out"
            yield Breach(("voice", key), "is not used without tls_listen", hint)
    if problem := _public_problem(voice):
        hint = "the address that carriers send to, as 192.0.2.10"
        yield Breach(("voice", "public_address"), problem, hint)
    if voice.rtp_port_first >= voice.rtp_port_last:
        problem = "not above rtp_port_first"
        yield Breach(
            ("voice", "rtp_port_last"), problem, others=(("voice", "rtp_port_first"),)
        )
        return
    wanted = sum(trunk.max_calls for trunk in settings.trunks) * _PORTS_A_CALL
    have = voice.rtp_port_last - voice.rtp_port_first + 1
    if wanted > have:
        yield Breach(
            ("voice", "rtp_port_last"),
            f"{have} ports, and the calls that trunks allow need {wanted}",
            "widen the range, or lower max_calls; ports also rest for a minute after a call",
            (("voice", "rtp_port_first"),),
        )
    for text in voice.dns_servers:
        if not is_network(text) or "/" in text:
            yield Breach(("voice", "dns_servers"), f'"{text}" is no address')


def _faults(trunk: TrunkSettings) -> Iterator[tuple[str, str, str]]:
    if not trunk.host:
        yield "host", "missing", "the carrier's server or domain, or a PBX"
    for key in _HOST_KEYS:
        if ":" in getattr(trunk, key) and not is_network(getattr(trunk, key)):
            hint = "a name or an address alone: scheme and port have keys of their own"
            yield key, f'"{getattr(trunk, key)}" is no host', hint
    for key in ("networks", "media_networks"):
        for text in getattr(trunk, key):
            if not is_network(text):
                yield key, f'"{text}" is no network', 'like "203.0.113.0/24" or "203.0.113.7"'
    yield from _account(trunk)
    if not trunk.codecs or len(set(trunk.codecs)) != len(trunk.codecs):
        yield "codecs", "expected each codec once, and one at least", '["pcmu", "pcma"]'
    if trunk.transport == "auto" and trunk.port:
        yield "port", "DNS chooses it where it chooses the transport", "leave it out"
    if trunk.proxy_port and not trunk.proxy:
        yield "proxy_port", "is not used without proxy", ""
    if 0 < trunk.session_expires_s < _SESSION_MIN_S:
        problem = f"{_SESSION_MIN_S} s is the least that SIP knows (RFC 4028)"
        yield "session_expires_s", problem, "0 sets no limit"
    yield from _secrecy(trunk)


def _public_problem(voice: VoiceSettings) -> str:
    """Why nobody can send to the public address; empty when it is in order, or not set."""
    if not voice.public_address:
        return ""
    try:
        address = ip_address(voice.public_address)
    except ValueError:
        return f'"{voice.public_address}" is no address'
    if address.is_unspecified:
        return f"{address} stands for every address, and nobody can send to it"
    try:
        own = ip_address(split_listen(voice.listen)[0])
    except ValueError:
        return ""
    return "" if own.version == address.version else f"IPv{address.version}, and listen is not"


def _account(trunk: TrunkSettings) -> Iterator[tuple[str, str, str]]:
    if trunk.password and not trunk.user:
        yield "user", "missing", "a password goes with a user"
    if trunk.register and not trunk.user:
        yield "user", "missing", "register needs the user of the account"
    if trunk.registrar and not trunk.register:
        yield "registrar", "is not used without register", "set register = true"
    if trunk.from_user == "account" and not trunk.user:
        yield "user", "missing", 'from_user = "account" needs it'


def _secrecy(trunk: TrunkSettings) -> Iterator[tuple[str, str, str]]:
    is_here = is_loopback(trunk.proxy or trunk.host)
    if trunk.srtp != "off" and trunk.transport != "tls" and not is_here:
        yield (
            "srtp",
            "its keys would cross the network readably",
            'they travel in the signalling: set transport = "tls"',
        )
    used = trunk.transport in ("tls", "auto")
    for key in _TLS_KEYS:
        if getattr(trunk, key) and not used:
            yield key, "is not used without TLS", 'set transport = "tls", or leave it out'
    if trunk.tls_key is not None and trunk.tls_cert is None:
        yield "tls_cert", "missing", "tls_key goes with a certificate"


def _reachable(voice: VoiceSettings, trunk: TrunkSettings, path: KeyPath) -> Iterator[Breach]:
    """A carrier elsewhere cannot answer to a loopback address."""
    try:
        host, _ = split_listen(voice.listen)
    except ValueError:
        return
    remote = trunk.proxy or trunk.host
    if remote and is_loopback(host) and not is_loopback(remote):
        yield Breach(
            ("voice", "listen"),
            f"trunk {trunk.name} is elsewhere, and {host} is this machine alone",
            "listen on the address that the carrier sends to, as 192.0.2.10:5060",
            ((*path, "host"),),
        )
