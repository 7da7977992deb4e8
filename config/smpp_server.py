"""Settings of the SMPP server: where ESMEs and carriers bind to us, and what strangers may do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from config.section import Seconds, Section

Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class SmppServerSettings(Section, frozen=True):
    """The listener for ESMEs. Without `listen` and `tls_listen` there is none."""

    listen: str = ""
    tls_listen: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    system_id: Annotated[str, Meta(min_length=1, max_length=15, pattern=r"^[!-~]+\Z")] = "gateway"
    session_init_s: Seconds = 5.0
    enquire_s: Seconds = 30.0
    response_s: Seconds = 30.0
    inactivity_s: Annotated[float, Meta(ge=0, le=604_800)] = 0.0
    pdu_max_bytes: Annotated[int, Meta(ge=1_024, le=1_048_576)] = 65_536
    connections_max: Count = 2_000
    unbound_max: Count = 500
    connections_per_address: Count = 100
    connections_per_minute: Count = 600
    attempts: Annotated[int, Meta(ge=1, le=1_000)] = 5
    attempts_s: Seconds = 600.0
    ban_min_s: Seconds = 60.0
    ban_max_s: Seconds = 86_400.0
    checks_per_s: Annotated[float, Meta(gt=0, le=1_000)] = 10.0
    checks_waiting_max: Annotated[int, Meta(ge=1, le=10_000)] = 64
    reassembly_s: Seconds = 300.0
    parts_max: Count = 20_000
    outbox_max: Count = 100_000
    outbox_s: Seconds = 259_200.0
    copies_s: Annotated[float, Meta(ge=0, le=3_600)] = 60.0

    @property
    def is_on(self) -> bool:
        """Whether anybody can bind to us."""
        return bool(self.listen or self.tls_listen)
