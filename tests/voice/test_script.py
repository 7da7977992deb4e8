"""What a call says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Category
from gateway.voice.script import (
    LINES,
    Part,
    Script,
    ScriptError,
    as_lines,
    call_parts,
    call_script,
)
from tts.normalize import UnspeakableText, normalize
from tts.steps import at_once

PHONE = "+12125550123"
TOLL_FREE = "+18005550199"


def script(message: str = "Your gown is ready.", **options: Any) -> Script:
    values = {"callback": PHONE, "category": Category.TRANSACTIONAL, **options}
    return made("Sample Bridal", message, **values)


def made(name: str, message: str, **options: Any) -> Script:
    return at_once(call_script(name, message, **options))


def marketing(**options: Any) -> Script:
    return script(category=Category.MARKETING, **options)


def test_the_shop_is_named_first_and_its_number_is_given() -> None:
    """A call says who it comes from before all else, and how to call back."""
    assert script().text == (
        "This is Sample Bridal.\n"
        "Your gown is ready.\n"
        "You can call us back at (212) 555-0123.\n"
        "Press 2 to hear this again."
    )


def test_a_script_to_read_has_a_part_a_line() -> None:
    """Whatever lines the message has: nobody takes one of them for the callback number."""
    lines = script("Ready.\n\nYou can call us back at 1.").text.split("\n")
    assert len(lines) == len(script().parts)
    assert lines[1] == "Ready. You can call us back at 1."


@pytest.mark.parametrize("is_voicemail", [False, True])
def test_the_parts_alone_are_those_of_the_script(is_voicemail: bool) -> None:
    """What is only to be read on a screen needs no words for an engine."""
    options: dict[str, Any] = {"callback": PHONE, "category": Category.TRANSACTIONAL}
    parts = call_parts("Sample Bridal", "Ready.", is_voicemail=is_voicemail, **options)
    assert as_lines(parts) == script("Ready.", is_voicemail=is_voicemail).text


def test_the_spoken_script_has_no_digits() -> None:
    """Numbers are words by the time an engine sees them."""
    assert script().spoken == (
        "This is Sample Bridal. Your gown is ready. You can call us back at two one two. "
        "five five five. zero one two three. Press two to hear this again."
    )


def test_a_repetition_does_not_offer_another() -> None:
    """Asked for, the call is heard once more, whole, without the offer."""
    again = script().spoken_again
    assert again.startswith("This is Sample Bridal. Your gown is ready.")
    assert "again" not in again


def test_a_marketing_call_offers_the_way_out_right_after_the_name() -> None:
    """The opt-out by key follows the identification at once."""
    assert list(marketing().parts)[:3] == [Part.IDENTIFICATION, Part.OPT_OUT, Part.MESSAGE]
    assert marketing().parts[Part.OPT_OUT] == "To stop these calls, press 9."


def test_a_transactional_call_has_no_opt_out_line() -> None:
    """What is not required only costs the listener time."""
    assert Part.OPT_OUT not in script().parts


def test_a_marketing_voicemail_speaks_a_number_to_opt_out() -> None:
    """Nobody presses keys on a voicemail."""
    left = marketing(is_voicemail=True, opt_out_phone=TOLL_FREE)
    assert left.parts[Part.OPT_OUT] == "To stop these calls, dial (800) 555-0199."
    assert "eight hundred. five five five. zero one nine nine" in left.spoken
    assert Part.REPEAT not in left.parts


def test_a_marketing_voicemail_without_such_a_number_is_refused() -> None:
    """It may not be left, so there is no script for it."""
    with pytest.raises(ScriptError, match="has to name a toll-free number"):
        marketing(is_voicemail=True)


def test_a_voicemail_offers_no_repetition() -> None:
    """Voicemails have their own way of repeating."""
    assert list(script(is_voicemail=True).parts) == [
        Part.IDENTIFICATION,
        Part.MESSAGE,
        Part.CALLBACK,
    ]


@pytest.mark.parametrize("language", LINES)
def test_every_language_has_all_parts(language: str) -> None:
    """Whatever the language, nothing that must be said is missing."""
    said = marketing(language=language)
    assert set(said.parts) == set(Part)
    assert said.parts[Part.IDENTIFICATION].endswith("Sample Bridal.")
    assert not any(c.isdigit() for c in said.spoken)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"callback": ""}, "callback"),
        ({"callback": "555-0123"}, "E.164"),
        ({"language": "de"}, "en, es, fr"),
        ({"category": Category.MARKETING, "opt_out_key": ""}, "key"),
        ({"category": Category.MARKETING, "opt_out_key": "99"}, "key"),
    ],
)
def test_what_must_be_said_may_not_be_missing(options: dict[str, Any], fault: str) -> None:
    """The error says what to give."""
    with pytest.raises(ScriptError, match=fault):
        script(**options)


@pytest.mark.parametrize("name", ["", "  ", "...", "👗"])
def test_a_shop_without_a_name_makes_no_calls(name: str) -> None:
    """A call from nobody is not allowed."""
    with pytest.raises(ScriptError, match="name"):
        made(name, "Hello", callback=PHONE, category=Category.TRANSACTIONAL)


def test_a_message_that_says_nothing_is_refused() -> None:
    """Nobody is called for the shop's name alone."""
    with pytest.raises(UnspeakableText):
        script("👗")


def test_the_lexicon_is_for_the_words_of_the_shop() -> None:
    """It may not reword what has to be said."""
    said = made(
        "Siobhan's",
        "Ask for Siobhan.",
        callback=PHONE,
        category=Category.MARKETING,
        lexicon={"siobhan's": "shi vawns", "siobhan": "shi vawn", "stop": "start"},
    ).spoken
    assert "This is shi vawns." in said
    assert "Ask for shi vawn." in said
    assert "To stop these calls" in said


def test_the_lexicon_leaves_the_words_before_the_name_alone() -> None:
    """Though one of them may look like a name of the shop's."""
    said = made(
        "Le",
        "Le espera.",
        callback=PHONE,
        category=Category.TRANSACTIONAL,
        language="es",
        lexicon={"Le": "lei"},
    )
    assert said.spoken.startswith("Le habla lei. lei espera.")
    assert said.text.startswith("Le habla Le.\n")


def test_braces_in_a_name_are_only_text() -> None:
    """A shop's name is never a template."""
    said = made("Sample {key} <b>", "Hello", callback=PHONE, category=Category.TRANSACTIONAL)
    assert said.text.startswith("This is Sample {key} <b>.")
    assert said.spoken.startswith("This is Sample, key, b.")


@given(st.text(min_size=1, max_size=100), st.sampled_from(list(Category)))
def test_name_and_number_are_in_every_script(message: str, category: Category) -> None:
    """No message pushes out what must be said."""
    try:
        said = script(message, category=category)
    except UnspeakableText:
        return
    assert said.spoken.startswith("This is Sample Bridal. ")
    assert "two one two. five five five. zero one two three." in said.spoken


@pytest.mark.parametrize("language", LINES)
@pytest.mark.parametrize("key", "*#")
def test_keys_that_are_signs_are_said_by_name(language: str, key: str) -> None:
    """Nobody could press what is not said: the way out would not be offered."""
    nine, sign = (
        made(
            "Sample Bridal",
            "Sale.",
            callback="+12125550100",
            category=Category.MARKETING,
            language=language,
            opt_out_key=each,
            repeat_key=each,
        ).spoken
        for each in ("9", key)
    )
    said = normalize("9", language)
    named = LINES[language].star if key == "*" else LINES[language].pound
    assert said in nine and nine.replace(said, named) == sign


def test_a_repeat_key_is_one_of_a_telephone() -> None:
    """As the key for the way out is."""
    with pytest.raises(ScriptError, match="repeat key"):
        made(
            "Sample Bridal",
            "Hi.",
            callback="+12125550100",
            category=Category.TRANSACTIONAL,
            repeat_key="again",
        )


def test_the_way_out_of_a_voicemail_is_toll_free() -> None:
    """Who is called pays nothing to be left alone (47 CFR 64.1200(b)(3))."""
    with pytest.raises(ScriptError, match="not toll-free"):
        made(
            "Sample Bridal",
            "Sale.",
            callback="+12125550100",
            category=Category.MARKETING,
            is_voicemail=True,
            opt_out_phone="+12125550199",
        )
