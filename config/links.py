"""Settings of one link: an SMPP account at a carrier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from config.section import Host, Npi, Port, Seconds, Section, Ton

STATUS_KEY = r"^(ESME_[A-Za-z0-9_]+|0[xX][0-9A-Fa-f]{1,8}(-0[xX][0-9A-Fa-f]{1,8})?)\Z"

Statuses = dict[
    Annotated[str, Meta(pattern=STATUS_KEY)], Literal["retry", "throttle", "fail", "suspend"]
]
"""What a command_status means, where a carrier does not follow the standard: by its name, its
number, or a range of numbers.
"""


class LinkSettings(Section, frozen=True):
    """One SMPP account at a carrier."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z", max_length=32)]
    host: Host = ""
    system_id: Annotated[str, Meta(max_length=15)] = ""
    kind: Literal["smpp", "smpp-server"] = "smpp"
    port: Port = 2775
    password: Annotated[str, Meta(max_length=8)] = ""
    password_file: Path | None = None
    system_type: Annotated[str, Meta(max_length=12)] = ""
    bind: Literal["transceiver", "pair"] = "transceiver"
    binds: Annotated[int, Meta(ge=1, le=64)] = 1
    window: Annotated[int, Meta(ge=1, le=10_000)] = 100
    rate: Annotated[float, Meta(ge=0, le=100_000)] = 0.0
    daily_cap: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    daily_cap_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    tls: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_server_name: Host = ""
    tls_verify: bool = True
    enquire_s: Seconds = 30.0
    response_s: Seconds = 30.0
    reconnect_min_s: Seconds = 1.0
    reconnect_max_s: Seconds = 60.0
    stable_s: Seconds = 30.0
    inactivity_s: Annotated[float, Meta(ge=0, le=604_800)] = 0.0
    suspend_min_s: Seconds = 60.0
    suspend_max_s: Seconds = 3_600.0
    statuses: Statuses = field(default_factory=dict)
    reference_bits: Literal[8, 16] = 8
    source_ton: Ton = 1
    source_npi: Npi = 1
    dest_ton: Ton = 1
    dest_npi: Npi = 1
    registered_delivery: bool = True
