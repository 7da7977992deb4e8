"""A link's form of message ids, learned from pairs, remembered, or fixed by a setting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sms.id_learning import IdForm, IdLearner
from protocols.sms.message_ids import id_forms, normal_form

PAIRS = {
    IdForm.SAME: [("7F00A1", "7f00a1"), ("000123", "123"), ("a-b-1", "A-B-1")],
    IdForm.HEX: [("7f00a1", "8323233"), ("00A1B", "2587"), ("0xa1b", "0002587")],
    IdForm.DECIMAL: [("8323233", "7F00A1"), ("0002587", "a1b"), ("2587", "0xA1B")],
}


@pytest.mark.parametrize("form", PAIRS)
def test_form_is_learned_from_pairs_that_agree(form: IdForm) -> None:
    """Five of them; then the right form is looked up first, and the others still follow."""
    learner = IdLearner()
    pairs = PAIRS[form] * 2
    changes = [learner.observe(*pair) for pair in pairs[:5]]
    assert changes == [False] * 4 + [True]
    assert learner.form is form
    for response, receipt in pairs:
        forms = learner.forms(receipt)
        assert forms[0] == normal_form(response)
        assert set(forms) >= set(id_forms(receipt))


def test_numbers_under_ten_tell_nothing() -> None:
    """What reads the same in both bases is no evidence, nor is what matches in none."""
    learner = IdLearner()
    for _ in range(10):
        assert not learner.observe("7", "007")
        assert not learner.observe("abc", "xyz")
    assert learner.form is IdForm.AUTO


def test_carrier_that_changes_is_followed() -> None:
    """A few odd pairs change nothing; a new habit does."""
    learner = IdLearner(learned=IdForm.HEX)
    for _ in range(20):
        learner.observe("2587", "a1b")
        learner.observe("a1b", "2587")
    assert learner.form is IdForm.HEX
    for _ in range(5):
        learner.observe("2587", "a1b")
    assert learner.form is IdForm.DECIMAL


def test_setting_holds_whatever_is_seen() -> None:
    """A fixed form gives one form to look up, and is never unlearned."""
    learner = IdLearner(IdForm.HEX)
    for _ in range(10):
        assert not learner.observe("2587", "a1b")
    assert learner.form is IdForm.HEX
    assert learner.forms("2587") == ("a1b",)
    assert IdLearner(IdForm.SAME).forms("02587") == ("2587",)
    assert IdLearner(IdForm.AUTO, IdForm.SAME).form is IdForm.SAME


def test_what_was_learned_can_be_stored() -> None:
    """The form is a word."""
    assert IdLearner(learned=IdForm("decimal")).forms("a1b")[0] == "2587"


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(IdForm))
def test_any_ids_are_taken(response: str, receipt: str, form: IdForm) -> None:
    """Nothing a carrier writes as an id raises."""
    learner = IdLearner(form)
    learner.observe(response, receipt)
    assert len(learner.forms(receipt)) >= 1
