"""The timeline of a message in plain English: why did this not arrive?

Composed of the message's row, its segments' rows and its event rows. The carrier's words stand as
they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.dispatch.wording import billed_segments
from gateway.ids import created_ms
from gateway.model import FINAL, Cause, Channel, EventKind, Place, State
from gateway.policy.gate import WORDS
from gateway.store.reading import Part, StoredEvent, StoredMessage


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a message.

    `segment` counts from 1; `event` is the id of the row that tells it.
    """

    at_ms: int
    kind: str
    text: str
    segment: int | None = None
    event: int | None = None


_NOUNS = {Channel.SMS: "text", Channel.EMAIL: "mail", Channel.VOICE: "call"}
_FINAL_KINDS = frozenset(state.name for state in FINAL)

_CAUSES = {
    Cause.CRASH.value: "the process ended before the answer came",
    Cause.CUT.value: "the connection was cut before the answer came",
    Cause.TIMEOUT.value: "no answer came in time",
}


def compose(message: StoredMessage, events: list[StoredEvent]) -> list[Entry]:
    """Everything that happened, in the order of time."""
    entries = [_accepted(message), *_placed(message)]
    is_told = any(event.kind.name in _FINAL_KINDS for event in events)
    for part in message.parts:
        entries += _sent(message, part)
        if part.done_ms is not None and (message.segments > 1 or not is_told):
            entries.append(_done(message, part, part.done_ms))
    entries += [_event(message, event) for event in events]
    return sorted(entries, key=lambda entry: entry.at_ms)


def _accepted(message: StoredMessage) -> Entry:
    count = billed_segments(message.body, message.encoding, message.segments)
    size = "" if message.channel is not Channel.SMS else f" in {count} segment{'s' * (count > 1)}"
    source = f", from {message.source}" if message.source else ""
    noun = _NOUNS[message.channel]
    text = f"accepted: a {message.category.name.lower()} {noun}{size}{source}"
    return Entry(created_ms(message.id), "accepted", text)


def _placed(message: StoredMessage) -> Iterator[Entry]:
    """Where it was put at first. Held and suppressed messages have an event that says so."""
    at_ms = created_ms(message.id)
    if message.born is Place.LATER:
        yield Entry(at_ms, "scheduled", "scheduled: it is sent when its time comes")
    elif message.born in (Place.QUEUE, Place.FLIGHT):
        yield Entry(at_ms, "queued", f"queued for {message.route}")


def _segment(message: StoredMessage, segment: int | None) -> str:
    """`segment 1 of 2: `, where there are several."""
    if segment is None or message.segments == 1:
        return ""
    return f"segment {segment + 1} of {message.segments}: "


def _sent(message: StoredMessage, part: Part) -> Iterator[Entry]:
    if part.sent_ms is None or part.state in (State.FAILED, State.IN_DOUBT):
        return
    peer = part.link or message.route
    known_as = f" as {part.carrier}" if part.carrier else ""
    text = f"{_segment(message, part.segment)}accepted by {peer}{known_as}"
    yield Entry(part.sent_ms, "submitted", text, part.segment + 1)


def _done(message: StoredMessage, part: Part, at_ms: int) -> Entry:
    words = f": {part.error}" if part.error else ""
    text = f"{_segment(message, part.segment)}{_spoken(part.state.word)}{words}"
    return Entry(at_ms, part.state.word, text, part.segment + 1)


def _event(message: StoredMessage, event: StoredEvent) -> Entry:
    sentence = _SENTENCES[event.kind](message, event)
    shown = None if event.segment is None else event.segment + 1
    text = f"{_segment(message, event.segment)}{sentence}"
    return Entry(event.at_ms, event.kind.word, text, shown, event.id)


_Sentence = Callable[[StoredMessage, StoredEvent], str]


def _plain(text: str) -> _Sentence:
    return lambda message, event: text


def _final(message: StoredMessage, event: StoredEvent) -> str:
    """A final state with the peer's word for it."""
    reason = event.detail.get("reason") or event.detail.get("error")
    if reason is None:
        state = State[event.kind.name]
        errors = (part.error for part in message.parts if part.state is state and part.error)
        reason = next(errors, None) or event.detail.get("word")
    return _because(_spoken(event.kind.word), reason)


def _because(what: str, reason: Any) -> str:
    return f"{what}: {WORDS.get(str(reason), reason)}" if reason else what


def _again(what: str) -> _Sentence:
    def sentence(message: StoredMessage, event: StoredEvent) -> str:
        peer = event.detail.get("link")
        told = _because(f"{what} by {peer or message.route}", event.detail.get("error"))
        wait_s = event.detail.get("retry_s") or 0
        when = f"in {wait_s:g} s" if wait_s else f"when {message.route} takes texts again"
        if peer is not None:
            when = f"{f'in {wait_s:g} s' if wait_s else 'at once'}, by another link if there is one"
        return f"{told}, tried again {when}"

    return sentence


def _caused(what: str) -> _Sentence:
    def sentence(_: StoredMessage, event: StoredEvent) -> str:
        cause = event.detail.get("cause")
        return f"{what}: {_CAUSES[cause]}" if cause in _CAUSES else what

    return sentence


def _receipt(_: StoredMessage, event: StoredEvent) -> str:
    word = event.detail.get("word") or "nothing"
    if event.detail.get("is_ignored"):
        return f"a later receipt says {word}: the first final one holds"
    return f"a receipt says {word}"


def _spoken(word: str) -> str:
    return word.replace("_", " ").replace("-", " ")


_SENTENCES: dict[EventKind, _Sentence] = {
    EventKind.DELIVERED: _plain("delivered"),
    EventKind.UNDELIVERED: _final,
    EventKind.FAILED: _final,
    EventKind.EXPIRED: _final,
    EventKind.CANCELED: _final,
    EventKind.SUPPRESSED: _final,
    EventKind.IN_DOUBT: _caused("in doubt, until a receipt settles it"),
    EventKind.HELD: lambda _, event: _because("held", event.detail.get("reason")),
    EventKind.RELEASED: _plain("released: it waits for its turn"),
    EventKind.THROTTLED: _again("throttled"),
    EventKind.RETRIED: _again("refused for now"),
    EventKind.RESENT: _caused("sent again"),
    EventKind.RECEIPT: _receipt,
    EventKind.NO_RECEIPT: _plain("no receipt came in the time that was allowed for one"),
}
