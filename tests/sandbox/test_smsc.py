"""The simulated SMSC, seen by an ESME over loopback."""

from __future__ import annotations

import asyncio

import pytest

from gateway.sandbox.behaviour import ANSWER, LONG_ANSWER, MAGIC
from gateway.sandbox.smsc import SandboxSmsc
from gateway.sandbox.submitted import Submitted
from protocols.smpp import BindKind, BindRefused, Bound
from protocols.smpp import status as s
from protocols.sms.receipts import ReceiptState
from tests.sandbox.esme import LONG, SHOP, Esme, bound_esme, open_esme, phone, receipt_in, text_in

# ---------------------------------------------------------------------- binds


@pytest.mark.parametrize("kind", list(BindKind))
async def test_each_bind(smsc: SandboxSmsc, kind: BindKind) -> None:
    """An ESME with the right password is bound, in whichever way it asks for."""
    async with await open_esme(smsc.port) as esme:
        assert isinstance(await esme.bind(kind=kind), Bound)
        assert [(peer.number, peer.kind) for peer in smsc.sessions] == [(1, kind)]


@pytest.mark.parametrize(
    ("system_id", "password", "status"),
    [("lab", "wrong", s.ESME_RINVPASWD), ("nobody", "lab", s.ESME_RINVSYSID)],
)
async def test_wrong_account(smsc: SandboxSmsc, system_id: str, password: str, status: int) -> None:
    """A wrong name or password is refused with its own status, and the connection ends."""
    async with await open_esme(smsc.port) as esme:
        assert await esme.bind(system_id, password) == BindRefused(status)
        await esme.ended()
        assert smsc.sessions == []


async def test_refusing_binds(smsc: SandboxSmsc) -> None:
    """Binds are refused with the status set, until it is 0 again."""
    smsc.behaviour.bind_status = s.ESME_RBINDFAIL
    async with await open_esme(smsc.port) as esme:
        assert await esme.bind() == BindRefused(s.ESME_RBINDFAIL)
    smsc.behaviour.bind_status = 0
    async with await open_esme(smsc.port) as esme:
        assert isinstance(await esme.bind(), Bound)


# ---------------------------------------------------------------------- magic numbers


@pytest.mark.parametrize("magic", ["0100", "0109", "0150"])
async def test_delivered(smsc: SandboxSmsc, esme: Esme, magic: str) -> None:
    """A text to a number without a conduct of its own is delivered, with receipt."""
    answer = await esme.send(phone(magic))
    [message] = await esme.delivered(1)
    receipt = receipt_in(message)
    assert answer.status == s.ESME_ROK
    assert (message.source, message.dest) == (phone(magic), SHOP)
    assert receipt.message_id == answer.message_id
    assert receipt.state is ReceiptState.DELIVERED
    assert b" stat:DELIVRD err:000 text:Your gown is ready." in message.payload
    assert smsc.texts(phone(magic)) == ["Your gown is ready."]


@pytest.mark.parametrize(
    ("magic", "state", "word", "error"),
    [
        ("0110", ReceiptState.UNDELIVERABLE, "UNDELIV", "001"),
        ("0120", ReceiptState.EXPIRED, "EXPIRED", "027"),
    ],
)
async def test_not_delivered(
    esme: Esme, magic: str, state: ReceiptState, word: str, error: str
) -> None:
    """A text that does not arrive is accepted all the same; the receipt tells why."""
    assert (await esme.send(phone(magic))).status == s.ESME_ROK
    receipt = receipt_in((await esme.delivered(1))[0])
    assert (receipt.state, receipt.word, receipt.error) == (state, word, error)


async def test_no_receipt(esme: Esme) -> None:
    """No receipt comes for 0111, though later ones for other numbers do."""
    await esme.send(phone("0111"))
    await esme.send(phone("0100"))
    [message] = await esme.delivered(1)
    assert message.source == phone("0100")


@pytest.mark.parametrize(
    ("magic", "statuses"),
    [
        ("0112", [s.ESME_RTHROTTLED, s.ESME_RTHROTTLED, s.ESME_ROK]),
        ("0118", [s.ESME_RSYSERR, s.ESME_ROK]),
        ("0113", [s.ESME_RINVDSTADR] * 4),
    ],
)
async def test_refused(esme: Esme, magic: str, statuses: list[int]) -> None:
    """A fault that passes is over after its number of tries; one that lasts, lasts."""
    assert [(await esme.send(phone(magic))).status for _ in statuses] == statuses


async def test_faults_are_per_text(esme: Esme) -> None:
    """Each text meets the fault on its own."""
    first = await esme.send(phone("0118"), "one")
    second = await esme.send(phone("0118"), "two")
    assert [first.status, second.status] == [s.ESME_RSYSERR, s.ESME_RSYSERR]


@pytest.mark.parametrize(
    ("magic", "words", "parts"), [("0114", ANSWER, 1), ("0119", LONG_ANSWER, 2)]
)
async def test_answers(esme: Esme, magic: str, words: str, parts: int) -> None:
    """A person answers a text once, however many segments it has, at need in two segments."""
    esme.post(phone(magic), LONG)
    receipts = len(await esme.answered(3))
    messages = (await esme.delivered(receipts + parts))[receipts:]
    assert text_in(messages) == words
    assert {(m.source, m.dest) for m in messages} == {(phone(magic), SHOP)}


async def test_answers_without_receipts(esme: Esme) -> None:
    """The person answers also where no receipt was asked for."""
    esme.post(phone("0114"), "Hello", registered_delivery=0)
    assert text_in(await esme.delivered(1)) == ANSWER


async def test_receipt_before_response(esme: Esme) -> None:
    """The receipt for 0115 is there before the response that names its id."""
    answer = await esme.send(phone("0115"))
    [message] = await esme.delivered(1)
    assert receipt_in(message).message_id == answer.message_id
    names = [type(event).__name__ for event in esme.log]
    assert names.index("Received") < names.index("Answered")


async def test_hexadecimal_id(esme: Esme) -> None:
    """The response for 0116 names the id in decimal, the receipt in hexadecimal."""
    answer = await esme.send(phone("0116"))
    named = receipt_in((await esme.delivered(1))[0]).message_id
    assert named is not None
    assert named != answer.message_id
    assert int(named, 16) == int(answer.message_id)


async def test_slow_response(esme: Esme) -> None:
    """The response for 0117 comes after those for later texts."""
    esme.post(phone("0117"), "first")
    esme.post(phone("0100"), "second")
    assert [answer.context for answer in await esme.answered(2)] == ["second", "first"]
    assert len(await esme.delivered(2)) == 2


async def test_never_answered(smsc: SandboxSmsc, esme: Esme) -> None:
    """The first text to 0121 gets no answer, though later ones do; when it comes again it does."""
    esme.post(phone("0121"), "first")
    esme.post(phone("0121"), "second")
    esme.post(phone("0100"), "third")
    assert [answer.context for answer in await esme.answered(1)] == ["third"]
    esme.post(phone("0121"), "first")
    assert [answer.context for answer in await esme.answered(2)] == ["third", "first"]
    assert [one.status for one in smsc.received] == [None, None, 0, 0]
    assert smsc.texts(phone("0121")) == ["first"]


async def test_unbind_despite_silence(esme: Esme) -> None:
    """An ESME that unbinds is let go, though some of its texts were never answered."""
    esme.post(phone("0121"), "first")
    await esme.send(phone("0100"))
    esme.connection.session.unbind(asyncio.get_running_loop().time())
    esme.connection.flush()
    assert (await esme.ended()).unanswered == ["first"]


async def test_cut(smsc: SandboxSmsc, esme: Esme) -> None:
    """The first text to 0122 ends the connection without an answer; the next time it is taken."""
    esme.post(phone("0122"), "Hello")
    assert (await esme.ended()).unanswered == ["Hello"]
    async with await bound_esme(smsc.port) as again:
        assert (await again.send(phone("0122"), "Hello")).status == s.ESME_ROK
    assert [(one.session, one.status) for one in smsc.received] == [(1, None), (2, 0)]


async def test_intermediate_notification(esme: Esme) -> None:
    """A notification on the way comes before the receipt for 0123."""
    answer = await esme.send(phone("0123"))
    first, second = map(receipt_in, await esme.delivered(2))
    assert [first.state, second.state] == [ReceiptState.ENROUTE, ReceiptState.DELIVERED]
    assert first.message_id == second.message_id == answer.message_id


@pytest.mark.parametrize(
    ("registered_delivery", "states"),
    [
        (0, []),
        (1, [ReceiptState.UNDELIVERABLE, ReceiptState.DELIVERED]),
        (2, [ReceiptState.UNDELIVERABLE]),
    ],
)
async def test_receipts_as_asked_for(
    smsc: SandboxSmsc, esme: Esme, registered_delivery: int, states: list[ReceiptState]
) -> None:
    """Receipts come only if registered_delivery asks: for all, for failures, for none."""
    esme.post(phone("0110"), "one", registered_delivery=registered_delivery)
    esme.post(phone("0100"), "two", registered_delivery=registered_delivery)
    esme.post(phone("0100"), "three")
    messages = await esme.delivered(len(states) + 1)
    assert [receipt_in(message).state for message in messages][:-1] == states
    assert b"text:three" in messages[-1].payload


def test_table_is_whole() -> None:
    """Every entry of the table says what it does, under seven digits that are free for examples."""
    assert all(len(digits) == 7 and digits.startswith("55501") for digits in MAGIC)
    assert all(conduct.does for conduct in MAGIC.values())


# ---------------------------------------------------------------------- what was received


async def test_long_text(smsc: SandboxSmsc, esme: Esme) -> None:
    """The segments of a long text are shown one by one and put together."""
    esme.post(phone("0100"), LONG)
    received = await smsc.wait_for_count(3)
    assert [(one.part.number, one.part.total) for one in received] == [(1, 3), (2, 3), (3, 3)]
    assert {one.part.reference for one in received} == {7}
    assert [one.order for one in received] == [1, 2, 3]
    assert "".join(one.text for one in received) == LONG
    assert smsc.texts() == [LONG]


async def test_waiting_for_a_text(smsc: SandboxSmsc, esme: Esme) -> None:
    """A text can be waited for before and after it came."""
    waiting = asyncio.create_task(smsc.wait_for(lambda one: one.text == "second"))
    esme.post(phone("0100"), "first")
    esme.post(phone("0100"), "second")
    assert (await waiting).order == 2
    assert await smsc.wait_for(lambda one: one.text == "second") is smsc.received[1]
    with pytest.raises(TimeoutError):
        await smsc.wait_for(lambda one: one.text == "third", timeout_s=0.0)


async def test_keeping_the_newest() -> None:
    """No more is kept than asked for; the count goes on."""
    smsc = SandboxSmsc(keep_max=2)
    async with await bound_esme(await smsc.start()) as esme:
        for text in ("one", "two", "three"):
            await esme.send(phone("0111"), text)
    await smsc.stop()
    assert smsc.submits == 3
    assert [one.text for one in smsc.received] == ["two", "three"]


async def test_hook(smsc: SandboxSmsc, esme: Esme) -> None:
    """The hook sees each text and may choose its answer."""

    def refuse_twos(one: Submitted) -> int | None:
        return s.ESME_RMSGQFUL if one.text == "two" else None

    smsc.on_submit = refuse_twos
    statuses = [(await esme.send(phone("0100"), text)).status for text in ("one", "two")]
    assert statuses == [s.ESME_ROK, s.ESME_RMSGQFUL]
    assert smsc.texts() == ["one"]


async def test_ids_are_not_repeated() -> None:
    """Another SMSC never names an id that one before it did."""
    ids = []
    for _ in range(2):
        smsc = SandboxSmsc()
        async with await bound_esme(await smsc.start()) as esme:
            ids += [(await esme.send(phone("0111"))).message_id for _ in range(3)]
        await smsc.stop()
    assert len(set(ids)) == 6


# ---------------------------------------------------------------------- modes


async def test_throttling_everything(smsc: SandboxSmsc, esme: Esme) -> None:
    """Every text is answered with the status set, until it is 0 again."""
    smsc.behaviour.submit_status = s.ESME_RTHROTTLED
    assert (await esme.send(phone("0100"))).status == s.ESME_RTHROTTLED
    smsc.behaviour.submit_status = 0
    assert (await esme.send(phone("0100"))).status == s.ESME_ROK
    assert len(await esme.delivered(1)) == 1


async def test_delayed_responses(smsc: SandboxSmsc, esme: Esme) -> None:
    """With a delay responses come later, in order, receipts after them."""
    smsc.behaviour.response_delay_s = 0.01
    esme.post(phone("0100"), "one")
    esme.post(phone("0100"), "two")
    await esme.delivered(2)
    assert [answer.context for answer in esme.answers] == ["one", "two"]


async def test_silence(smsc: SandboxSmsc, esme: Esme) -> None:
    """A silent SMSC keeps what comes and answers nothing."""
    smsc.behaviour.is_silent = True
    esme.post(phone("0100"), "one")
    [one] = await smsc.wait_for_count(1)
    assert one.status is None
    assert esme.answers == []


async def test_cut_after(smsc: SandboxSmsc, esme: Esme) -> None:
    """The connection is cut at the text of the number set, and only that once."""
    smsc.behaviour.cut_after = 3
    for text in ("one", "two"):
        await esme.send(phone("0100"), text)
    esme.post(phone("0100"), "three")
    assert (await esme.ended()).unanswered == ["three"]
    async with await bound_esme(smsc.port) as again:
        assert (await again.send(phone("0100"), "three")).status == s.ESME_ROK
    assert [one.status for one in smsc.received] == [0, 0, None, 0]


async def test_cut_in_mid_window(smsc: SandboxSmsc, esme: Esme) -> None:
    """After a cut nothing of what was sent behind it is taken."""
    smsc.behaviour.cut_after = 5
    for n in range(20):
        esme.post(phone("0100"), f"text {n}")
    await esme.ended()
    assert smsc.submits == 5


async def test_dropping_all(smsc: SandboxSmsc, esme: Esme) -> None:
    """All connections are cut at once."""
    async with await bound_esme(smsc.port) as other:
        smsc.drop_all()
        await esme.ended()
        await other.ended()
    await smsc.wait_until(lambda: not smsc.sessions)


async def test_not_listening(smsc: SandboxSmsc, esme: Esme) -> None:
    """An SMSC that does not listen keeps its sessions; later it listens on the same port."""
    port = smsc.port
    smsc.stop_listening()
    with pytest.raises(OSError):
        await open_esme(port)
    assert (await esme.send(phone("0100"))).status == s.ESME_ROK
    await smsc.listen_again()
    assert smsc.port == port
    async with await bound_esme(port):
        assert len(smsc.sessions) == 2
