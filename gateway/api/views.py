"""Messages, timelines and replies as the API shows them."""

from __future__ import annotations

import msgspec

from gateway.dispatch.acceptance import iso
from gateway.dispatch.timeline import Entry
from gateway.dispatch.wording import billed_segments, wording
from gateway.ids import created_ms, show
from gateway.model import Channel, Place
from gateway.store.reading import Part, StoredMessage, StoredReply


class PartView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A segment that was answered; `segment` counts from 1. `error`: the peer's code and words."""

    segment: int
    status: str
    tries: int
    link: str | None = None
    carrier_id: str | None = None
    sent_at: str | None = None
    done_at: str | None = None
    error: str | None = None


class WhereView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where a message waits: `queue`, `later`, `hold` or `flight`, and what for."""

    place: str
    route: str
    due_at: str | None = None
    reason: str | None = None


class MessageView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A message. `where` is there while it, or a part of it, is yet to be sent."""

    id: str
    shop: str
    status: str
    channel: str
    category: str
    sender: str = msgspec.field(name="from")
    to: str
    text: str
    encoding: str | None = None
    segments: int
    created_at: str
    expires_at: str
    send_at: str | None = None
    reason: str | None = None
    reference: str | None = None
    source: str | None = None
    where: WhereView | None = None
    parts: list[PartView] = []
    parent: str | None = None
    children: list[str] = []


class EntryView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that happened to a message."""

    at: str
    kind: str
    text: str
    segment: int | None = None
    id: str | None = None


class Timeline(msgspec.Struct):
    """Everything that happened to a message, in the order of time."""

    id: str
    status: str
    events: list[EntryView]


class MessagePage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Messages, the newest first. `next`: the cursor of the next page, if there may be one."""

    messages: list[MessageView]
    next: str | None = None


class ForwardView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The mail that carries a reply to the shop."""

    id: str
    status: str
    reason: str | None = None


class ReplyView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A customer's text. `missing`: segments, counted from 1, that never came."""

    id: str
    shop: str | None
    sender: str = msgspec.field(name="from")
    to: str
    text: str
    segments: int
    received_at: str
    link: str | None = None
    missing: list[int] = []
    forward: ForwardView | None = None


class ReplyPage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Replies, the oldest first. `next`: give it as `after` next time, also when nothing came."""

    replies: list[ReplyView]
    next: str | None = None


def view_message(message: StoredMessage, now_ms: int, due_ms: int | None = None) -> MessageView:
    """A message as the outside sees it. `due_ms`: when it leaves `later`, if it waits there."""
    state = message.state(now_ms)
    encoding = None
    if message.channel is Channel.SMS:
        encoding = wording(message.encoding).name
    return MessageView(
        id=show("msg", message.id),
        shop=message.shop_code,
        status=state.word,
        channel=message.channel.name.lower(),
        category=message.category.name.lower(),
        sender=message.sender,
        to=message.target,
        text=message.body,
        encoding=encoding,
        segments=billed_segments(message.body, message.encoding, message.segments),
        created_at=iso(created_ms(message.id)),
        expires_at=iso(message.expires_ms),
        send_at=_iso(message.due_ms) if message.born is Place.LATER else None,
        reason=message.reason(state),
        reference=message.reference,
        source=message.source,
        where=_where(message, due_ms),
        parts=[_part(part) for part in message.parts],
        parent=_parent(message),
        children=[show("msg", child) for child in message.children],
    )


def _parent(message: StoredMessage) -> str | None:
    if message.parent is None:
        return None
    return show("rpl" if message.is_forward else "msg", message.parent)


def _where(message: StoredMessage, due_ms: int | None) -> WhereView | None:
    place = message.place()
    if place is Place.STATUS:
        return None
    if place is Place.QUEUE and due_ms is not None:
        return WhereView(place="later", route=message.route, due_at=iso(due_ms))
    return WhereView(
        place=place.name.lower(),
        route=message.route,
        due_at=_iso(message.held_until_ms),
        reason=message.held_for,
    )


def _part(part: Part) -> PartView:
    return PartView(
        segment=part.segment + 1,
        status=part.state.word,
        tries=part.tries,
        link=part.link,
        carrier_id=part.carrier,
        sent_at=_iso(part.sent_ms),
        done_at=_iso(part.done_ms),
        error=part.error,
    )


def _iso(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)


def view_entry(entry: Entry) -> EntryView:
    """A line of a timeline."""
    return EntryView(
        at=iso(entry.at_ms),
        kind=entry.kind,
        text=entry.text,
        segment=entry.segment,
        id=None if entry.event is None else show("evt", entry.event),
    )


def view_reply(reply: StoredReply, now_ms: int) -> ReplyView:
    """A reply, and how its forward to the shop fares."""
    forward = None
    if reply.forward is not None:
        state = reply.forward.state(now_ms)
        forward = ForwardView(
            id=show("msg", reply.forward.id),
            status=state.word,
            reason=reply.forward.reason(state),
        )
    return ReplyView(
        id=show("rpl", reply.id),
        shop=reply.shop_code,
        sender=reply.phone,
        to=reply.number,
        text=reply.body,
        segments=reply.segments,
        received_at=iso(created_ms(reply.id)),
        link=reply.link,
        missing=list(reply.missing),
        forward=forward,
    )
