"""Telling a carrier's redelivered copy from an equal text that the person sent a second time.

A carrier delivers a text again when it did not get our acknowledgement: after the session ended, or
on the same session when its response timer ran out (SMPP v3.4 §2.7 and §7.2). Nothing in a
deliver_sm says "copy". What can be known is whether the carrier may still lack the acknowledgement
of an equal text; only then a second one is taken for a copy, and each text absorbs one redelivery
at a time.

==================================== ===========================================================
the first copy was                   an equal text is a copy of it
==================================== ===========================================================
not acknowledged, session lives      with the same sequence number, or `RESEND_S` after the first
not acknowledged, session has ended  on any later session, within `KEPT_S`
acknowledged, session lives          never
acknowledged shortly before the end  on any later session, within `KEPT_S`
acknowledged, session lived on       never
restored after a restart             on any session, within `KEPT_S`
==================================== ===========================================================
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final

COPY_WINDOW_S: Final = 10.0
"""An acknowledgement this old, on a session that still spoke, has reached the carrier."""

RESEND_S: Final = 5.0
"""No carrier's response timer is shorter: two equal texts closer than this on a living session were
sent by the person, as when a backlog comes after an outage."""

KEPT_S: Final = 3600.0
"""How long a text whose acknowledgement may be lost waits for its copy."""

SILENCE_S: Final = 120.0
"""A session that lives so long after an acknowledgement has carried it, even if no text followed:
enquire_link would have ended it otherwise."""

MOST_UNCONFIRMED: Final = 20_000
"""Texts that wait for a copy on one link; the oldest are given up first."""


@dataclass(slots=True, eq=False)
class Entry:
    """One text that the carrier delivered, by its latest delivery. Times are monotonic seconds."""

    digest: Hashable
    session: int | None
    """The session of the latest delivery; None: known from the store alone."""
    sequence: int
    arrived: float
    id: int = 0
    """Its id in the store; 0 before it has one."""
    acknowledged: float | None = None
    until: float | None = None
    """Since the session ended: how long a copy is waited for. None while the session lives."""


class Copies:
    """The texts of one link whose copy may still come."""

    def __init__(self, window_s: float = COPY_WINDOW_S) -> None:
        """`window_s`: how old an acknowledgement must be, at the session's end, to be sure of."""
        self._window_s = window_s
        self._by_digest: dict[Hashable, list[Entry]] = {}
        self._living: dict[int, dict[Entry, None]] = {}
        self._heard: dict[int, float] = {}
        self._ended: dict[Entry, None] = {}
        self._settled: list[int] = []

    def __len__(self) -> int:
        return sum(map(len, self._living.values())) + len(self._ended)

    def began(self, session: int, now: float) -> None:
        """A session began."""
        self._living.setdefault(session, {})
        self._heard[session] = now

    def ended(
        self, session: int, now: float, *, quiet_s: float = 0.0, is_clean: bool = False
    ) -> None:
        """A session ended, `quiet_s` after the carrier was last heard on it.

        `is_clean`: by unbind and its answer, so that the carrier has read all that we sent.
        """
        sure_before = now if is_clean else now - quiet_s - self._window_s
        self._heard.pop(session, None)
        for entry in self._living.pop(session, {}):
            if entry.acknowledged is not None and entry.acknowledged <= sure_before:
                self._settle(entry)
            else:
                entry.until = now + KEPT_S
                self._ended[entry] = None
        while len(self._ended) > MOST_UNCONFIRMED:
            self._drop_oldest()

    def arrived(
        self, digest: Hashable, session: int, sequence: int, now: float
    ) -> tuple[Entry, bool]:
        """A text came: its entry, and whether it is a copy of one that came before."""
        if session not in self._living:
            self.began(session, now)
        self._heard[session] = now
        for entry in self._by_digest.get(digest, ()):
            if self._may_come_again(entry, session, sequence, now):
                self._forget_place(entry)
                entry.session, entry.sequence, entry.arrived = session, sequence, now
                entry.acknowledged = entry.until = None
                self._living[session][entry] = None
                return entry, True
        entry = Entry(digest, session, sequence, now)
        self._by_digest.setdefault(digest, []).append(entry)
        self._living[session][entry] = None
        return entry, False

    def _may_come_again(self, entry: Entry, session: int, sequence: int, now: float) -> bool:
        if entry.until is not None:
            return now < entry.until
        if entry.acknowledged is not None:
            return False
        is_same_delivery = entry.session == session and entry.sequence == sequence
        return is_same_delivery or now - entry.arrived >= RESEND_S

    def acknowledged(self, entry: Entry, session: int, sequence: int, now: float) -> None:
        """This delivery of a text was answered; what counts is the answer to the latest one."""
        if entry.until is None and (entry.session, entry.sequence) == (session, sequence):
            entry.acknowledged = now

    def forget(self, entry: Entry) -> None:
        """The text was refused: if it comes again it is judged anew."""
        self._forget_place(entry)
        self._forget_digest(entry)

    def restore(self, digest: Hashable, id_: int, left_s: float, now: float) -> None:
        """The store has this text, and a copy of it may come for `left_s` more."""
        entry = Entry(digest, None, 0, now, id_, now, now + left_s)
        self._by_digest.setdefault(digest, []).append(entry)
        self._ended[entry] = None

    def absorb_restored(self, entry: Entry) -> bool:
        """Whether a text judged to be new is a copy of one restored since: it then has its id."""
        for known in self._by_digest.get(entry.digest, ()):
            if known.session is None:
                entry.id = known.id
                self.forget(known)
                return True
        return False

    def prune(self, now: float) -> None:
        """Let go of texts whose copy cannot come any more."""
        for session, entries in self._living.items():
            sure_before = max(self._heard[session] - self._window_s, now - SILENCE_S)
            self._settle_all(_leading(entries, sure_before))
        while self._ended and (next(iter(self._ended)).until or 0.0) <= now:
            self._drop_oldest()

    def take_settled(self, most: int) -> list[int]:
        """Ids of texts that need not be known any longer, each once, at most so many."""
        taken, self._settled = self._settled[:most], self._settled[most:]
        return taken

    def _drop_oldest(self) -> None:
        self._settle(next(iter(self._ended)))

    def _settle_all(self, entries: Iterable[Entry]) -> None:
        for entry in list(entries):
            self._settle(entry)

    def _settle(self, entry: Entry) -> None:
        self.forget(entry)
        if entry.id:
            self._settled.append(entry.id)

    def _forget_place(self, entry: Entry) -> None:
        self._ended.pop(entry, None)
        if entry.session is not None and entry.session in self._living:
            self._living[entry.session].pop(entry, None)

    def _forget_digest(self, entry: Entry) -> None:
        left = [e for e in self._by_digest.get(entry.digest, ()) if e is not entry]
        if left:
            self._by_digest[entry.digest] = left
        else:
            self._by_digest.pop(entry.digest, None)


def _leading(entries: Iterable[Entry], sure_before: float) -> Iterable[Entry]:
    """The entries from the first on, in order of arrival, acknowledged by `sure_before`."""
    for entry in entries:
        if entry.acknowledged is None or entry.acknowledged > sure_before:
            return
        yield entry
