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

Language = Literal[
    "tr", "es", "pt", "bn", "gu", "hi", "kn", "ml", "or", "pa", "ta", "te", "ur"
]
"""A language with shift tables of its own in 3GPP TS 23.038 annex A, by its ISO 639-1 code."""
TLV = r"^0x[0-9A-Fa-f]{4}=(hex:([0-9A-Fa-f]{2}){0,255}|(?!hex:)[ -~]{0,255})\Z"
VendorTlv = Annotated[str, Meta(pattern=TLV)]
"""An optional parameter to send: its tag, then text or octets: `0x1400=abc`, `0x1401=hex:00FF`."""
TAG = r"^(0x[0-9A-Fa-f]{4})?\Z"
Tag = Annotated[str, Meta(pattern=TAG)]
DataCoding = Annotated[int, Meta(ge=0, le=255)]


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
    version: Literal["3.4", "5.0"] = "3.4"
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
    source_ton: Ton = 1
    source_npi: Npi = 1
    dest_ton: Ton = 1
    dest_npi: Npi = 1
    short_code_ton: Ton = 3
    short_code_npi: Npi = 0
    plus_sign: bool = False
    national_prefix: Annotated[str, Meta(pattern=r"^[1-9]?[0-9]{0,2}\Z")] = ""
    national_ton: Ton = 2
    national_npi: Npi = 1
    service_type: Annotated[str, Meta(pattern=r"^[!-~]{0,5}\Z")] = ""
    alphabet: Literal["gsm", "gsm-packed", "latin1"] = "gsm"
    alphabet_coding: DataCoding = 0
    latin1_coding: Annotated[int, Meta(ge=-1, le=255)] = -1
    ucs2_coding: DataCoding = 8
    single_shift: tuple[Language, ...] = ()
    locking_shift: tuple[Language, ...] = ()
    long_texts: Literal["udh8", "udh16", "sar", "payload"] = "udh8"
    validity: Literal["none", "absolute", "relative"] = "none"
    tlvs: tuple[VendorTlv, ...] = ()
    campaign_tlv: Tag = ""
    registered_delivery: bool = True
    intermediate_receipts: bool = False
    receipt_ids: Literal["auto", "same", "hex", "decimal"] = "auto"
