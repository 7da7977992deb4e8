"""Mail addresses that may stand in an SMTP command.

Source: RFC 5321 §4.1.2 (Dot-string, Domain) and §4.5.3.1 (64 octets of local part, 254 of the
whole, since a path of 256 includes its brackets). Quoted local parts, address literals, comments
and non-ASCII addresses are not taken: nothing that we send to needs them, and each is a way to
smuggle a second command.
"""

from __future__ import annotations

import re
from typing import Final

from protocols.errors import LocalProtocolError

MAX_ADDRESS: Final = 254
MAX_LOCAL_PART: Final = 64

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>{_LABEL}(?:\.{_LABEL})*)")


def check_address(text: str) -> str:
    """`text` unchanged if it is one plain address: `owner@shop.example`.

    Raises LocalProtocolError with words for the operator; they never repeat the address.
    """
    if len(text) > MAX_ADDRESS:
        raise LocalProtocolError(f"the mail address is longer than {MAX_ADDRESS} characters")
    if not text.isascii():
        raise LocalProtocolError(
            "the mail address has a character outside ASCII: write such a domain in its xn-- form"
        )
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise LocalProtocolError("not a mail address: give one alone, as name@example.com")
    if len(match["local"]) > MAX_LOCAL_PART:
        raise LocalProtocolError(
            f"the mail address has more than {MAX_LOCAL_PART} characters before the @"
        )
    return text


def domain_of(address: str) -> str:
    """The part after the @, in lower case. Raises LocalProtocolError for what is no address."""
    return check_address(address).rpartition("@")[2].lower()
