"""Requests that are too large for a datagram go over TCP (RFC 3261 section 18.1.1)."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

LARGE_BYTES: Final = 1_300
"""Over this a request must not go by UDP where the path's MTU is not known."""
REFUSED_S: Final = 86_400.0
"""How long a peer that takes no TCP gets its large requests by UDP."""
_REMEMBERED: Final = 1_024
_BRANCH: Final = re.compile(rb"\r\n(?:via|v)[ \t]*+:[^\r\n]*;branch=([^;,\s]+)", re.I)
_VIA: Final = re.compile(rb"(\r\nVia: SIP/2\.0/)UDP( )")


def over_tcp(data: bytes) -> bytes:
    """The request with TCP in its top Via, which is ours."""
    return _VIA.sub(rb"\1TCP\2", data, count=1)


class LargeRequests:
    """Decides for each message on its way by UDP. The ACK and the CANCEL of a request have its
    branch and follow it."""

    def __init__(self) -> None:
        self._branches: OrderedDict[bytes, None] = OrderedDict()
        self._refusers: OrderedDict[tuple[str, int], float] = OrderedDict()

    def belongs_on_tcp(self, data: bytes, address: tuple[str, int], now: float) -> bool:
        """Whether a message goes over TCP instead."""
        if data[:4] == b"SIP/":
            return False
        found = _BRANCH.search(data)
        branch = found.group(1) if found is not None else b""
        if branch in self._branches:
            return True
        if len(data) <= LARGE_BYTES or self._refusers.get(address, 0.0) > now:
            return False
        self._branches[branch] = None
        if len(self._branches) > _REMEMBERED:
            self._branches.popitem(last=False)
        return True

    def refused(self, data: bytes, address: tuple[str, int], now: float) -> None:
        """The peer takes no TCP: this request and those to come go by UDP after all."""
        found = _BRANCH.search(data)
        if found is not None:
            self._branches.pop(found.group(1), None)
        self._refusers[address] = now + REFUSED_S
        if len(self._refusers) > _REMEMBERED:
            self._refusers.popitem(last=False)
