"""Who calls: the Bearer key of a request, and the shop that it may speak for."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from gateway.api.context import ApiContext
from gateway.api.problems import invalid, no_such
from gateway.errors import Fault, Refusal
from gateway.store.directory import Shop

_SCHEME = "Bearer "


@dataclass(slots=True)
class Caller:
    """The holder of a valid key. `shop` None: an admin key, for all shops."""

    shop: Shop | None

    @property
    def shop_id(self) -> int | None:
        """The one shop whose things the caller may see, or None for all."""
        return None if self.shop is None else self.shop.id


ADMIN = Caller(None)


def identify(context: ApiContext, request: web.Request) -> Caller:
    """The caller of a request. Raises Refusal `unauthorized`."""
    return caller_of(context, request.headers.get("Authorization", ""))


def caller_of(context: ApiContext, header: str) -> Caller:
    """The caller who sends this Authorization header.

    Raises Refusal `unauthorized`, for whichever reason in the same words.
    """
    if header.startswith(_SCHEME) or header[:7].lower() == "bearer ":
        key = context.directory.key(header[7:].strip())
        if key is not None:
            if key.shop is None:
                return ADMIN
            shop = context.directory.shop_by_id(key.shop)
            if shop is not None:
                return Caller(shop)
    raise Refusal("unauthorized", "The request carries no valid key.")


def named_shop(context: ApiContext, caller: Caller, code: str | None) -> Shop | None:
    """The shop that a request is about: the one of the caller's key, or the one that an admin
    names; None for an admin who names none.

    Raises Refusal `not-found` for any other than the caller's own, whether it exists or not.
    """
    if caller.shop is not None:
        if code is not None and code != caller.shop.code:
            raise no_such("shop", "shop", "leave it out: the key says which shop it is")
        return caller.shop
    if code is None:
        return None
    shop = context.directory.shop(code)
    if shop is None:
        raise no_such("shop", "shop", "`gateway shop list` shows all of them")
    return shop


SHOP_MISSING = Fault("shop", "is missing", "an admin key has no shop of its own: name one")


def required_shop(context: ApiContext, caller: Caller, code: str | None) -> Shop:
    """The same, where a shop must be named."""
    shop = named_shop(context, caller, code)
    if shop is None:
        raise invalid([SHOP_MISSING])
    return shop
