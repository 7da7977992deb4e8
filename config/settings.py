"""Every setting of the gateway, typed, with its default and its limits.

The structs are what the rest of the gateway reads; `config.loading` fills them from a TOML file and
the environment, `config.rules` holds what concerns more than one key. `config/gateway.toml` is the
same list for people: a test keeps both alike.

Units are in the names: `_s` seconds, `_bytes` bytes. A secret never shows in a `repr`.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from config.links import LinkSettings
from config.routes import RouteSettings
from config.section import SECRETS, Host, Port, Region, Seconds, Section
from config.smpp_server import SmppServerSettings
from config.speech import SpeechSettings
from config.trunks import TrunkSettings, VoiceSettings

__all__ = [
    "SECRETS",
    "HttpSettings",
    "LimitSettings",
    "LinkSettings",
    "LogSettings",
    "MailSettings",
    "NodeSettings",
    "RouteSettings",
    "SandboxSettings",
    "Section",
    "Settings",
    "SmppServerSettings",
    "SmsSettings",
    "SpeechSettings",
    "StoreSettings",
    "TrunkSettings",
    "VoiceSettings",
    "default_data_dir",
    "is_loopback",
    "split_listen",
]


def default_data_dir(environ: Mapping[str, str]) -> Path | None:
    """Where data is kept unless said otherwise: root has /var/lib, others their own home.

    None for a user without a home.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/sms-voice-gateway")
    base = environ.get("XDG_DATA_HOME", "")
    share = Path(base if base.startswith("/") else os.path.expanduser("~/.local/share"))
    return share / "sms-voice-gateway" if share.is_absolute() else None


def _own_data_dir() -> Path:
    return default_data_dir(os.environ) or Path.cwd()


class HttpSettings(Section, frozen=True):
    """The HTTP API."""

    listen: str = "127.0.0.1:8080"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    ops_listen: str = ""
    body_max_bytes: Annotated[int, Meta(ge=1_024, le=16_777_216)] = 65_536
    batch_max_bytes: Annotated[int, Meta(ge=1_024, le=268_435_456)] = 16_777_216
    batch_max_items: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    batches_at_once: Annotated[int, Meta(ge=1, le=1_000)] = 4
    waiting_posts_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    commit_timeout_s: Seconds = 10.0


class StoreSettings(Section, frozen=True):
    """Where messages are kept. An empty `database_url` means the embedded PostgreSQL."""

    database_url: str = ""
    database_url_file: Path | None = None
    data_dir: Path = field(default_factory=_own_data_dir)
    os_user: Annotated[str, Meta(pattern=r"^([A-Za-z_][A-Za-z0-9_.-]{0,31})?\Z")] = ""


class NodeSettings(Section, frozen=True):
    """This process among the others that share one database."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,64}\Z")] = ""
    lease_s: Annotated[float, Meta(ge=2, le=300)] = 10.0


class MailSettings(Section, frozen=True):
    """The operator's SMTP account, which carries customers' texts to the shops."""

    host: Host = ""
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""
    password_file: Path | None = None
    sender: Annotated[str, Meta(max_length=254)] = ""
    connections: Annotated[int, Meta(ge=1, le=64)] = 2
    timeout_s: Seconds = 30.0

    @property
    def is_on(self) -> bool:
        """Whether mail is sent at all: only with a host."""
        return bool(self.host)


class SmsSettings(Section, frozen=True):
    """How texts are written and read."""

    smart_repair: bool = True
    segments_max: Annotated[int, Meta(ge=1, le=255)] = 10
    default_region: Region = "US"
    countries: tuple[Region, ...] = ("US", "CA", "PR", "VI")
    reassembly_s: Seconds = 3_600.0


class LimitSettings(Section, frozen=True):
    """How many messages may wait, for how long, and how often a failed one is tried again."""

    waiting_per_shop: Annotated[int, Meta(ge=1, le=100_000_000)] = 100_000
    validity_transactional_s: Seconds = 86_400.0
    validity_marketing_s: Seconds = 14_400.0
    validity_service_answer_s: Seconds = 900.0
    validity_service_forward_s: Seconds = 259_200.0
    retry_min_s: Seconds = 5.0
    retry_max_s: Seconds = 900.0
    receipt_s: Seconds = 259_200.0


class SandboxSettings(Section, frozen=True):
    """The simulated carrier and mail host, on loopback only."""

    is_on: bool = False
    smsc_listen: str = "127.0.0.1:2775"
    smtp_listen: str = "127.0.0.1:2525"
    page_listen: str = "127.0.0.1:8081"


class LogSettings(Section, frozen=True):
    """The log on standard error. It never holds a text or a whole phone number."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(Section, frozen=True):
    """All settings of an installation."""

    http: HttpSettings = HttpSettings()
    store: StoreSettings = field(default_factory=StoreSettings)
    node: NodeSettings = NodeSettings()
    links: tuple[LinkSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = ()
    trunks: tuple[TrunkSettings, ...] = ()
    voice: VoiceSettings = VoiceSettings()
    smpp: SmppServerSettings = SmppServerSettings()
    mail: MailSettings = MailSettings()
    sms: SmsSettings = SmsSettings()
    limits: LimitSettings = LimitSettings()
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    sandbox: SandboxSettings = SandboxSettings()
    log: LogSettings = LogSettings()


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of a listening address: `127.0.0.1:8080`, `[::1]:8080`; port 0 takes any free.

    Raises ValueError with words for the operator.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("expected HOST:PORT with a port from 0 to 65535")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or (":" in bare and bare == host):
        raise ValueError("expected HOST:PORT, an IPv6 address in brackets such as [::1]:8080")
    return bare, int(port)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine alone; of names only `localhost` is."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
