"""The states of a call as tables: how they follow each other, which commands and which requests of
the peer belong to each."""

from __future__ import annotations

from enum import Enum
from typing import Final


class CallState(Enum):
    CALLING = "the INVITE was sent"
    PROCEEDING = "the peer has the INVITE"
    CANCELING = "we gave the call up and wait for the peer to say so"
    RINGING = "the peer's INVITE waits for our answer"
    ANSWERED = "our 2xx waits for the ACK"
    ESTABLISHED = "established"
    ENDING = "our BYE waits for its response"
    ENDED = "over"


class CallInput(Enum):
    PROVISIONAL = "a provisional response came"
    ACCEPTED = "a 2xx came"
    CANCEL = "we give up"
    ANSWER = "we sent a 2xx"
    ACK = "the ACK came"
    BYE = "we sent a BYE"
    CLOSED = "nothing more is to come"


class Command(Enum):
    RING = "ring"
    ANSWER = "answer"
    REJECT = "reject"
    REINVITE = "re-INVITE"
    UPDATE = "update"
    REFER = "refer"


S = CallState
I = CallInput  # noqa: E741 - the table reads better with one letter

TRANSITIONS: Final[dict[tuple[CallState, CallInput], CallState]] = {
    (S.CALLING, I.PROVISIONAL): S.PROCEEDING,
    (S.CALLING, I.ACCEPTED): S.ESTABLISHED,
    (S.CALLING, I.CANCEL): S.CANCELING,
    (S.CALLING, I.CLOSED): S.ENDED,
    (S.PROCEEDING, I.PROVISIONAL): S.PROCEEDING,
    (S.PROCEEDING, I.ACCEPTED): S.ESTABLISHED,
    (S.PROCEEDING, I.CANCEL): S.CANCELING,
    (S.PROCEEDING, I.CLOSED): S.ENDED,
    (S.CANCELING, I.PROVISIONAL): S.CANCELING,
    (S.CANCELING, I.BYE): S.ENDING,
    (S.CANCELING, I.CLOSED): S.ENDED,
    (S.RINGING, I.ANSWER): S.ANSWERED,
    (S.RINGING, I.CLOSED): S.ENDED,
    (S.ANSWERED, I.ACK): S.ESTABLISHED,
    (S.ANSWERED, I.BYE): S.ENDING,
    (S.ANSWERED, I.CLOSED): S.ENDED,
    (S.ESTABLISHED, I.BYE): S.ENDING,
    (S.ESTABLISHED, I.CLOSED): S.ENDED,
    (S.ENDING, I.CLOSED): S.ENDED,
}
"""What is not named here does not happen in that state."""

_EARLY: Final = {"UPDATE", "INFO", "OPTIONS", "NOTIFY"}

COMMANDS: Final[dict[CallState, frozenset[Command]]] = {
    S.CALLING: frozenset(),
    S.PROCEEDING: frozenset({Command.UPDATE}),
    S.CANCELING: frozenset(),
    S.RINGING: frozenset({Command.RING, Command.ANSWER, Command.REJECT, Command.UPDATE}),
    S.ANSWERED: frozenset(),
    S.ESTABLISHED: frozenset({Command.REINVITE, Command.UPDATE, Command.REFER}),
    S.ENDING: frozenset(),
    S.ENDED: frozenset(),
}
"""What the application may ask for; hanging up always does what is right."""

PEER_METHODS: Final[dict[CallState, frozenset[str]]] = {
    S.CALLING: frozenset(),
    S.PROCEEDING: frozenset(_EARLY | {"BYE"}),
    S.CANCELING: frozenset(_EARLY | {"BYE"}),
    S.RINGING: frozenset(_EARLY | {"PRACK", "BYE"}),
    S.ANSWERED: frozenset(_EARLY | {"PRACK", "BYE", "INVITE"}),
    S.ESTABLISHED: frozenset(_EARLY | {"PRACK", "BYE", "INVITE", "REFER"}),
    S.ENDING: frozenset({"BYE"}),
    S.ENDED: frozenset(),
}
"""The requests of the peer that mean something; others get 481, which ends the dialog for it."""

TOO_EARLY: Final[dict[tuple[CallState, str], int]] = {
    (S.PROCEEDING, "INVITE"): 491,
    (S.PROCEEDING, "REFER"): 500,
    (S.CANCELING, "INVITE"): 491,
    (S.RINGING, "INVITE"): 500,
    (S.RINGING, "REFER"): 500,
    (S.ANSWERED, "REFER"): 500,
}
"""What those get that will mean something soon (RFC 3261 section 14.2); 500 goes with a
Retry-After."""
