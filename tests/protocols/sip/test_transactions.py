"""The transaction tables entry by entry, and the layer over them."""

from __future__ import annotations

import pytest

from protocols.errors import LocalProtocolError
from protocols.sip.call_tables import (
    COMMANDS,
    PEER_METHODS,
    TRANSITIONS,
    CallInput,
    CallState,
)
from protocols.sip.errors import SipError
from protocols.sip.flow import Hop, TimerQueue, Transport
from protocols.sip.limits import Limits, Timers
from protocols.sip.message import Request, Response, respond
from protocols.sip.parser import parse
from protocols.sip.transaction_tables import (
    FIRST,
    LIVING,
    TABLES,
    Do,
    Input,
    Kind,
    State,
    duration,
    next_interval,
)
from protocols.sip.transactions import Cause, TransactionLayer, server_key

S, I = State, Input  # noqa: E741 - the tables read better with one letter

# RFC 3261 figures 5 to 8 with RFC 6026: state, input → next state. All others change nothing.
EXPECTED = {
    Kind.INVITE_CLIENT: {
        (S.CALLING, I.TIMER_A): S.CALLING,
        (S.CALLING, I.TIMER_B): S.TERMINATED,
        (S.CALLING, I.TRANSPORT_ERROR): S.TERMINATED,
        (S.CALLING, I.PROVISIONAL): S.PROCEEDING,
        (S.CALLING, I.SUCCESS): S.ACCEPTED,
        (S.CALLING, I.FAILURE): S.COMPLETED,
        (S.PROCEEDING, I.PROVISIONAL): S.PROCEEDING,
        (S.PROCEEDING, I.SUCCESS): S.ACCEPTED,
        (S.PROCEEDING, I.FAILURE): S.COMPLETED,
        (S.PROCEEDING, I.TIMER_C): S.TERMINATED,  # only once its user gave up (section 9.1)
        (S.ACCEPTED, I.SUCCESS): S.ACCEPTED,
        (S.ACCEPTED, I.TIMER_M): S.TERMINATED,
        (S.COMPLETED, I.FAILURE): S.COMPLETED,
        (S.COMPLETED, I.TIMER_D): S.TERMINATED,
        (S.COMPLETED, I.TRANSPORT_ERROR): S.TERMINATED,
    },
    Kind.CLIENT: {
        (S.TRYING, I.TIMER_E): S.TRYING,
        (S.TRYING, I.TIMER_F): S.TERMINATED,
        (S.TRYING, I.TRANSPORT_ERROR): S.TERMINATED,
        (S.TRYING, I.PROVISIONAL): S.PROCEEDING,
        (S.TRYING, I.SUCCESS): S.COMPLETED,
        (S.TRYING, I.FAILURE): S.COMPLETED,
        (S.PROCEEDING, I.TIMER_E): S.PROCEEDING,
        (S.PROCEEDING, I.TIMER_F): S.TERMINATED,
        (S.PROCEEDING, I.TRANSPORT_ERROR): S.TERMINATED,
        (S.PROCEEDING, I.PROVISIONAL): S.PROCEEDING,
        (S.PROCEEDING, I.SUCCESS): S.COMPLETED,
        (S.PROCEEDING, I.FAILURE): S.COMPLETED,
        (S.COMPLETED, I.TIMER_K): S.TERMINATED,
    },
    Kind.INVITE_SERVER: {
        (S.PROCEEDING, I.REQUEST): S.PROCEEDING,
        (S.PROCEEDING, I.PROVISIONAL): S.PROCEEDING,
        (S.PROCEEDING, I.SUCCESS): S.ACCEPTED,
        (S.PROCEEDING, I.FAILURE): S.COMPLETED,
        (S.ACCEPTED, I.SUCCESS): S.ACCEPTED,
        (S.ACCEPTED, I.ACK): S.ACCEPTED,
        (S.ACCEPTED, I.TIMER_L): S.TERMINATED,
        (S.COMPLETED, I.REQUEST): S.COMPLETED,
        (S.COMPLETED, I.TIMER_G): S.COMPLETED,
        (S.COMPLETED, I.TIMER_H): S.TERMINATED,
        (S.COMPLETED, I.ACK): S.CONFIRMED,
        (S.CONFIRMED, I.TIMER_I): S.TERMINATED,
    },
    Kind.SERVER: {
        (S.TRYING, I.PROVISIONAL): S.PROCEEDING,
        (S.TRYING, I.SUCCESS): S.COMPLETED,
        (S.TRYING, I.FAILURE): S.COMPLETED,
        (S.PROCEEDING, I.REQUEST): S.PROCEEDING,
        (S.PROCEEDING, I.PROVISIONAL): S.PROCEEDING,
        (S.PROCEEDING, I.SUCCESS): S.COMPLETED,
        (S.PROCEEDING, I.FAILURE): S.COMPLETED,
        (S.COMPLETED, I.REQUEST): S.COMPLETED,
        (S.COMPLETED, I.TIMER_J): S.TERMINATED,
    },
}
TELLS = {Do.PASS, Do.TIMEOUT, Do.ERROR}


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("what", list(Input))
def test_every_entry_is_the_figure_of_the_rfc(kind: Kind, state: State, what: Input) -> None:
    row = TABLES[kind].get((state, what))
    assert (row[0] if row else None) == EXPECTED[kind].get((state, what))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_state_that_is_reached_ends_by_itself_or_by_its_user(kind: Kind) -> None:
    """Each state but the first of a server and Proceeding has a timer that ends it."""
    for (state, _), (target, actions) in TABLES[kind].items():
        started = {action for action in actions if isinstance(action, Input)}
        assert started <= LIVING[target] or target is state
        if target in (State.COMPLETED, State.ACCEPTED, State.CONFIRMED) and target is not state:
            ends = {
                w for (s, w), (t, _) in TABLES[kind].items() if s is target and t is S.TERMINATED
            }
            assert ends & started
    assert set(FIRST[kind][1]) <= LIVING[FIRST[kind][0]]


@pytest.mark.parametrize("kind", [Kind.INVITE_CLIENT, Kind.CLIENT])
def test_the_user_hears_exactly_one_end(kind: Kind) -> None:
    """A final response or a failure, never after one another (2xx of forks aside)."""
    for (state, what), (_, actions) in TABLES[kind].items():
        tells = TELLS & {a for a in actions if isinstance(a, Do)}
        if state is State.COMPLETED:
            assert not tells
        elif what in (I.TIMER_B, I.TIMER_F):
            assert tells == {Do.TIMEOUT}


@pytest.mark.parametrize(
    ("timer", "unreliable", "reliable"),
    [
        (I.TIMER_B, 32, 32),
        (I.TIMER_D, 32, 0),
        (I.TIMER_F, 32, 32),
        (I.TIMER_H, 32, 32),
        (I.TIMER_I, 5, 0),
        (I.TIMER_J, 32, 0),
        (I.TIMER_K, 5, 0),
        (I.TIMER_L, 32, 32),
        (I.TIMER_M, 32, 32),
    ],
)
def test_timers_last_as_table_4_says(timer: Input, unreliable: float, reliable: float) -> None:
    assert duration(timer, Timers(), is_reliable=False) == unreliable
    assert duration(timer, Timers(), is_reliable=True) == reliable


def test_repeating_timers_double() -> None:
    def series(timer: Input, state: State) -> list[float]:
        found = [0.0]
        for _ in range(6):
            found.append(next_interval(timer, found[-1], Timers(), state))
        return found[1:]

    assert series(I.TIMER_A, S.CALLING) == [0.5, 1, 2, 4, 8, 16]
    assert series(I.TIMER_E, S.TRYING) == [0.5, 1, 2, 4, 4, 4]
    assert series(I.TIMER_G, S.COMPLETED) == [0.5, 1, 2, 4, 4, 4]
    assert series(I.TIMER_E, S.PROCEEDING) == [4] * 6


@pytest.mark.parametrize("state", list(CallState))
def test_every_call_ends(state: CallState) -> None:
    """From every state but the last there is a way to the end, and from the last none."""
    after = TRANSITIONS.get((state, CallInput.CLOSED))
    assert after is (None if state is CallState.ENDED else CallState.ENDED)
    assert state in COMMANDS and state in PEER_METHODS


CALL_ROWS = {
    CallState.CALLING: {CallInput.PROVISIONAL, CallInput.ACCEPTED, CallInput.CANCEL},
    CallState.PROCEEDING: {CallInput.PROVISIONAL, CallInput.ACCEPTED, CallInput.CANCEL},
    CallState.CANCELING: {CallInput.PROVISIONAL, CallInput.BYE},
    CallState.RINGING: {CallInput.ANSWER},
    CallState.ANSWERED: {CallInput.ACK, CallInput.BYE},
    CallState.ESTABLISHED: {CallInput.BYE},
    CallState.ENDING: set(),
    CallState.ENDED: set(),
}


@pytest.mark.parametrize("state", list(CallState))
@pytest.mark.parametrize("what", [what for what in CallInput if what is not CallInput.CLOSED])
def test_call_states_entry_by_entry(state: CallState, what: CallInput) -> None:
    assert ((state, what) in TRANSITIONS) is (what in CALL_ROWS[state])


# ---------------------------------------------------------------------- the layer

UDP, TCP = Hop(Transport.UDP, "p.example", 5060), Hop(Transport.TCP, "p.example", 5060, 1)


class User:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_response(self, response: Response, now: float) -> None:
        self.told.append(response.code)

    def on_failure(self, cause: Cause, now: float) -> None:
        self.told.append(cause)


def layer(**limits: int) -> TransactionLayer:
    return TransactionLayer(TimerQueue(), Limits(**limits), Timers())


def make(
    method: str = "OPTIONS", branch: str = "z9hG4bK1", host: str = "h.example", cseq: int = 1
) -> Request:
    text = (
        f"{method} sip:b@p.example SIP/2.0\r\nVia: SIP/2.0/UDP {host};branch={branch}\r\n"
        "From: <sip:a@h.example>;tag=1\r\nTo: <sip:b@p.example>\r\nCall-ID: c\r\n"
        f"CSeq: {cseq} {'INVITE' if method == 'ACK' else method}\r\n\r\n"
    ).replace("1 INVITE\r\n\r\n" if method == "ACK" else "\0", "1 ACK\r\n\r\n")
    parsed = parse(text.encode())
    assert isinstance(parsed, Request)
    return parsed


@pytest.mark.parametrize(("hop", "copies"), [(UDP, 11), (TCP, 1)])
def test_a_request_is_repeated_over_unreliable_transports_only(hop: Hop, copies: int) -> None:
    tested, user = layer(), User()
    tested.request(make(), hop, user, 0.0)
    while (due := tested.queue.next_due()) is not None:
        tested.queue.run(due)
    assert len(tested.out) == copies
    assert user.told == [Cause.TIMEOUT] and not len(tested)


@pytest.mark.parametrize(("hop", "waits"), [(UDP, True), (TCP, False)])
def test_a_final_response_ends_the_transaction_after_its_copies(hop: Hop, waits: bool) -> None:
    tested, user = layer(), User()
    request = make()
    tested.request(request, hop, user, 0.0)
    tested.receive_response(respond(request, 200, "x"), 1.0)
    tested.receive_response(respond(request, 200, "x"), 1.0)
    tested.queue.run(1.0)
    assert user.told == [200] and bool(len(tested)) is waits
    tested.queue.run(6.0)
    assert not len(tested)


def test_a_response_must_fit_branch_and_method() -> None:
    tested, user = layer(), User()
    tested.request(make(), UDP, user, 0.0)
    tested.receive_response(respond(make(branch="z9hG4bK2"), 200, "x"), 1.0)
    tested.receive_response(respond(make("INFO"), 200, "x"), 1.0)
    assert not user.told and tested.stray_responses == 2


def test_requests_match_by_branch_sent_by_and_method() -> None:
    tested = layer()
    assert tested.receive_request(make(), UDP, 0.0)
    assert tested.receive_request(make(), UDP, 0.0) is None
    assert tested.receive_request(make(host="other.example", cseq=2), UDP, 0.0)
    assert tested.receive_request(make("INFO"), UDP, 0.0)
    assert server_key(make("ACK")) == server_key(make("INVITE")) != server_key(make("BYE"))


def test_limits_hold_on_both_sides() -> None:
    tested, user = layer(client_transactions=1, server_transactions=1), User()
    tested.request(make(), UDP, user, 0.0)
    with pytest.raises(LocalProtocolError):
        tested.request(make(branch="z9hG4bK2"), UDP, user, 0.0)
    tested.receive_request(make(), UDP, 0.0)
    with pytest.raises(SipError) as fault:
        tested.receive_request(make(branch="z9hG4bK2"), UDP, 0.0)
    assert fault.value.status_hint == 503


def test_canceled_timers_do_not_gather() -> None:
    queue = TimerQueue()
    for number in range(20_000):
        queue.start(1000.0 + number, lambda now: None).cancel()
    assert len(queue._heap) < 5000
    assert queue.next_due() is None
