"""Settings of one link: an SMPP account at a carrier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from config.section import Host, Npi, Port, Seconds, Section, Ton


class LinkSettings(Section, frozen=True):
    """One SMPP account at a carrier."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z", max_length=32)]
    host: Annotated[Host, Meta(min_length=1)]
    system_id: Annotated[str, Meta(min_length=1, max_length=15)]
    kind: Literal["smpp"] = "smpp"
    port: Port = 2775
    password: Annotated[str, Meta(max_length=8)] = ""
    password_file: Path | None = None
    system_type: Annotated[str, Meta(max_length=12)] = ""
    bind: Literal["transceiver", "pair"] = "transceiver"
    binds: Annotated[int, Meta(ge=1, le=64)] = 1
    window: Annotated[int, Meta(ge=1, le=10_000)] = 100
    rate: Annotated[float, Meta(ge=0, le=100_000)] = 0.0
    enquire_s: Seconds = 30.0
    response_s: Seconds = 30.0
    reconnect_min_s: Seconds = 1.0
    reconnect_max_s: Seconds = 60.0
    stable_s: Seconds = 30.0
    reference_bits: Literal[8, 16] = 8
    source_ton: Ton = 1
    source_npi: Npi = 1
    dest_ton: Ton = 1
    dest_npi: Npi = 1
    registered_delivery: bool = True
