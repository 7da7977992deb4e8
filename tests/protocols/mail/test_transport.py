"""Handing mails to an SMTP server, and what each ending means."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.sandbox.mail_host import MailHost
from protocols.errors import LocalProtocolError
from protocols.mail.outcome import Doubtful, Outcome, Refused, Sent, Stage, Unreachable
from protocols.mail.transport import MAX_MAIL_BYTES, Account, SmtpSender, Timeouts
from tests.protocols.mail.servers import BANNER, TEXT, make_contexts, scripted

FROM = "texts@gateway.example"
TO = "owner@shop.example"
MAIL = b"Subject: Text\r\nMessage-ID: <1@gateway.example>\r\n\r\nIs my gown ready?\r\n"
SHORT = 0.05
"""A deadline that a test lets run out, in seconds."""


@asynccontextmanager
async def sender_to(
    port: int, *, connections: int = 2, timeouts: Timeouts | None = None
) -> AsyncIterator[SmtpSender]:
    """A sender without TLS to a server on loopback, closed at the end."""
    account = Account("127.0.0.1", port, "none")
    sender = SmtpSender(account, connections=connections, timeouts=timeouts)
    try:
        yield sender
    finally:
        await sender.close()


@pytest.fixture
async def host() -> AsyncIterator[MailHost]:
    host = MailHost()
    await host.start()
    yield host
    await host.stop()


@pytest.fixture
async def sender(host: MailHost) -> AsyncIterator[SmtpSender]:
    async with sender_to(host.port) as sender:
        yield sender


async def outcome_of(script: dict[str, str | None], timeouts: Timeouts | None = None) -> Outcome:
    """How one mail to a server with this script ends."""
    async with scripted(script) as server, sender_to(server.port, timeouts=timeouts) as sender:
        return await sender.send(FROM, TO, MAIL)


# What leaves


async def test_sent(host: MailHost, sender: SmtpSender) -> None:
    """A mail arrives as it was, from the sender and for the recipient of its envelope."""
    assert await sender.send(FROM, TO, MAIL) == Sent("250 2.0.0 kept")
    (mail,) = host.mails
    assert (mail.sender, mail.recipient, mail.data) == (FROM, TO, MAIL)


async def test_dots(host: MailHost, sender: SmtpSender) -> None:
    """Lines of dots arrive whole, and none of them ends the mail."""
    mail = b".a\r\n\r\n.\r\n..\r\n.\r\nMAIL FROM:<x@y.example>\r\n"
    await sender.send(FROM, TO, mail)
    assert [kept.data for kept in host.mails] == [mail]


@pytest.mark.parametrize(
    "mail",
    [
        b"a\nb\r\n",
        b"a\rb\r\n",
        b"a\n.\r\nMAIL FROM:<x@y.example>\r\n",
        b"a\r\n.\nb\r\n",
        b"a",
        b"",
        b"a\r\n\n",
        b"a" * 999 + b"\r\n",
        b"a\r\n" * (MAX_MAIL_BYTES // 3 + 1),
    ],
)
async def test_mail_refused_here(host: MailHost, sender: SmtpSender, mail: bytes) -> None:
    """What a server could read as another mail, or may not take, never leaves."""
    with pytest.raises(LocalProtocolError):
        await sender.send(FROM, TO, mail)
    assert host.connections == 0


@pytest.mark.parametrize(
    "bad", ["", "a@b.example>\r\nRCPT TO:<c@d.example", "a@b.example,c@d.example"]
)
async def test_address_refused_here(host: MailHost, sender: SmtpSender, bad: str) -> None:
    """What is not one plain address never leaves, neither as sender nor as recipient."""
    with pytest.raises(LocalProtocolError):
        await sender.send(bad, TO, MAIL)
    with pytest.raises(LocalProtocolError):
        await sender.send(FROM, bad, MAIL)
    assert host.connections == 0


async def test_nothing_logged(
    host: MailHost, sender: SmtpSender, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither text nor address is logged, on our side or the simulated host's."""
    caplog.set_level(logging.DEBUG)
    await sender.send(FROM, TO, MAIL)
    await sender.send(FROM, "full@shop.example", MAIL)
    assert "gown" not in caplog.text
    assert "shop.example" not in caplog.text


# What the server says


@pytest.mark.parametrize(
    ("moment", "stage"),
    [
        ("MAIL", Stage.SENDER),
        ("RCPT", Stage.RECIPIENT),
        ("DATA", Stage.MESSAGE),
        (TEXT, Stage.MESSAGE),
    ],
)
@pytest.mark.parametrize(
    ("code", "is_temporary"), [(450, True), (452, True), (550, False), (554, False)]
)
async def test_refused(moment: str, stage: Stage, code: int, is_temporary: bool) -> None:
    """A refusal tells the code, the words, whether to try again, and what was refused."""
    outcome = await outcome_of({moment: f"{code} 5.1.1 not here"})
    assert outcome == Refused(code, "5.1.1 not here", is_temporary, stage)


async def test_refused_on_several_lines() -> None:
    """The words of a refusal over several lines come as one line without controls."""
    outcome = await outcome_of({"RCPT": "550-no\x1b[2J\r\n550-such\r\n550 mailbox"})
    assert outcome == Refused(550, "no [2J such mailbox", False, Stage.RECIPIENT)


async def test_long_refusal() -> None:
    """Of endless words the first 300 characters are kept."""
    outcome = await outcome_of({"RCPT": "550 " + "x" * 5_000})
    assert isinstance(outcome, Refused)
    assert outcome.text == "x" * 300


@pytest.mark.parametrize("code", [200, 250, 251, 299])
async def test_any_success(code: int) -> None:
    """Any 2xx reply to the mail says that it was taken."""
    assert await outcome_of({TEXT: f"{code} fine"}) == Sent(f"{code} fine")


async def test_closing_after_text() -> None:
    """A server that closes down in reply to the mail has not taken it."""
    outcome = await outcome_of({TEXT: "421 closing!"})
    assert outcome == Refused(421, "closing", True, Stage.MESSAGE)


@pytest.mark.parametrize("moment", [BANNER, "EHLO", "MAIL", "RCPT", "DATA"])
async def test_closing_before_text(moment: str) -> None:
    """A server that closes down before the text has said nothing about the mail."""
    assert isinstance(await outcome_of({moment: "421 closing!"}), Unreachable)


@pytest.mark.parametrize("moment", [BANNER, "EHLO"])
async def test_unwelcome(moment: str) -> None:
    """A refused connection is not the mail's fault, and its reason holds the server's words."""
    outcome = await outcome_of({moment: "554 no mail from you"})
    assert isinstance(outcome, Unreachable)
    assert "no mail from you" in outcome.reason


@pytest.mark.parametrize("moment", [BANNER, "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("reply", ["hello", "999 what", "334 go on", "100 hm"])
async def test_nonsense_before_text(moment: str, reply: str) -> None:
    """A reply that makes no sense before the text leaves the mail safe to send again."""
    assert isinstance(await outcome_of({moment: reply}), Unreachable)


@pytest.mark.parametrize("reply", ["hello", "999 what", "354 go on", "100 hm"])
async def test_nonsense_after_text(reply: str) -> None:
    """A reply to the mail that makes no sense leaves its end unknown."""
    assert isinstance(await outcome_of({TEXT: reply}), Doubtful)


# Cut and silent connections


@pytest.mark.parametrize("moment", [BANNER, "EHLO", "MAIL", "RCPT", "DATA"])
async def test_cut_before_text(moment: str) -> None:
    """A connection cut before the server asks for the text leaves the mail safe to send again."""
    assert isinstance(await outcome_of({moment: None}), Unreachable)


async def test_cut_after_text() -> None:
    """A connection cut in place of the reply to the mail leaves its end unknown."""
    async with scripted({TEXT: None}) as server, sender_to(server.port) as sender:
        assert isinstance(await sender.send(FROM, TO, MAIL), Doubtful)
        assert server.texts == [MAIL + b".\r\n"]


async def test_cut_in_text() -> None:
    """A connection cut while the text leaves makes the end unknown: who knows how much left."""
    begun = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go on"):
            writer.write(answer + b"\r\n")
            await reader.readline()
        begun.set()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, sender_to(server.sockets[0].getsockname()[1]) as sender:
        outcome = await sender.send(FROM, TO, b"line\r\n" * 100_000)
        assert begun.is_set()
        assert isinstance(outcome, Doubtful)


@pytest.mark.parametrize("moment", [BANNER, "EHLO", "MAIL", "RCPT", "DATA"])
async def test_silence_before_text(moment: str) -> None:
    """A server that falls silent before the text leaves the mail safe to send again."""
    timeouts = Timeouts(connect_s=SHORT, reply_s=SHORT)
    assert isinstance(await outcome_of({moment: ""}, timeouts), Unreachable)


async def test_silence_after_text() -> None:
    """A server that never answers the mail leaves its end unknown."""
    outcome = await outcome_of({TEXT: ""}, Timeouts(data_s=SHORT))
    assert outcome == Doubtful("no reply to the mail within 0.05 s")


async def test_no_server() -> None:
    """Where nothing listens the mail is safe to send again, and the reason names the place."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with sender_to(port) as sender:
            outcome = await sender.send(FROM, TO, MAIL)
    assert isinstance(outcome, Unreachable)
    assert f"127.0.0.1:{port}" in outcome.reason


@pytest.mark.parametrize("moment", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_canceled_before_text(moment: str) -> None:
    """A send that is canceled before the text sends none, even if a reply comes with it."""
    async with scripted() as server, sender_to(server.port) as sender:
        task = asyncio.create_task(sender.send(FROM, TO, MAIL))
        while not any(command.startswith(moment) for command in server.commands):
            server.heard.clear()
            await server.heard.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert server.texts == []


async def test_canceled_after_text() -> None:
    """A send that is canceled gives up its connection, and the next one opens its own."""
    async with scripted({TEXT: ""}) as server, sender_to(server.port, connections=1) as sender:
        task = asyncio.create_task(sender.send(FROM, TO, MAIL))
        await server.heard_text.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        server.script[TEXT] = "250 kept"
        assert await sender.send(FROM, TO, MAIL) == Sent("250 kept")
        assert server.connections == 2


# The pool


async def test_connection_kept(host: MailHost, sender: SmtpSender) -> None:
    """Mails one after another go over one connection."""
    for _ in range(3):
        assert isinstance(await sender.send(FROM, TO, MAIL), Sent)
    assert host.connections == 1


@pytest.mark.parametrize("recipient", ["refused@shop.example", "full@shop.example"])
async def test_connection_kept_after_refusal(
    host: MailHost, sender: SmtpSender, recipient: str
) -> None:
    """A refusal costs no connection, and the next mail is not mixed with the refused one."""
    assert isinstance(await sender.send(FROM, recipient, MAIL), Refused)
    assert isinstance(await sender.send(FROM, TO, MAIL), Sent)
    assert [mail.recipient for mail in host.mails] == [TO]
    assert host.connections == 1


async def test_bad_reset_drops_connection() -> None:
    """A server that cannot forget a refused mail gets a new connection for the next one."""
    script: dict[str, str | None] = {"RCPT": "550 no", "RSET": "500 what"}
    async with scripted(script) as server, sender_to(server.port) as sender:
        await sender.send(FROM, TO, MAIL)
        await sender.send(FROM, TO, MAIL)
        assert server.connections == 2


async def test_at_most_so_many_connections(host: MailHost) -> None:
    """Many mails at once share the few connections, and all arrive."""
    async with sender_to(host.port, connections=3) as sender:
        outcomes = await asyncio.gather(*(sender.send(FROM, TO, MAIL) for _ in range(30)))
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert len(host.mails) == 30
    assert host.connections == 3


async def test_connection_lost_while_idle(host: MailHost, sender: SmtpSender) -> None:
    """A connection that the server closed while idle is replaced without notice."""
    await sender.send(FROM, TO, MAIL)
    await host.cut_connections()
    assert isinstance(await sender.send(FROM, TO, MAIL), Sent)
    assert host.connections == 2


async def test_connection_stale() -> None:
    """A kept connection whose end shows only when it is used again is replaced without notice."""
    async with scripted() as server, sender_to(server.port) as sender:
        await sender.send(FROM, TO, MAIL)
        server.script["MAIL"] = "421 idle for too long!"
        task = asyncio.create_task(sender.send(FROM, TO, MAIL))
        server.closed.clear()
        await server.closed.wait()
        server.script["MAIL"] = "250 ok"
        assert await task == Sent("250 kept")
        assert len(server.texts) == 2


async def test_idle_connection_closed() -> None:
    """A connection without work is closed after a while, with a goodbye."""
    async with (
        scripted() as server,
        sender_to(server.port, timeouts=Timeouts(idle_s=SHORT)) as sender,
    ):
        await sender.send(FROM, TO, MAIL)
        assert sender.idle_connections == 1
        await server.closed.wait()
        assert sender.idle_connections == 0
        assert server.commands[-1] == "QUIT"


async def test_close() -> None:
    """A closed sender says goodbye on its connections and sends nothing more."""
    async with scripted() as server, sender_to(server.port) as sender:
        await sender.send(FROM, TO, MAIL)
        await sender.close()
        await server.closed.wait()
        assert server.commands[-1] == "QUIT"
        assert await sender.send(FROM, TO, MAIL) == Unreachable("the sender is closed")


async def test_close_lets_mail_end() -> None:
    """A mail under way ends as it would, and then its connection closes."""
    async with scripted({TEXT: ""}) as server, sender_to(server.port) as sender:
        task = asyncio.create_task(sender.send(FROM, TO, MAIL))
        await server.heard_text.wait()
        await sender.close()
        server.say("250 kept")
        assert await task == Sent("250 kept")
        assert sender.idle_connections == 0
        await server.closed.wait()


async def test_hello_tells_own_address() -> None:
    """EHLO names our end of the connection, as RFC 5321 §4.1.4 wants of hosts without a name."""
    async with scripted() as server, sender_to(server.port) as sender:
        await sender.send(FROM, TO, MAIL)
        assert server.commands[0] == "EHLO [127.0.0.1]"


# TLS and login

HOST = "localhost"


@asynccontextmanager
async def secure_pair(
    folder: Path,
    *,
    security: str = "starttls",
    certificate_for: str = HOST,
    is_trusted: bool = True,
    password: str = "right",
) -> AsyncIterator[tuple[MailHost, SmtpSender]]:
    """A host with TLS and a login, and a sender to it."""
    server_tls, client_tls = make_contexts(folder, certificate_for)
    host = MailHost(tls=server_tls, is_tls_from_start=security == "tls", login=("lab", "right"))
    await host.start()
    account = Account(HOST, host.port, "tls" if security == "tls" else "starttls", "lab", password)
    sender = SmtpSender(account, tls=client_tls() if is_trusted else None)
    try:
        yield host, sender
    finally:
        await sender.close()
        await host.stop()


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_secure(tmp_path: Path, security: str) -> None:
    """Over TLS with a trusted certificate the login succeeds and the mail arrives."""
    async with secure_pair(tmp_path, security=security) as (host, sender):
        assert isinstance(await sender.send(FROM, TO, MAIL), Sent)
        assert isinstance(await sender.send(FROM, TO, MAIL), Sent)
        assert [mail.data for mail in host.mails] == [MAIL, MAIL]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_wrong_host_name(tmp_path: Path, security: str) -> None:
    """A certificate for another name is refused before the login, and the reason says so."""
    async with secure_pair(tmp_path, security=security, certificate_for="other.example") as (
        host,
        sender,
    ):
        outcome = await sender.send(FROM, TO, MAIL)
        assert isinstance(outcome, Unreachable)
        assert f"the certificate of {HOST}:{host.port} is not trusted" in outcome.reason
        assert "Hostname mismatch" in outcome.reason
        assert host.mails == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_unknown_authority(tmp_path: Path, security: str) -> None:
    """A certificate of an authority that the system does not know is refused."""
    async with secure_pair(tmp_path, security=security, is_trusted=False) as (host, sender):
        outcome = await sender.send(FROM, TO, MAIL)
        assert isinstance(outcome, Unreachable)
        assert "is not trusted" in outcome.reason
        assert host.mails == []


async def test_wrong_password(tmp_path: Path) -> None:
    """A refused login is told as such, and costs no mail: it is safe to send again."""
    async with secure_pair(tmp_path, password="wrong") as (_, sender):
        outcome = await sender.send(FROM, TO, MAIL)
        assert isinstance(outcome, Unreachable)
        assert "refused the login: 535" in outcome.reason
        assert "wrong" not in outcome.reason


async def test_no_starttls(host: MailHost) -> None:
    """A server without STARTTLS gets nothing when STARTTLS is asked for."""
    sender = SmtpSender(Account("127.0.0.1", host.port, "starttls", "lab", "secret"))
    outcome = await sender.send(FROM, TO, MAIL)
    await sender.close()
    assert isinstance(outcome, Unreachable)
    assert "STARTTLS" in outcome.reason
    assert host.mails == []


async def test_tls_with_plain_server(host: MailHost) -> None:
    """A server that speaks no TLS on this port is told as such."""
    sender = SmtpSender(Account("127.0.0.1", host.port, "tls"))
    outcome = await sender.send(FROM, TO, MAIL)
    await sender.close()
    assert isinstance(outcome, Unreachable)
    assert "no TLS with 127.0.0.1" in outcome.reason
    assert "check port and security" in outcome.reason


def test_password_hidden() -> None:
    """An account shown for debugging does not show its password."""
    assert "secret" not in repr(Account("127.0.0.1", 25, user="lab", password="secret"))
