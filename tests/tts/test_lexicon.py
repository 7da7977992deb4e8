"""A shop's own pronunciations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tts.normalize as normalize_module
from tts.lexicon import KEPT, KEPT_ENTRIES, MAX_ENTRIES, LexiconError, compiled, compiling
from tts.normalize import UnspeakableText, UnspeakablyLong, normalize
from tts.steps import at_once


def said(text: str, lexicon: dict[str, str]) -> str:
    return normalize(text, "en", lexicon)


def test_a_name_is_said_as_the_shop_says_it() -> None:
    """The written form gives way to the spoken one."""
    assert said("Ask for Siobhan.", {"siobhan": "shi vawn"}) == "Ask for shi vawn."


def test_small_letters_match_any_case() -> None:
    """An entry without capitals is found however it is written."""
    assert said("JJS or jjs", {"jjs": "Jay Jays"}) == "Jay Jays or Jay Jays"


def test_capitals_match_only_themselves() -> None:
    """An entry with capitals leaves the common word alone."""
    assert said("Polish or polish", {"Polish": "poh lish"}) == "poh lish or polish"


def test_only_whole_words_are_replaced() -> None:
    """Parts of words and of addresses stay."""
    assert said("sampler sample.com", {"sample": "sam pull"}) == "sampler sample dot com"


def test_the_longest_entry_wins() -> None:
    """An entry inside another is not found there."""
    assert said("A Sample Bridal", {"sample": "x", "sample bridal": "the shop"}) == "A the shop"


def test_signs_and_digits_may_be_written() -> None:
    """Names are not always letters."""
    assert said("Visit 2B&Me today", {"2b&me": "to be and me"}) == "Visit to be and me today"


def test_what_is_said_is_normalised_too() -> None:
    """Digits and markup in a lexicon get no further than those in a text."""
    assert said("shop", {"shop": 'store 2 <genfile file="x">'}) == "store two genfile file equals x"


def test_entries_are_not_applied_to_each_other() -> None:
    """Replacement happens once: no loops."""
    assert said("a b", {"a": "b", "b": "a"}) == "b a"


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ({"w" * 61: "x"}, "longer than 60"),
        ({"shop": "x" * 121}, "more than 120"),
        ({"!!": "x"}, "no letter"),
        ({"shop": " <> "}, "says nothing"),
        ({f"w{n}": "x" for n in range(MAX_ENTRIES + 1)}, "at most 500"),
    ],
)
def test_a_bad_entry_is_named(entries: dict[str, str], fault: str) -> None:
    """The error says which entry is wrong, and how."""
    with pytest.raises(LexiconError, match=fault) as caught:
        said("shop", entries)
    assert caught.value.entry in entries


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=5), st.text(max_size=60))
def test_no_lexicon_lets_anything_else_out(entries: dict[str, str], text: str) -> None:
    """Only the two errors are raised, and no digit or markup passes."""
    try:
        spoken = said(text, entries)
    except (LexiconError, UnspeakableText):
        return
    assert all(c in " ,.?!'" or (c.isascii() and c.isalpha()) for c in spoken)


def test_what_grows_beyond_what_a_call_says_is_refused_before_it_is_read() -> None:
    """An entry a hundred times as long as its word costs nothing more than the refusal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalize_module, "_apply", None)
        with pytest.raises(UnspeakablyLong):
            said("a " * 1_000, {"a": "9" * 120})


def test_a_large_lexicon_is_made_ready_and_used_in_small_steps() -> None:
    """Hundreds of entries that all but match hold nobody up: an entry in a step, then a word."""
    lexicon = {f"{'a ' * 28}{number:03}": "x" for number in range(MAX_ENTRIES)}
    assert len(list(compiling(lexicon, ""))) == MAX_ENTRIES
    assert len(list(compiled(lexicon, "").apply("a " * 1_000))) == 1_000
    assert at_once(compiled(lexicon, "").apply("a " * 1_000)) == "a " * 1_000


def test_a_lexicon_is_made_ready_once() -> None:
    """The next text finds it, until hundreds of others were used."""
    assert len(list(compiling({"shop": "store"}, ""))) == 1
    assert len(list(compiling({"shop": "store"}, ""))) == 0
    for number in range(KEPT):
        compiled({"shop": f"store {number}"}, "")
    assert len(list(compiling({"shop": "store"}, ""))) == 1


def test_large_lexicons_that_are_kept_have_a_bound_in_memory() -> None:
    """A few large ones push out the others, however few they are."""
    large = {f"w{number}": "x" for number in range(MAX_ENTRIES)}
    compiled({"shop": "store"}, "")
    for number in range(KEPT_ENTRIES // MAX_ENTRIES):
        compiled({**large, "w0": f"x {number}"}, "")
    assert len(list(compiling({"shop": "store"}, ""))) == 1
    assert len(list(compiling({**large, "w0": f"x {number}"}, ""))) == 0


def test_an_entry_of_other_scripts_is_made_ready_in_small_steps() -> None:
    """A character that was never seen takes longer than one that was."""
    assert len(list(compiling({"shop": "x" + "\u4e00" * 119}, ""))) > 2


def test_a_form_at_the_end_of_a_text_is_whole() -> None:
    """What the text breaks off is not taken for a longer form."""
    lexicon = {"sample bridal": "the shop", "sample": "sam pull"}
    assert said("A sample", lexicon) == "A sam pull"
    assert said("A sample bridal", lexicon) == "A the shop"
    assert said("sample bridals", lexicon) == "sam pull bridals"
