"""Session descriptions, read and written (RFC 8866).

Any octet survives: text is read and written as latin-1. Lines may end in LF alone, as the RFC asks
readers to accept. What offers mean is in `sdp_offer`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from protocols.sip.errors import FieldError, SipError

MAX_BYTES: Final = 8_192
MAX_LINES: Final = 256
MAX_LINE_BYTES: Final = 1_024
MAX_MEDIA: Final = 16
MAX_FORMATS: Final = 64
MAX_PORT: Final = 65_535

_DIGITS: Final = frozenset("0123456789")


class SdpError(SipError):
    """A body that is no session description. `status_hint` is 400."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """`a=name` or `a=name:value`; None where there is no colon."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Line o=: with `version` counting, a peer knows a changed description from a repeated one."""

    username: str
    session_id: int
    version: int
    address: str


@dataclass(frozen=True, slots=True)
class Media:
    """One m= line with what belongs to it. `address` is its own c= line, if any; port 0 means
    refused."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    address: str | None = None
    attributes: tuple[Attribute, ...] = ()

    def values(self, name: str) -> list[str]:
        """The values of all attributes of that name; empty ones for those without."""
        return [each.value or "" for each in self.attributes if each.name == name]


@dataclass(frozen=True, slots=True)
class Description:
    """A whole description."""

    origin: Origin
    address: str | None = None
    media: tuple[Media, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    name: str = "-"


@dataclass(slots=True)
class _Section:
    """What belongs to the session, or to one m= line, while lines are read."""

    head: str = ""
    address: str | None = None
    attributes: list[Attribute] = field(default_factory=list)


def parse(data: bytes) -> Description:
    """Read a description. Raises SdpError."""
    sections = [_Section()]
    origin: Origin | None = None
    name = "-"
    for kind, value in _lines(data):
        match kind:
            case "m":
                if len(sections) > MAX_MEDIA:
                    raise SdpError(f"more than {MAX_MEDIA} media")
                sections.append(_Section(value))
            case "a":
                attribute, colon, rest = value.rstrip(" \t").partition(":")
                sections[-1].attributes.append(Attribute(attribute, rest if colon else None))
            case "c":
                sections[-1].address = sections[-1].address or _connection(value)
            case "o":
                origin = origin or _origin(value)
            case "s":
                name = value or "-"
    if origin is None:
        raise SdpError("the description has no origin")
    session = sections[0]
    media = tuple(_media(each) for each in sections[1:])
    return Description(origin, session.address, media, tuple(session.attributes), name)


def _lines(data: bytes) -> list[tuple[str, str]]:
    """The lines as pairs of letter and value; the first is v=0."""
    if len(data) > MAX_BYTES:
        raise SdpError(f"more than {MAX_BYTES} octets")
    lines = data.decode("latin-1").replace("\r\n", "\n").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > MAX_LINES:
        raise SdpError(f"more than {MAX_LINES} lines")
    found = []
    for line in lines:
        if len(line) > MAX_LINE_BYTES or line[1:2] != "=" or not "a" <= line[0] <= "z":
            raise SdpError("a line is no letter with a value, or too long")
        if "\r" in line or "\0" in line:
            raise SdpError("a line holds a character that cannot be there")
        found.append((line[0], line[2:]))
    if not found or found[0] != ("v", "0"):
        raise SdpError("a description begins with v=0")
    return found


def _number(text: str, greatest: int, what: str) -> int:
    if not text or len(text) > 20 or not _DIGITS.issuperset(text) or int(text) > greatest:
        raise SdpError(f"{what} is no number that can be there")
    return int(text)


def _origin(value: str) -> Origin:
    parts = value.split(" ")
    if len(parts) != 6 or not all(parts):
        raise SdpError("the origin has not six parts")
    limit = (1 << 64) - 1
    ids = [_number(each, limit, "a number of the origin") for each in parts[1:3]]
    return Origin(parts[0], ids[0], ids[1], parts[5])


def _connection(value: str) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[0] != "IN" or parts[1] not in ("IP4", "IP6"):
        raise SdpError("the connection is no Internet address")
    return parts[2].partition("/")[0]


def _media(section: _Section) -> Media:
    if not section.head.isprintable():
        raise SdpError("a medium holds a character that cannot be there")
    parts = section.head.split()
    if len(parts) < 4 or len(parts) > 3 + MAX_FORMATS:
        raise SdpError("a medium has too few parts or too many")
    port, _, count = parts[1].partition("/")
    if count:
        _number(count, MAX_PORT, "a count of ports")
    return Media(
        parts[0].lower(),
        _number(port, MAX_PORT, "a port"),
        parts[2],
        tuple(parts[3:]),
        section.address,
        tuple(section.attributes),
    )


# Writing ------------------------------------------------------------------------------------------


def build(description: Description) -> bytes:
    """Write a description. Raises FieldError for anything that would make other lines or parts than
    meant."""
    origin = description.origin
    lines = [
        "v=0",
        f"o={_token(origin.username)} {origin.session_id} {origin.version}"
        f" {_address(origin.address)}",
        f"s={_text(description.name)}",
    ]
    if description.address is not None:
        lines.append(f"c={_address(description.address)}")
    lines.append("t=0 0")
    lines += map(_attribute, description.attributes)
    for media in description.media:
        if not 0 <= media.port <= MAX_PORT or not media.formats:
            raise FieldError("a medium needs a port and formats")
        formats = " ".join(map(_token, media.formats))
        lines.append(f"m={_token(media.kind)} {media.port} {_token(media.protocol)} {formats}")
        if media.address is not None:
            lines.append(f"c={_address(media.address)}")
        lines += map(_attribute, media.attributes)
    try:
        return ("\r\n".join(lines) + "\r\n").encode("latin-1")
    except UnicodeEncodeError:
        raise FieldError("a description holds a character beyond latin-1") from None


def _attribute(attribute: Attribute) -> str:
    name = _token(attribute.name)
    if ":" in name:
        raise FieldError("the name of an attribute has no colon")
    return f"a={name}" if attribute.value is None else f"a={name}:{_text(attribute.value)}"


def _text(value: str) -> str:
    if any(each in value for each in "\r\n\0") or not value:
        raise FieldError("a value of a description is empty or more than a line")
    return value


def _token(value: str) -> str:
    if not value or not value.isprintable() or " " in value:
        raise FieldError("a word of a description is empty or more than a word")
    return value


def _address(value: str) -> str:
    try:
        return f"IN IP{ip_address(value).version} {value}"
    except ValueError:
        raise FieldError("an address of ours is no IP address") from None
