"""Settings of SIP trunks: ways to and from the telephone network, and what they share."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from config.section import Host, Seconds, Section

Number = Annotated[str, Meta(pattern=r"^(\+[1-9][0-9]{7,14})?\Z")]
"""A telephone number in E.164 form, or none."""
UserName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.!~*'()&=+$,;?/-]{0,64}\Z")]
MediaPort = Annotated[int, Meta(ge=1_024, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
NumberFormat = Literal["+e164", "e164", "national"]
"""`+12125550123`, `12125550123`, or without the country code: `2125550123`."""


class TrunkSettings(Section, frozen=True):
    """One SIP trunk: an account at a carrier, or a PBX."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z", max_length=32)]
    host: Host = ""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    transport: Literal["udp", "tcp", "tls", "auto"] = "udp"
    proxy: Host = ""
    proxy_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    user: UserName = ""
    password: Annotated[str, Meta(max_length=128)] = ""
    password_file: Path | None = None
    realm: Annotated[str, Meta(max_length=128)] = ""
    register: bool = False
    registrar: Host = ""
    expires_s: Annotated[int, Meta(ge=60, le=86_400)] = 600
    networks: tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...] = ()
    media_networks: tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...] = ()
    domain: Host = ""
    caller_number: Number = ""
    caller_name: Annotated[str, Meta(max_length=64)] = ""
    from_user: Literal["caller", "account"] = "caller"
    asserted_identity: bool = True
    diversion: bool = True
    number_format: NumberFormat = "+e164"
    caller_format: NumberFormat = "+e164"
    country_code: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}\Z")] = "1"
    user_phone: bool = False
    codecs: tuple[Literal["pcmu", "pcma"], ...] = ("pcmu", "pcma")
    ptime_ms: Literal[10, 20, 30, 40, 60] = 20
    dtmf: bool = True
    early_media: Literal["hear", "ignore"] = "hear"
    srtp: Literal["off", "optional", "required"] = "off"
    max_calls: Count = 10
    calls_per_s: Annotated[float, Meta(gt=0, le=1_000)] = 1.0
    call_max_s: Seconds = 3_600.0
    ring_s: Seconds = 60.0
    failover_s: Seconds = 5.0
    media_lost_s: Annotated[float, Meta(ge=0, le=3_600)] = 60.0
    transfer: Literal["bridge", "302", "refer"] = "bridge"
    options_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    keepalive_s: Annotated[float, Meta(ge=0, le=3_600)] = 25.0
    session_expires_s: Annotated[int, Meta(ge=0, le=86_400)] = 1_800
    reliable_provisional: bool = True
    behind_nat: bool = False
    tcp_for_large: bool = True
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_server_name: Host = ""

    @property
    def serving_domain(self) -> str:
        """The domain in the URIs of this trunk."""
        return self.domain or self.host


class VoiceSettings(Section, frozen=True):
    """Where trunks reach us. Opened only with role voice and at least one trunk."""

    listen: str = "127.0.0.1:5060"
    tls_listen: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    public_address: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f:.]*\Z", max_length=45)] = ""
    rtp_port_first: MediaPort = 40_000
    rtp_port_last: MediaPort = 40_999
    dns_servers: tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...] = ()
    connections_max: Annotated[int, Meta(ge=1, le=10_000)] = 256
    connections_per_address: Annotated[int, Meta(ge=1, le=10_000)] = 32
    messages_per_s: Annotated[float, Meta(gt=0, le=100_000)] = 300.0
    ladder_calls: Annotated[int, Meta(ge=1, le=1_000)] = 20
    realtime: bool = True


def is_network(text: str) -> bool:
    """Whether a text is an address or a network such as `203.0.113.0/24`."""
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
