"""Receipts in every dialect met so far, and texts that only look like receipts."""

from __future__ import annotations

from typing import Any

import pytest

from protocols.smpp import commands
from protocols.sms.receipts import Outcome, Receipt, ReceiptState, parse
from tests.protocols.sms.receipt_corpus import CORPUS, read

WHOLE = b"id:2587 sub:001 dlvrd:001 submit date:2611221000 done date:2611221001 stat:DELIVRD"


@pytest.mark.parametrize("command", [commands.DELIVER_SM, commands.DATA_SM])
@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry["name"])
def test_every_dialect_is_understood(entry: dict[str, Any], command: int) -> None:
    """Id, outcome, error code and date come out as the corpus says, by deliver_sm and data_sm."""
    receipt = read(entry, command)
    assert receipt is not None
    assert receipt.message_id == entry.get("id")
    assert receipt.outcome is Outcome(entry.get("outcome", "delivered"))
    assert receipt.error == entry.get("error")
    assert receipt.done == entry.get("done")
    assert receipt.word == entry.get("word", receipt.word)


@pytest.mark.parametrize(
    ("words", "state", "outcome"),
    [
        ("DELIVRD DELIVERED delivered Delivrd", ReceiptState.DELIVERED, Outcome.DELIVERED),
        ("EXPIRED EXPIRD expired", ReceiptState.EXPIRED, Outcome.UNDELIVERED),
        ("DELETED deleted", ReceiptState.DELETED, Outcome.UNDELIVERED),
        (
            "UNDELIV UNDELIVERABLE UNDELIVERED Undeliverable FAILED NOT_DELIVERED",
            ReceiptState.UNDELIVERABLE,
            Outcome.UNDELIVERED,
        ),
        ("REJECTD REJECTED rejected", ReceiptState.REJECTED, Outcome.UNDELIVERED),
        ("ACCEPTD ACCEPTED", ReceiptState.ACCEPTED, Outcome.NONE),
        ("ENROUTE enroute", ReceiptState.ENROUTE, Outcome.NONE),
        ("UNKNOWN whatever -", ReceiptState.UNKNOWN, Outcome.NONE),
        ("SCHEDULED", ReceiptState.SCHEDULED, Outcome.NONE),
        ("SKIPPED", ReceiptState.SKIPPED, Outcome.NONE),
    ],
)
def test_words_short_or_full_mean_their_state(
    words: str, state: ReceiptState, outcome: Outcome
) -> None:
    """Case does not matter; what settles nothing changes nothing."""
    for word in words.split():
        receipt = parse(f"id:1 stat:{word}".encode(), 4)
        assert receipt is not None
        assert (receipt.state, receipt.outcome, receipt.word) == (state, outcome, word)
        assert receipt.is_final is (outcome is not Outcome.NONE)


@pytest.mark.parametrize("state", ReceiptState)
def test_every_state_of_the_standard_can_come_as_a_parameter(state: ReceiptState) -> None:
    """message_state holds the number of SMPP v3.4 §5.2.28."""
    receipt = parse(b"", 4, [(0x001E, b"1\x00"), (0x0427, bytes((state,)))])
    assert receipt == Receipt("1", state, None, None, state.name)


@pytest.mark.parametrize(
    "text",
    [
        b"Is my gown ready? id:12345",
        b"id:12345 stat:DELIVRD",
        b"My order id: 77, please check stat: now",
        b"",
        b"STOP",
        b"@2587",
        b"hello " + WHOLE,
        WHOLE.replace(b"sub:001 ", b""),
        WHOLE.replace(b" stat:DELIVRD", b""),
        WHOLE + b" and by the way, is it pressed?",
    ],
)
def test_a_persons_text_is_no_receipt(text: bytes) -> None:
    """Without the bit and the parameter only the whole shape counts."""
    assert parse(text, 0) is None
    assert parse(text, 0x40) is None


@pytest.mark.parametrize("esm_class", [0x08, 0x10, 0x18])
def test_a_handsets_answer_keeps_its_words(esm_class: int) -> None:
    """An acknowledgement whose body is prose stays a text."""
    assert parse(b"Thanks, I come at 5", esm_class) is None


def test_the_mode_bits_of_esm_class_do_not_matter() -> None:
    """Messaging mode and reply path may be set beside the type (SMPP v3.4 §5.2.12)."""
    receipt = parse(b"id:2587 stat:DELIVRD", 0x04 | 0x03 | 0x80)
    assert receipt is not None
    assert receipt.message_id == "2587"


def test_an_id_longer_than_the_standard_allows_is_none() -> None:
    """65 characters are an id, 66 are not."""
    longest, too_long = parse(b"id:%b stat:DELIVRD" % (b"7" * 65), 4), parse(b"id:" + b"7" * 66, 4)
    assert longest is not None and too_long is not None
    assert longest.message_id == "7" * 65
    assert too_long.message_id is None


def test_a_huge_receipt_is_read_only_at_its_beginning() -> None:
    """Fields beyond the first thousand characters are not looked for."""
    receipt = parse(b"id:2587 " + b" " * 60_000 + b"stat:DELIVRD", 4)
    assert receipt is not None
    assert (receipt.message_id, receipt.outcome) == ("2587", Outcome.NONE)
