"""Message ids as carriers write them, twice and differently.

A submit_sm_resp and the receipt that follows name the same message in decimal here and
hexadecimal there, with or without leading zeros, in capitals or not, a UUID with or without
dashes. SMPP v3.4 §5.2.23 says only that an id is up to 65 octets of text.
"""

from __future__ import annotations

import re
from typing import Final

from protocols.sms.receipts import MAX_ID_LENGTH

_DECIMAL: Final = re.compile("[0-9]{1,20}")
_HEXADECIMAL: Final = re.compile("[0-9a-f]{1,20}")
_UUID: Final = re.compile("[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_BARE_UUID: Final = re.compile("[0-9a-f]{32}")


def normal_form(message_id: str) -> str:
    """The form to store a submit_sm_resp's id in: lower case, no leading zeros or "0x".

    At most 65 characters; never empty unless `message_id` is blank.
    """
    lowered = message_id.strip().lower()[:MAX_ID_LENGTH]
    return lowered.removeprefix("0x").lstrip("0") or lowered[-1:]


def id_forms(message_id: str) -> tuple[str, ...]:
    """The normal forms, likeliest first, that the id of a receipt may be stored under; 1 to 3.

    They are the id itself, its digits read as decimal and written as hexadecimal, and the other
    way round (up to 20 digits); of a UUID the form with and without dashes.
    Example: a receipt for "2587" looks under "2587", "a1b" and "9607".
    """
    form = normal_form(message_id)
    forms = [form]
    if _DECIMAL.fullmatch(form):
        forms.append(format(int(form), "x"))
    if _HEXADECIMAL.fullmatch(form):
        forms.append(str(int(form, 16)))
    lowered = message_id.strip().lower()
    if _UUID.fullmatch(lowered):
        forms.append(normal_form(lowered.replace("-", "")))
    elif _BARE_UUID.fullmatch(lowered):
        ends = (0, 8, 12, 16, 20, 32)
        dashed = "-".join(lowered[a:b] for a, b in zip(ends, ends[1:], strict=False))
        forms.append(normal_form(dashed))
    return tuple(dict.fromkeys(forms))
