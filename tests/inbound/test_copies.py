"""When an equal text is a copy, and when the person sent it a second time."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.inbound.copies import COPY_WINDOW_S, KEPT_S, RESEND_S, SILENCE_S, Copies, Entry


def deliver(
    copies: Copies, session: int, sequence: int, now: float, *, is_answered: bool = True
) -> bool:
    """Deliver the one text of these tests; whether it is taken for a copy."""
    entry, is_copy = copies.arrived("text", session, sequence, now)
    if is_answered:
        copies.acknowledged(entry, session, sequence, now)
    return is_copy


def test_two_equal_texts_on_a_living_session_are_two() -> None:
    """The first was answered, so the carrier has no reason to deliver it again."""
    copies = Copies()
    assert not deliver(copies, 1, 1, 0.0)
    assert not deliver(copies, 1, 2, 0.1)


def test_equal_texts_at_once_are_two_even_before_the_answer() -> None:
    """A backlog may hold both; a carrier does not repeat itself before its timer has run out."""
    copies = Copies()
    assert not deliver(copies, 1, 1, 0.0, is_answered=False)
    assert not deliver(copies, 1, 2, 0.0, is_answered=False)


def test_a_text_repeated_because_we_are_slow_is_a_copy() -> None:
    """The first was not answered for as long as a response timer runs."""
    copies = Copies()
    assert not deliver(copies, 1, 1, 0.0, is_answered=False)
    assert deliver(copies, 1, 2, RESEND_S)


def test_the_same_sequence_number_again_before_the_answer_is_a_copy() -> None:
    """It is the very same request."""
    copies = Copies()
    assert not deliver(copies, 1, 1, 0.0, is_answered=False)
    assert deliver(copies, 1, 1, 0.1)


def test_an_unanswered_text_comes_again_on_the_next_session() -> None:
    """Each session's end makes it come again, and it is one text all the time."""
    copies = Copies()
    assert not deliver(copies, 1, 1, 0.0, is_answered=False)
    copies.ended(1, 50.0)
    assert deliver(copies, 2, 1, 60.0, is_answered=False)
    copies.ended(2, 70.0)
    assert deliver(copies, 3, 1, 80.0)
    assert not deliver(copies, 3, 2, 81.0)


def test_an_answer_shortly_before_the_end_may_be_lost() -> None:
    """One equal text is a copy, the next one is not."""
    copies = Copies()
    deliver(copies, 1, 1, 0.0)
    copies.ended(1, COPY_WINDOW_S - 1)
    assert deliver(copies, 2, 1, 100.0)
    assert not deliver(copies, 2, 2, 101.0)


def test_an_answer_long_before_the_end_has_arrived() -> None:
    """The session lived on."""
    copies = Copies()
    deliver(copies, 1, 1, 0.0)
    copies.ended(1, COPY_WINDOW_S + 1)
    assert not deliver(copies, 2, 1, 100.0)


def test_silence_before_the_end_counts_as_no_life() -> None:
    """A dead line is noticed late: what matters is when the carrier was last heard."""
    copies = Copies()
    deliver(copies, 1, 1, 0.0)
    copies.ended(1, 60.0, quiet_s=55.0)
    assert deliver(copies, 2, 1, 100.0)


def test_an_orderly_end_confirms_every_answer() -> None:
    """What was not answered may still come again."""
    copies = Copies()
    deliver(copies, 1, 1, 0.0)
    copies.ended(1, 0.1, is_clean=True)
    assert not deliver(copies, 2, 1, 1.0, is_answered=False)
    copies.ended(2, 2.0, is_clean=True)
    assert deliver(copies, 3, 1, 3.0)


def test_a_copy_is_waited_for_an_hour() -> None:
    """Later an equal text is a new one."""
    copies = Copies()
    deliver(copies, 1, 1, 0.0)
    copies.ended(1, 0.0)
    assert not deliver(copies, 2, 1, KEPT_S)


def test_a_refused_text_is_judged_anew() -> None:
    """It made no reply, so nothing can be its copy."""
    copies = Copies()
    entry, _ = copies.arrived("text", 1, 1, 0.0)
    copies.forget(entry)
    assert not deliver(copies, 1, 1, 0.1)


def test_restored_texts_absorb_one_copy_each() -> None:
    """Also when the text came before the store could be asked."""
    copies = Copies()
    early, is_copy = copies.arrived("text", 1, 1, 0.0)
    assert not is_copy
    copies.restore("text", 77, KEPT_S, 1.0)
    copies.restore("other", 78, KEPT_S, 1.0)
    assert copies.absorb_restored(early)
    assert early.id == 77
    assert copies.arrived("other", 1, 2, 2.0)[1]
    assert not copies.arrived("other", 1, 3, 2.0)[1]


def test_what_cannot_come_again_is_let_go() -> None:
    """Memory holds the last seconds, and the store is told what to forget."""
    copies = Copies()
    for n in range(100):
        entry, _ = copies.arrived(n, 1, n, float(n))
        entry.id = n + 1
        copies.acknowledged(entry, 1, n, float(n))
    copies.prune(99.0)
    assert len(copies) == COPY_WINDOW_S
    copies.prune(99.0 + SILENCE_S)
    assert len(copies) == 0
    assert copies.take_settled(60) == list(range(1, 61))
    assert copies.take_settled(60) == list(range(61, 101))
    assert copies.take_settled(60) == []


@dataclass
class Sent:
    """One text that a person sent: as the carrier keeps it until it has our answer."""

    body: str
    session: int = 0
    sequence: int = 0
    entry: Entry | None = None
    delivered_at: float = 0.0
    is_answered: bool = False


class CarrierMachine(RuleBasedStateMachine):
    """A carrier that keeps a text until it has read our answer, and delivers it again otherwise.

    It reads an answer at once, or never when the session ends within the window. A person does not
    repeat a text whose answer the carrier read but we cannot be sure of: that alone is undecidable.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copies = Copies()
        self.now = 0.0
        self.session = 1
        self.sequence = 0
        self.is_up = True
        self.ended_at = 0.0
        self.kept: list[Sent] = []
        self.sent = {"a": 0, "b": 0}
        self.made = {"a": 0, "b": 0}
        self.unsure: dict[str, float] = {"a": -1.0, "b": -1.0}
        self.answered_at: list[tuple[str, float]] = []
        self.copies.began(1, 0.0)

    def deliver(self, text: Sent) -> None:
        self.sequence += 1
        text.session, text.sequence, text.delivered_at = self.session, self.sequence, self.now
        text.is_answered = False
        entry, is_copy = self.copies.arrived(text.body, self.session, self.sequence, self.now)
        text.entry = entry
        self.made[text.body] += not is_copy

    @precondition(lambda self: self.is_up)
    @rule(body=st.sampled_from("ab"))
    def person_sends(self, body: str) -> None:
        """A new text is delivered at once."""
        waits_long = any(
            t.body == body and self.now - t.delivered_at >= RESEND_S and not t.is_answered
            for t in self.kept
        )
        if waits_long or self.now < self.unsure[body]:
            return
        self.sent[body] += 1
        text = Sent(body)
        self.kept.append(text)
        self.deliver(text)

    @rule()
    def we_answer(self) -> None:
        """All that waits is stored and answered; on a living session the carrier reads it."""
        for text in self.kept:
            assert text.entry is not None
            self.copies.acknowledged(text.entry, text.session, text.sequence, self.now)
            if self.is_up:
                text.is_answered = True
                self.answered_at.append((text.body, self.now))
        self.kept = [text for text in self.kept if not text.is_answered]

    @rule()
    def we_answer_but_the_session_ends(self) -> None:
        """The answers to all that waits are lost with the session."""
        if not self.is_up:
            return
        for text in self.kept:
            assert text.entry is not None
            self.copies.acknowledged(text.entry, text.session, text.sequence, self.now)
        self.session_ends()

    @precondition(lambda self: self.is_up)
    @rule()
    def session_ends(self) -> None:
        """What was answered within the window is unsure on our side from now on."""
        self.copies.ended(self.session, self.now)
        self.is_up = False
        self.ended_at = self.now
        for body, at in self.answered_at:
            if at >= self.now - COPY_WINDOW_S:
                self.unsure[body] = self.now + KEPT_S
        self.answered_at.clear()

    @precondition(lambda self: not self.is_up)
    @rule()
    def session_begins(self) -> None:
        """The carrier first delivers again what it has no answer for."""
        self.session += 1
        self.is_up = True
        self.copies.began(self.session, self.now)
        for text in self.kept:
            self.deliver(text)

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 20.0, 300.0]))
    def time_passes(self, seconds: float) -> None:
        """The carrier repeats on the session what waited longer than its response timer.

        Nobody waits longer for a copy than `KEPT_S`: no outage of this carrier lasts so long.
        """
        if not self.is_up and self.now + seconds >= self.ended_at + KEPT_S:
            return
        self.now += seconds
        self.copies.prune(self.now)
        if self.is_up:
            for text in self.kept:
                if self.now - text.delivered_at >= RESEND_S:
                    self.deliver(text)

    @invariant()
    def each_text_makes_one_reply(self) -> None:
        """No copy makes a second reply, and no text is swallowed."""
        assert self.made == self.sent


TestCarrier = CarrierMachine.TestCase
TestCarrier.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
