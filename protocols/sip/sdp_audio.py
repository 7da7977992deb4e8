"""The audio stream of a peer's description, and what a trunk's policy makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import Final

from protocols.audio.g711 import Law
from protocols.rtp.latch import Network, is_within
from protocols.rtp.parameters import Address, Direction
from protocols.rtp.wheel import PERIODS
from protocols.sip.errors import SipError
from protocols.sip.sdp import MAX_PORT, Description, Media, SdpError
from protocols.sip.sdp_crypto import Crypto
from protocols.sip.sdp_crypto import parse as parse_crypto

AVP: Final = "RTP/AVP"
SAVP: Final = "RTP/SAVP"
TELEPHONE_EVENT: Final = "telephone-event"
NAMES: Final = {Law.ULAW: "PCMU", Law.ALAW: "PCMA"}
LAWS: Final = {name: law for law, name in NAMES.items()}
_STATIC: Final = {law.payload_type: law for law in Law}
_MAX_TYPE: Final = 127
_DIRECTIONS: Final = {each.value: each for each in Direction}
_MAX_CRYPTO: Final = 16


class NotAcceptableError(SipError):
    """A sound description that we cannot agree on: 488."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 488)


class MediaAddressError(NotAcceptableError):
    """The peer wants media where the trunk has none: a name, or an address outside its networks.
    Sending there could make us a weapon."""


class MediaSecurity(Enum):
    """Whether media is encrypted. EITHER takes what the peer offers, and offers encryption."""

    PLAIN = "plain"
    SECURE = "secure"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class AudioPolicy:
    """What a trunk allows. `laws` in the order of preference; `networks` is where the peer's media
    may be: with none every address is refused. `dtmf_payload_type` is the number in our offers."""

    networks: tuple[Network, ...] = ()
    laws: tuple[Law, ...] = (Law.ULAW, Law.ALAW)
    security: MediaSecurity = MediaSecurity.PLAIN
    ptime_ms: int = 20
    has_dtmf: bool = True
    dtmf_payload_type: int = 101
    offers_rtcp_mux: bool = False
    prefers_own_order: bool = False
    """In answers the peer's order of codecs counts, unless this is set."""


@dataclass(frozen=True, slots=True)
class AudioStream:
    """What a peer said of its audio. `laws` and `dtmf` hold the peer's payload types, in its order;
    `remote` is None for the hold of RFC 2543."""

    index: int
    media: Media
    laws: dict[int, Law]
    dtmf: tuple[int, ...]
    remote: Address | None
    rtcp: Address | None
    direction: Direction
    ptime_ms: int
    is_secure: bool
    is_rtcp_mux: bool
    cryptos: tuple[Crypto, ...] = field(repr=False)


def read_stream(description: Description, index: int, policy: AudioPolicy) -> AudioStream:
    """Read the audio of one m= line whose port is not 0. Raises SdpError, NotAcceptableError,
    MediaAddressError."""
    media = description.media[index]
    if media.protocol not in (AVP, SAVP):
        raise NotAcceptableError(f"the profile {media.protocol[:32]!r} is not for telephones")
    is_secure = media.protocol == SAVP
    if policy.security is not MediaSecurity.EITHER and is_secure is not (
        policy.security is MediaSecurity.SECURE
    ):
        wanted = "SRTP" if policy.security is MediaSecurity.SECURE else "RTP without encryption"
        raise NotAcceptableError(f"this trunk takes only {wanted}")
    laws, dtmf = _payload_types(media, policy)
    if not laws:
        raise NotAcceptableError("no codec in common")
    remote = _remote(description, media, policy)
    is_mux = bool(media.values("rtcp-mux"))
    return AudioStream(
        index,
        media,
        laws,
        dtmf,
        remote,
        None if is_mux or remote is None else _rtcp(media, remote, policy),
        _direction(description, media),
        _ptime(media, policy),
        is_secure,
        is_mux,
        _cryptos(media) if is_secure else (),
    )


def _payload_types(media: Media, policy: AudioPolicy) -> tuple[dict[int, Law], tuple[int, ...]]:
    """The payload types of use, in the peer's order."""
    maps = _maps(media)
    laws: dict[int, Law] = {}
    dtmf: list[int] = []
    for text in media.formats:
        if not text.isascii() or not text.isdigit() or len(text) > 3 or int(text) > _MAX_TYPE:
            raise SdpError("a payload type is no number up to 127")
        number = int(text)
        name = maps.get(number)
        law = _STATIC.get(number) if name is None else LAWS.get(name)
        if law is not None and law in policy.laws:
            laws.setdefault(number, law)
        elif name == TELEPHONE_EVENT.upper() and policy.has_dtmf:
            dtmf.append(number)
    return laws, tuple(dtmf)


def _maps(media: Media) -> dict[int, str]:
    """What `a=rtpmap` says, for encodings of 8 kHz and one channel; others have an empty name."""
    found: dict[int, str] = {}
    for value in media.values("rtpmap"):
        number, _, encoding = value.strip().partition(" ")
        if not number.isascii() or not number.isdigit() or len(number) > 3:
            raise SdpError("an rtpmap is malformed")
        name, *rest = encoding.strip().split("/")
        is_ours = rest in (["8000"], ["8000", "1"])
        found.setdefault(int(number), name.upper() if is_ours else "")
    return found


def _remote(description: Description, media: Media, policy: AudioPolicy) -> Address | None:
    host = media.address or description.address
    if host is None:
        raise SdpError("the description says nowhere where media goes")
    if _is_nowhere(host):
        return None
    return _checked(host, policy), media.port


def _is_nowhere(host: str) -> bool:
    """Whether media is to go nowhere: the unspecified address (RFC 3264 section 8.4), or a name
    that cannot exist, as peers with IPv6 write it."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return f".{host.lower()}".endswith(".invalid")


def _checked(host: str, policy: AudioPolicy) -> str:
    """An address as text in its normal form, once it was found allowed."""
    if not is_within(host, policy.networks):
        raise MediaAddressError(f"media at {host[:64]!r} is outside the trunk's networks")
    return str(ip_address(host))


def _rtcp(media: Media, remote: Address, policy: AudioPolicy) -> Address | None:
    """Where RTCP goes: `a=rtcp` (RFC 3605), else the next port; nowhere when that is outside the
    trunk's networks, since relays leave addresses in it that they change elsewhere."""
    for value in media.values("rtcp"):
        parts = value.split()
        if len(parts) not in (1, 4) or not parts[0].isascii() or not parts[0].isdigit():
            raise SdpError("an rtcp attribute is malformed")
        if len(parts[0]) > 5 or int(parts[0]) > MAX_PORT:
            raise SdpError("an rtcp attribute has no port")
        host = parts[3] if len(parts) == 4 else remote[0]
        if not int(parts[0]) or not is_within(host, policy.networks):
            return None
        return str(ip_address(host)), int(parts[0])
    return (remote[0], remote[1] + 1) if remote[1] < MAX_PORT else None


def _direction(description: Description, media: Media) -> Direction:
    """The peer's direction: the medium's own, else the session's."""
    for attributes in (media.attributes, description.attributes):
        for each in attributes:
            if each.value is None and each.name in _DIRECTIONS:
                return _DIRECTIONS[each.name]
    return Direction.SENDRECV


def _ptime(media: Media, policy: AudioPolicy) -> int:
    """How long our packets are: the peer's wish if we can, never above its maxptime."""
    wished = _milliseconds(media, "ptime")
    longest = _milliseconds(media, "maxptime") or max(PERIODS)
    ours = wished if wished in PERIODS else policy.ptime_ms
    if ours <= longest:
        return ours
    fitting = [each for each in PERIODS if each <= longest]
    if not fitting:
        raise NotAcceptableError(f"packets of {longest} ms are too short for us")
    return max(fitting)


def _milliseconds(media: Media, name: str) -> int | None:
    """A whole number of milliseconds; fractions are cut, nonsense is as if not said."""
    for value in media.values(name):
        whole = value.strip().partition(".")[0]
        if whole.isascii() and whole.isdigit() and len(whole) <= 5 and int(whole):
            return int(whole)
    return None


def _cryptos(media: Media) -> tuple[Crypto, ...]:
    lines = media.values("crypto")
    if len(lines) > _MAX_CRYPTO:
        raise SdpError(f"more than {_MAX_CRYPTO} crypto lines")
    return tuple(found for each in lines if (found := parse_crypto(each)) is not None)
