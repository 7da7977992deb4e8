"""What groups of settings share: how they behave, and the kinds of values that several have."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=604_800)]
"""More than nothing, at most a week."""
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]*\Z", max_length=253)]
"""A host name or an address; IPv6 without brackets."""
Region = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
"""ISO 3166-1 alpha-2, capital letters."""
Ton = Annotated[int, Meta(ge=0, le=6)]
"""Type of number, SMPP v3.4 section 5.2.5."""
Npi = Annotated[int, Meta(ge=0, le=18)]
"""Numbering plan indicator, SMPP v3.4 section 5.2.6."""

SECRETS = frozenset({"password", "database_url", "openai_api_key"})
"""Keys whose value is never shown; each may be given as `KEY_file` instead."""

_HIDDEN = SECRETS | {"plugins"}
"""What plugins are told may be secret too."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; immutable, so that no part of the gateway can change another's."""

    def __repr__(self) -> str:
        shown = (
            f"{name}={'***' if name in _HIDDEN and value else repr(value)}"
            for name, value in msgspec.structs.asdict(self).items()
        )
        return f"{type(self).__name__}({', '.join(shown)})"
