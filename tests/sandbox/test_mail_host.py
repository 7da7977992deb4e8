"""The simulated mail host, over real SMTP on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.sandbox import mail_host
from gateway.sandbox.mail_host import MAGIC_ADDRESSES, MailHost, magic_of
from protocols.mail.outcome import Doubtful, Refused, Sent, Stage
from protocols.mail.transport import Account, SmtpSender, Timeouts

FROM = "texts@gateway.example"


def mail(number: int = 1) -> bytes:
    return (
        f"Message-ID: <{number}@gateway.example>\r\nSubject: Text {number}\r\n"
        'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
        f"Größe {number}?\r\n"
    ).encode()


@pytest.fixture
async def host() -> AsyncIterator[MailHost]:
    host = MailHost(kept=3, slow_s=60)
    await host.start()
    yield host
    await host.stop()


@pytest.fixture
async def sender(host: MailHost) -> AsyncIterator[SmtpSender]:
    sender = SmtpSender(Account("127.0.0.1", host.port, "none"), timeouts=Timeouts(data_s=0.05))
    yield sender
    await sender.close()


async def test_keeps(host: MailHost, sender: SmtpSender) -> None:
    """A mail to any usual address is taken, kept and can be read."""
    assert isinstance(await sender.send(FROM, "owner@shop.example", mail()), Sent)
    (kept,) = host.mails
    assert (kept.sender, kept.recipient) == (FROM, "owner@shop.example")
    assert (kept.subject, kept.text) == ("Text 1", "Größe 1?\n")


async def test_keeps_the_last(host: MailHost, sender: SmtpSender) -> None:
    """Only the last mails are kept, oldest first."""
    for number in range(5):
        await sender.send(FROM, "owner@shop.example", mail(number))
    assert [kept.subject for kept in host.mails] == ["Text 2", "Text 3", "Text 4"]


async def test_mail_without_text(host: MailHost, sender: SmtpSender) -> None:
    """A mail that is no mail has no subject and shows what text it has."""
    await sender.send(FROM, "owner@shop.example", b"\r\n")
    assert (host.mails[0].subject, host.mails[0].text) == ("", "")


async def test_refused(host: MailHost, sender: SmtpSender) -> None:
    """`refused@` is no mailbox."""
    outcome = await sender.send(FROM, "refused@shop.example", mail())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.is_temporary, outcome.stage) == (550, False, Stage.RECIPIENT)
    assert host.mails == []


async def test_full(host: MailHost, sender: SmtpSender) -> None:
    """`full@` refuses each mail after having read it."""
    outcome = await sender.send(FROM, "full@shop.example", mail())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.is_temporary, outcome.stage) == (552, False, Stage.MESSAGE)
    assert host.mails == []


async def test_busy(host: MailHost, sender: SmtpSender) -> None:
    """`busy@` takes each mail the second time it comes."""
    for number in (1, 2):
        first = await sender.send(FROM, "busy@shop.example", mail(number))
        assert isinstance(first, Refused)
        assert (first.code, first.is_temporary) == (451, True)
        assert isinstance(await sender.send(FROM, "busy@shop.example", mail(number)), Sent)
    assert [kept.subject for kept in host.mails] == ["Text 1", "Text 2"]


async def test_busy_without_message_id(host: MailHost, sender: SmtpSender) -> None:
    """A mail without an id is told by its octets."""
    plain = b"Subject: x\r\n\r\nx\r\n"
    assert isinstance(await sender.send(FROM, "busy@shop.example", plain), Refused)
    assert isinstance(await sender.send(FROM, "busy@shop.example", plain), Sent)


async def test_busy_mailboxes(host: MailHost, sender: SmtpSender) -> None:
    """What stands after a + makes another mailbox that is busy on its own."""
    await sender.send(FROM, "busy@shop.example", mail())
    assert isinstance(await sender.send(FROM, "Busy+2@shop.example", mail()), Refused)


async def test_cut(host: MailHost, sender: SmtpSender) -> None:
    """`cut@` keeps a mail without saying so, and then both copies bear the same id."""
    assert isinstance(await sender.send(FROM, "cut@shop.example", mail()), Doubtful)
    assert len(host.mails) == 1
    assert isinstance(await sender.send(FROM, "cut@shop.example", mail()), Sent)
    assert [kept.message["Message-ID"] for kept in host.mails] == ["<1@gateway.example>"] * 2


async def test_slow(host: MailHost, sender: SmtpSender) -> None:
    """`slow@` answers too late for a sender in a hurry."""
    assert isinstance(await sender.send(FROM, "slow@shop.example", mail()), Doubtful)
    assert len(host.mails) == 1


async def test_slow_ends() -> None:
    """`slow@` does answer."""
    host = MailHost(slow_s=0)
    await host.start()
    sender = SmtpSender(Account("127.0.0.1", host.port, "none"))
    assert isinstance(await sender.send(FROM, "slow@shop.example", mail()), Sent)
    await sender.close()
    await host.stop()


async def test_wait_for(host: MailHost, sender: SmtpSender) -> None:
    """Waiting ends with the mail that is waited for, whether it came before or comes later."""
    later = asyncio.create_task(host.wait_for(lambda kept: kept.subject == "Text 2"))
    await sender.send(FROM, "owner@shop.example", mail(1))
    assert not later.done()
    await sender.send(FROM, "owner@shop.example", mail(2))
    assert (await later).text == "Größe 2?\n"
    assert (await host.wait_for(lambda kept: kept.subject == "Text 1")).text == "Größe 1?\n"


async def test_wait_in_vain(host: MailHost) -> None:
    """Waiting for what does not come ends with a TimeoutError."""
    with pytest.raises(TimeoutError):
        await host.wait_for(lambda kept: True, timeout_s=0.01)


async def test_stop_and_start_again(host: MailHost, sender: SmtpSender) -> None:
    """A stopped host can be started again on the same port and has kept its mails."""
    port = host.port
    await sender.send(FROM, "owner@shop.example", mail(1))
    await host.stop()
    await host.stop()
    with pytest.raises(RuntimeError):
        _ = host.port
    await host.start(port=port)
    assert isinstance(await sender.send(FROM, "owner@shop.example", mail(2)), Sent)
    assert [kept.subject for kept in host.mails] == ["Text 1", "Text 2"]


def test_magic_documented() -> None:
    """Every magic address stands in the table of the module's documentation, word for word."""
    documentation = mail_host.__doc__ or ""
    rows = [line.split("@…", 1) for line in documentation.splitlines() if "@…" in line]
    assert {name: what.strip() for name, what in rows} == MAGIC_ADDRESSES


@pytest.mark.parametrize(
    ("address", "magic"),
    [
        ("busy@shop.example", "busy"),
        ("BUSY+1@other.example", "busy"),
        ("busybody@shop.example", None),
        ("busy", None),
        ("", None),
    ],
)
def test_magic(address: str, magic: str | None) -> None:
    """The whole local part up to a + chooses, in any case."""
    assert magic_of(address) == magic
