"""The send request, as every entrance hands it in: HTTP today, others later."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from config.speech import SpokenLanguage

Label = Annotated[str, msgspec.Meta(max_length=200)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]

Kind = Literal["customer", "prospect", "appointment", "member"]


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A person as ProfitSystem knows them. `sms_alerts`: blank or `SMS OK` agrees, `No SMS`
    refuses, else a carrier's name.
    """

    kind: Kind = "customer"
    id: Label = ""
    name: Label = ""
    primary_phone: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    sms_alerts: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    time_zone: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class Voice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a spoken message. `language`: None for the shop's."""

    voicemail: Literal["leave", "skip"] = "leave"
    language: SpokenLanguage | None = None


class SendRequest(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"sender": "from"}
):
    """One message to one person. Either `to` or `contact` names the phone. Times carry a zone (RFC
    3339).
    """

    text: Text
    shop: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    channel: Literal["auto", "sms", "email", "voice"] = "auto"
    category: Literal["transactional", "marketing"] = "transactional"
    source: Label | None = None
    sender: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    to: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    contact: Contact | None = None
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    idempotency_key: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    send_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    voice: Voice | None = None
    fallback: list[Literal["sms", "voice", "email"]] = []
