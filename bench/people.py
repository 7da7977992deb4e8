"""Who writes to whom in the benchmarks: sample shops, and phones that are nobody's.

555-0100 to 555-0199 are kept for fiction in every area code; those with a meaning for the simulated
SMSC (0110 to 0129) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_LINES: Final = [n for n in range(100) if not 10 <= n < 30]
_ABROAD: Final = frozenset(
    (242, 246, 264, 268, 284, 345, 441, 473, 649, 658, 664, 670, 671, 684)
    + (721, 758, 767, 784, 809, 829, 849, 868, 869, 876)
)
_PREMIUM: Final = 900
_AREAS: Final = [n for n in range(201, 990) if n not in _ABROAD and n != _PREMIUM]
PHONES: Final = len(_LINES) * len(_AREAS)

KNOWN: Final = 3_000
"""How many phones the shops' known contacts have: each is texted once while warming up."""


@dataclass(frozen=True)
class Sender:
    """A shop as the driver sees it: its code and its API key."""

    code: str
    key: str


def phone(n: int, is_new: bool) -> str:
    """The phone of message `n`: one of the known contacts', or one that no earlier message went to,
    as far as there are any.
    """
    line, area = divmod(KNOWN + n if is_new else n % KNOWN, len(_AREAS))
    return f"+1{_AREAS[area]}55501{_LINES[line % len(_LINES)]:02d}"


def text(n: int) -> str:
    """A text of 100 characters that no other message has."""
    words = f"Sample Bridal: order {n:08d} is ready for pickup. We are open until six."
    return f"{words} Reply STOP to end texts.".ljust(100, ".")


def body_of(n: int, is_new: bool) -> bytes:
    """The JSON of message `n`, as a shop's program posts it."""
    return (
        b'{"category":"transactional","source":"automation","contact":{"kind":"customer",'
        b'"id":"C%d","name":"Sample Customer","primary_phone":"%b","sms_alerts":"SMS OK"},'
        b'"text":"%b","reference":"todo-%d"}'
    ) % (n % KNOWN, phone(n, is_new).encode(), text(n).encode(), n)
