"""Who calls and who is called, as a trunk wants it written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.settings import TrunkSettings
from gateway.phone import is_e164
from protocols.sip.call import Identity
from protocols.sip.fields import NameAddr
from protocols.sip.message import Request
from protocols.sip.uri import Uri

_ANONYMOUS: Final = "anonymous"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a call says it comes from. All empty: what the trunk's settings say."""

    number: str = ""
    """E.164."""
    name: str = ""
    diverted_by: str = ""
    """E.164: whose call is passed on."""


def write_number(e164: str, form: str, country_code: str) -> str:
    """A number as the trunk wants it; one of another country keeps its code in national form."""
    digits = e164.removeprefix("+")
    if form == "+e164":
        return f"+{digits}"
    if form == "national" and digits.startswith(country_code):
        return digits.removeprefix(country_code)
    return digits


def read_number(text: str, country_code: str) -> str:
    """A number from a trunk in E.164 form, however it wrote it; empty for what is none."""
    digits = text.removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        return ""
    candidates = [f"+{digits}"] if text.startswith("+") else _guesses(digits, country_code)
    return next((each for each in candidates if is_e164(each)), "")


def _guesses(digits: str, country_code: str) -> list[str]:
    """Without a plus sign: a North American number of ten digits is national, longer ones begin
    with their country code; elsewhere a leading 0 marks the national form."""
    if digits.startswith("00"):
        return [f"+{digits[2:]}"]
    if country_code == "1":
        return [f"+1{digits}" if len(digits) == 10 else f"+{digits}"]
    if digits.startswith("0"):
        return [f"+{country_code}{digits[1:]}"]
    if digits.startswith(country_code):
        return [f"+{digits}"]
    return [f"+{country_code}{digits}"]


class Identities:
    """Writes the addresses of one trunk's calls."""

    def __init__(self, settings: TrunkSettings) -> None:
        self._settings = settings
        self._domain = _in_brackets(settings.serving_domain)

    def called(self, e164: str) -> Uri:
        """Whom to call."""
        settings = self._settings
        return self._uri(write_number(e164, settings.number_format, settings.country_code))

    def own(self) -> NameAddr:
        """The trunk itself: who registers and asks for signs of life."""
        return NameAddr(Uri.sip(self._settings.user or "gateway", self._domain))

    def sender(self, caller: Caller) -> NameAddr:
        """From."""
        settings = self._settings
        number = caller.number or settings.caller_number
        name = caller.name or settings.caller_name
        if settings.from_user == "account":
            return NameAddr(Uri.sip(settings.user, self._domain), name)
        if not number:
            return NameAddr(Uri.sip(settings.user or _ANONYMOUS, self._domain), name)
        return NameAddr(self._uri(self._caller(number)), name)

    def headers(self, caller: Caller) -> list[tuple[str, str]]:
        """What goes beside From: P-Asserted-Identity and Diversion. Raises FieldError for a name
        that cannot be written."""
        settings = self._settings
        number = caller.number or settings.caller_number
        fields: list[tuple[str, str]] = []
        if settings.asserted_identity and number:
            name = caller.name or settings.caller_name
            asserted = NameAddr(self._uri(self._caller(number)), name)
            fields.append(("P-Asserted-Identity", str(asserted)))
        if settings.diversion and caller.diverted_by:
            diverted = NameAddr(
                self._uri(self._caller(caller.diverted_by)),
                params={"reason": "unconditional"},
            )
            fields.append(("Diversion", str(diverted)))
        return fields

    def wanted(self, request: Request, contact_user: str) -> str:
        """Whom a caller wants: of a call to our registered contact To says it."""
        code = self._settings.country_code
        if request.uri.user_text not in (contact_user, ""):
            return read_number(request.uri.number, code) or request.uri.user_text
        return read_number(request.to.uri.number, code) or request.to.uri.user_text

    def caller(self, identity: Identity) -> Caller:
        """Who calls us, as far as numbers can be read."""
        code = self._settings.country_code
        shown = identity.asserted[0] if identity.asserted else identity.from_
        diverted = identity.diversions[0].uri.number if identity.diversions else ""
        return Caller(
            read_number(shown.uri.number, code),
            identity.from_.display,
            read_number(diverted, code),
        )

    def _caller(self, e164: str) -> str:
        settings = self._settings
        return write_number(e164, settings.caller_format, settings.country_code)

    def _uri(self, user: str) -> Uri:
        params: dict[str, str | None] = {"user": "phone"} if self._settings.user_phone else {}
        return Uri.sip(user, self._domain, params=params)


def _in_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
