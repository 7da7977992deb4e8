"""From a PDU of an ESME to the send request that HTTP would have brought, or to its refusal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal

from config.settings import SmsSettings
from gateway.dispatch.request import SendRequest
from gateway.model import Category
from gateway.phone import PhoneError, normalize
from gateway.store.directory import Shop
from gateway.store.esmes import Esme
from protocols.errors import RemoteProtocolError
from protocols.smpp import Message, times
from protocols.smpp import status as s
from protocols.sms import gsm7
from protocols.sms.reassembly import Part, read

Kind = Literal["transactional", "marketing"]

SERVICE_TYPES: Final[dict[str, Kind]] = {
    "MKT": "marketing",
    "TXN": "transactional",
}
"""What service_type says of a text's category; any other leaves it to the account."""

GSM_DEFAULT: Final = 0
LATIN_1: Final = 3
_TEXT_CODINGS: Final = frozenset({0, 1, 3, 5, 6, 7, 8, 10, 13, 14})
_CLASS_GROUPS: Final = range(0xC0, 0x100)
_EIGHT_BIT_CLASS: Final = 0xF4
_TYPE_BITS: Final = 0x3C
_TON_NATIONAL: Final = 2
_TON_ALPHANUMERIC: Final = 5
TEXT_MAX: Final = 10_000


class Refused(Exception):
    """A submission that cannot be a message: answered with this command_status."""

    def __init__(self, status: int) -> None:
        super().__init__(s.describe(status))
        self.status = status


@dataclass(frozen=True, slots=True)
class Envelope:
    """Everything of a submission but its text."""

    sender: str | None
    category: Kind
    send_at: datetime | None
    expires_at: datetime | None


def read_part(message: Message, esme: Esme) -> Part:
    """The text, or part of one, that a submission brings. Raises Refused for what is no text."""
    if message.esm_class & _TYPE_BITS:
        raise Refused(s.ESME_RINVESMCLASS)
    if message.replace_if_present:
        raise Refused(s.ESME_RINVREPFLAG)
    if message.default_id:
        raise Refused(s.ESME_RINVDFTMSGID)
    coding = message.data_coding
    is_class = coding in _CLASS_GROUPS and coding & 0xFC != _EIGHT_BIT_CLASS
    if coding not in _TEXT_CODINGS and not is_class:
        raise Refused(s.ESME_RINVDCS)
    if coding == GSM_DEFAULT and esme.options.alphabet == "latin1":
        coding = LATIN_1
    return read(message.payload, message.esm_class, coding, message.tlvs)


def read_envelope(
    message: Message, esme: Esme, shop: Shop, sms: SmsSettings, now_ms: int
) -> Envelope:
    """The rest of a submission. Raises Refused."""
    send_at = expires_at = None
    default: Kind = "marketing" if esme.category is Category.MARKETING else "transactional"
    if message.schedule or message.validity:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        try:
            send_at = times.parse(message.schedule, now, fault=s.ESME_RINVSCHED)
            expires_at = times.parse(message.validity, now)
        except RemoteProtocolError as fault:
            raise Refused(fault.status_hint) from None
    return Envelope(
        sender_of(message.source_ton, message.source, shop, sms),
        SERVICE_TYPES.get(message.service_type, default),
        send_at,
        expires_at,
    )


def send_request(envelope: Envelope, to: str, text: str, system_id: str) -> SendRequest:
    """What Acceptance is given. Raises Refused for a text that no request may have."""
    if not 1 <= len(text) <= TEXT_MAX:
        raise Refused(s.ESME_RINVMSGLEN)
    return SendRequest(
        text=text,
        category=envelope.category,
        source=f"smpp {system_id}",
        sender=envelope.sender,
        to=to,
        send_at=envelope.send_at,
        expires_at=envelope.expires_at,
    )


def text_of(part: Part) -> str:
    """The text of a submission that holds all of it."""
    return gsm7.decode(part.text_bytes, part.data_coding)


def sender_of(ton: int, address: str, shop: Shop, sms: SmsSettings) -> str | None:
    """The shop's number that an ESME names as source; None where it names none. Raises Refused."""
    given = address.strip()
    if not given:
        return None
    own = {number.number for number in shop.numbers}
    for form in _sender_forms(ton, given, sms.default_region, sms.countries):
        if form in own:
            return form
    raise Refused(s.ESME_RINVSRCADR)


@lru_cache(maxsize=4096)
def _sender_forms(ton: int, given: str, region: str, countries: tuple[str, ...]) -> tuple[str, ...]:
    """What a source address may mean, the likeliest first."""
    read_ = phone_of(ton, given, region, countries)
    return (given, *((read_,) if read_ else ()))


@lru_cache(maxsize=65_536)
def phone_of(ton: int, address: str, region: str, countries: tuple[str, ...]) -> str | None:
    """An address as E.164, or None where it is no number that may be texted.

    Digits are believed before the type of number (SMPP v3.4 section 5.2.5), which many programs
    leave at 0: international and national reading, the likelier one first.
    """
    given = address.strip()
    if ton == _TON_ALPHANUMERIC or not given or any(c.isalpha() for c in given):
        return None
    digits = "".join(c for c in given if c in "0123456789")
    forms = [f"+{digits}", digits]
    if given.startswith("+"):
        forms.pop()
    elif ton == _TON_NATIONAL:
        forms.reverse()
    for form in forms:
        try:
            return normalize(form, region, countries)
        except PhoneError:
            continue
    return None
