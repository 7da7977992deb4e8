"""Header names and the ordered headers of a message (RFC 3261 section 7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from protocols.sip.errors import FieldError
from protocols.sip.grammar import check, is_token

COMPACT: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""Compact forms, by the IANA registry of SIP header fields."""

_UNUSUAL: Final = (
    *("Call-ID", "CSeq", "MIME-Version", "Min-SE", "P-Asserted-Identity", "RAck", "RSeq"),
    *("SIP-ETag", "SIP-If-Match", "WWW-Authenticate"),
)
_CANONICAL: Final = {name.lower(): name for name in _UNUSUAL} | COMPACT

SINGLE: Final = frozenset(
    {"From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type"}
    | {"Expires", "Min-Expires", "Session-Expires", "Min-SE", "RSeq", "RAck", "Event", "Refer-To"}
)
"""Headers that a message has at most once."""


def canonical(name: str) -> str:
    """The one spelling under which a header is kept: compact forms spelt out, words
    capitalised."""
    lower = name.lower()
    known = _CANONICAL.get(lower)
    if known is None:
        known = "-".join(word.capitalize() for word in lower.split("-"))
        if len(_CANONICAL) < 512:  # what peers invent is not remembered without end
            _CANONICAL[lower] = known
    return known


class Headers:
    """Names and values in order. Lookups take the canonical spelling; what is added by us is
    checked, so that no value can hold a line end."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items: list[tuple[str, str]] = []
        for name, value in items:
            self.add(name, value)

    @classmethod
    def received(cls, items: list[tuple[str, str]]) -> Headers:
        """Headers that the parser has looked at; names canonical."""
        headers = cls.__new__(cls)
        headers._items = items
        return headers

    def get(self, name: str) -> str | None:
        """The first value."""
        for known, value in self._items:
            if known == name:
                return value
        return None

    def get_all(self, name: str) -> list[str]:
        return [value for known, value in self._items if known == name]

    def add(self, name: str, value: str) -> None:
        """Raises FieldError for a name that is no token and a value with control characters."""
        if not is_token(name):
            raise FieldError("a header name is no token")
        self._items.append((canonical(name), check(value)))

    def add_all(self, name: str, values: Iterable[str]) -> None:
        for value in values:
            self.add(name, value)

    def set(self, name: str, value: str) -> None:
        """Replace what there is of `name`, at the place of the first. Raises FieldError as `add`
        does."""
        name = canonical(name)
        where = next((i for i, (known, _) in enumerate(self._items) if known == name), None)
        self.add(name, value)
        if where is not None:
            item = self._items.pop()
            self.remove(name)
            self._items.insert(where, item)

    def set_first(self, name: str, value: str) -> None:
        """Replace only the first value of `name`."""
        for i, (known, _) in enumerate(self._items):
            if known == name:
                self._items[i] = (name, check(value))
                return
        self.add(name, value)

    def remove(self, name: str) -> None:
        self._items = [item for item in self._items if item[0] != name]

    def copy(self) -> Headers:
        return Headers.received(list(self._items))

    def __contains__(self, name: object) -> bool:
        return any(known == name for known, _ in self._items)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
