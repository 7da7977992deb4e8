"""In which form a carrier repeats its message ids in receipts, found out from pairs that belong
together."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final

from protocols.sms.message_ids import id_forms, normal_form

_ENOUGH: Final = 5
"""Pairs that agree before a form counts as learned: fewer could be chance."""
_DIGITS: Final = 20


class IdForm(StrEnum):
    """How the id of a receipt becomes that of the response. Leading zeros, capitals and 0x never
    matter: `normal_form` takes them away."""

    AUTO = "auto"
    """Not known: every form is tried."""
    SAME = "same"
    """Both write the same number or text."""
    HEX = "hex"
    """The response is hexadecimal, the receipt decimal."""
    DECIMAL = "decimal"
    """The response is decimal, the receipt hexadecimal."""


class IdLearner:
    """What one link does. Feed it pairs that surely belong together (matched by destination and
    time as well); it remembers the last form that proved itself, and follows a carrier that
    changes."""

    __slots__ = ("_votes", "fixed", "learned")

    def __init__(self, fixed: IdForm | None = None, learned: IdForm | None = None) -> None:
        """`fixed` is a setting and holds whatever is seen, unless it is AUTO; `learned` is what was
        remembered from before."""
        self.fixed = None if fixed is IdForm.AUTO else fixed
        self.learned = learned or IdForm.AUTO
        self._votes: Counter[IdForm] = Counter()

    @property
    def form(self) -> IdForm:
        """The form that holds now."""
        return self.fixed or self.learned

    def observe(self, response_id: str, receipt_id: str) -> bool:
        """A receipt turned out to speak of the message with this submit_sm_resp. Returns whether
        `form` changed, so that it can be stored."""
        seen = _form_of(normal_form(response_id), receipt_id)
        before = self.form
        if seen is IdForm.AUTO:
            return False
        if seen is self.learned:
            self._votes.clear()
            return False
        self._votes[seen] += 1
        if self._votes[seen] >= _ENOUGH:
            self.learned = seen
            self._votes.clear()
        return self.form is not before

    def forms(self, receipt_id: str) -> tuple[str, ...]:
        """The normal forms to look a receipt's id up under, likeliest first. A fixed form gives one
        alone; a learned one comes first, and the others still follow: a carrier's second SMSC may
        have another."""
        found = id_forms(receipt_id)
        form = self.form
        if form is IdForm.AUTO:
            return found
        first = _converted(receipt_id, form)
        if self.fixed is not None:
            return (first or found[0],)
        return found if first is None else tuple(dict.fromkeys((first, *found)))


def _converted(receipt_id: str, form: IdForm) -> str | None:
    """The response's id if this form holds; None where the receipt's id is no such number."""
    written = normal_form(receipt_id)
    if form is IdForm.SAME:
        return written
    if len(written) > _DIGITS or not (written.isascii() and written.isalnum()):
        return None
    try:
        number = int(written, 10 if form is IdForm.HEX else 16)
    except ValueError:
        return None
    return format(number, "x") if form is IdForm.HEX else str(number)


def _form_of(response: str, receipt_id: str) -> IdForm:
    """The one form that makes a pair of these ids; AUTO when none does, or more than one, as with
    numbers under ten."""
    forms = (IdForm.SAME, IdForm.HEX, IdForm.DECIMAL)
    fitting = [form for form in forms if _converted(receipt_id, form) == response]
    return fitting[0] if len(fitting) == 1 else IdForm.AUTO
