"""How much each shop may have rendered just to look at it."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final, TypeVar

from gateway.errors import Refusal

_K = TypeVar("_K")
_V = TypeVar("_V")

SHOPS_KEPT: Final = 10_000
SEEN_KEPT: Final = 10_000


class Quota:
    """`per_minute` different texts a shop, as many of them at once; what was rendered is free."""

    def __init__(self, per_minute: int) -> None:
        self._most = float(per_minute)
        self._left: OrderedDict[int, tuple[float, float]] = OrderedDict()
        self._seen: OrderedDict[tuple[int, bytes], None] = OrderedDict()

    def take(self, shop: int, text: bytes, now: float) -> bool:
        """Count a text of a shop, by a digest, and return True, unless it was counted already.

        `now` is monotonic. Raises Refusal `over-limit`.
        """
        if (shop, text) in self._seen:
            self._seen.move_to_end((shop, text))
            return False
        left, at = self._left.get(shop, (self._most, now))
        left = min(left + (now - at) * self._most / 60.0, self._most)
        if left < 1.0:
            raise Refusal(
                "over-limit",
                f"A shop may hear {self._most:.0f} new previews a minute.",
                retry_after_s=math.ceil((1.0 - left) * 60.0 / self._most),
            )
        _put(self._left, shop, (left - 1.0, now), SHOPS_KEPT)
        _put(self._seen, (shop, text), None, SEEN_KEPT)
        return True

    def forget(self, shop: int, text: bytes) -> None:
        """The text was not rendered, though it was tried: another try counts anew."""
        self._seen.pop((shop, text), None)

    def give_back(self, shop: int, text: bytes) -> None:
        """Nothing was done for the text that was counted: it is as if nobody had asked."""
        self.forget(shop, text)
        if (known := self._left.get(shop)) is not None:
            left, at = known
            self._left[shop] = (min(left + 1.0, self._most), at)


def _put(kept: OrderedDict[_K, _V], key: _K, value: _V, most: int) -> None:
    """Keep a value, and let the one go that was not touched for longest."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
