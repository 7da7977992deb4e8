"""Shops' lexicons, read when they speak and kept while they do not change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from gateway.store.lexicon import read_lexicon

if TYPE_CHECKING:
    from gateway.store.database import Database
    from gateway.store.records import Shop

KEPT: Final = 256
"""Lexicons in memory; one of 500 entries takes about 100 KB."""


class Lexicons:
    """The lexicons of the shops that spoke last. The shop's record tells which version counts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[int, tuple[int, Mapping[str, str]]] = OrderedDict()

    async def of(self, shop: Shop) -> Mapping[str, str]:
        """The shop's lexicon. Raises StoreDown when it has to be read and cannot."""
        version = shop.speech.lexicon
        if version == 0:
            return {}
        known = self._known.get(shop.id)
        if known is not None and known[0] >= version:
            self._known.move_to_end(shop.id)
            return known[1]
        entries = await self._database.read(lambda c: read_lexicon(c, shop.id))
        self._known[shop.id] = (version, entries)
        self._known.move_to_end(shop.id)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return entries
