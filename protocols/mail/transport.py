"""Mails over SMTP: a few connections to one account, opened when needed, closed when idle.

aiosmtplib speaks the protocol (RFC 5321, 3207, 4954); this file decides what each ending means.
DATA is sent in two steps of our own, so that a connection lost before the text began to leave is
told from one lost after it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import aiosmtplib

from protocols.errors import LocalProtocolError
from protocols.mail.address import check_address
from protocols.mail.outcome import (
    Doubtful,
    Outcome,
    Refused,
    Stage,
    Unreachable,
    after_text,
    before_text,
    one_line,
)

MAX_MAIL_BYTES: Final = 1024 * 1024
_START_INPUT: Final = 354
_BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_LINE_OF_DOT = re.compile(rb"(?m)^\.")
_MAX_LINE: Final = 998
_TOO_LONG_LINE = re.compile(rb"[^\r\n]{%d}" % (_MAX_LINE + 1))


@dataclass(frozen=True, slots=True)
class Account:
    """An SMTP account. Certificates are always verified, against `host`."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    """Empty: no login."""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines in seconds."""

    connect_s: float = 30.0
    """From the first packet until the server is ready for mail: TLS and login included."""
    reply_s: float = 30.0
    """For the reply to one command."""
    data_s: float = 120.0
    """For the reply to a whole mail. RFC 5321 §4.5.3.2.6 asks for 10 minutes, since giving up
    too early sends the mail twice; but one slow mail may not block a connection that long."""
    idle_s: float = 30.0
    """How long a connection without work is kept."""


@dataclass(frozen=True, slots=True)
class _Mail:
    envelope_from: str
    recipient: str
    payload: bytes
    """The text as DATA wants it."""
    cancels: int
    """How often the task had been canceled when the mail was given."""


class _Lost(Exception):
    """The connection is of no use; no text of a mail has left over it."""


class SmtpSender:
    """Sends mails to one account. Any number of tasks may call `send` at a time."""

    def __init__(
        self,
        account: Account,
        *,
        connections: int = 2,
        timeouts: Timeouts | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`connections`: at most so many are open. `tls`: instead of the system's authorities."""
        self._account = account
        self._timeouts = timeouts or Timeouts()
        self._tls = tls or _system_tls(account)
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[tuple[aiosmtplib.SMTP, asyncio.TimerHandle]] = []
        self._is_closed = False

    @property
    def idle_connections(self) -> int:
        """How many connections are open and without work."""
        return sum(client.is_connected for client, _ in self._idle)

    async def send(self, envelope_from: str, recipient: str, message: bytes) -> Outcome:
        """Hand one mail to the server, for one recipient.

        Waits for a free connection; after that the deadlines hold. Cancelling it drops its
        connection and leaves open what became of the mail. Raises LocalProtocolError, before
        anything is sent, when an address is none, or when `message` has a bare CR or LF, a line
        over 998 octets, no line end at its end, or more than 1 MiB.
        """
        mail = _Mail(
            check_address(envelope_from), check_address(recipient), _as_data(message), _cancels()
        )
        async with self._slots:
            for client in self._kept():
                try:
                    return await self._transact(client, mail)
                except _Lost:
                    # Servers close idle connections: that says nothing about them now.
                    continue
            try:
                return await self._transact(await self._open(), mail)
            except _Lost as lost:
                return Unreachable(str(lost))

    async def close(self) -> None:
        """Close what is idle, and each other connection once its mail has ended.

        Whatever is sent later is Unreachable.
        """
        self._is_closed = True
        for client in self._kept():
            _say_goodbye(client)
        # Closed transports are let go of in the loop's next turn.
        await asyncio.sleep(0)

    def _kept(self) -> Iterator[aiosmtplib.SMTP]:
        """The idle connections that are still up, each taken out of the pool."""
        while self._idle:
            client, timer = self._idle.pop()
            timer.cancel()
            if client.is_connected:
                yield client

    def _keep(self, client: aiosmtplib.SMTP) -> None:
        if self._is_closed:
            _say_goodbye(client)
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._timeouts.idle_s, self._expire, client)
        self._idle.append((client, timer))

    def _expire(self, client: aiosmtplib.SMTP) -> None:
        self._idle = [kept for kept in self._idle if kept[0] is not client]
        _say_goodbye(client)

    async def _open(self) -> aiosmtplib.SMTP:
        if self._is_closed:
            raise _Lost("the sender is closed")
        account = self._account
        client = aiosmtplib.SMTP(
            hostname=account.host,
            port=account.port,
            use_tls=account.security == "tls",
            start_tls=False,
            tls_context=self._tls,
            local_hostname="[127.0.0.1]",
            timeout=self._timeouts.reply_s,
        )
        try:
            async with asyncio.timeout(self._timeouts.connect_s):
                await self._greet(client)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            raise _Lost(_why_not_open(account, error)) from error
        except BaseException:
            client.close()
            raise
        return client

    async def _greet(self, client: aiosmtplib.SMTP) -> None:
        """Connect, secure, log in: in this order, so that no password leaves in the clear."""
        await client.connect()
        client.local_hostname = _address_literal(client)
        await client.ehlo()
        if self._account.security == "starttls":
            await client.starttls()
            await client.ehlo()
        if self._account.user:
            await client.login(self._account.user, self._account.password)

    async def _transact(self, client: aiosmtplib.SMTP, mail: _Mail) -> Outcome:
        """One mail over one connection, kept if both sides agree where they are. Raises _Lost."""
        is_in_step = False
        try:
            refusal = await _announce(client, mail)
            if refusal is not None:
                is_in_step = await _forget(client)
                return refusal
            if _cancels() > mail.cancels:
                # Before Python 3.12 wait_for swallows a cancellation that comes with the reply.
                raise asyncio.CancelledError
            outcome = await self._hand_over(client, mail.payload)
            is_in_step = not isinstance(outcome, Doubtful)
            return outcome
        finally:
            if is_in_step and client.is_connected:
                self._keep(client)
            else:
                client.close()

    async def _hand_over(self, client: aiosmtplib.SMTP, payload: bytes) -> Outcome:
        """Send the text after the server's 354 and await the reply that settles the mail."""
        protocol = client.protocol
        if protocol is None or not protocol.is_connected:
            raise _Lost("the connection was lost before the mail's text")
        protocol.write(payload)
        try:
            reply = await protocol.read_response(timeout=self._timeouts.data_s)
        except aiosmtplib.SMTPReadTimeoutError:
            return Doubtful(f"no reply to the mail within {self._timeouts.data_s:g} s")
        except aiosmtplib.SMTPServerDisconnected:
            return Doubtful("the connection was lost before the reply to the mail")
        except aiosmtplib.SMTPException as error:
            return Doubtful(f"the reply to the mail makes no sense: {_words(error)}")
        return after_text(reply.code, reply.message)


async def _announce(client: aiosmtplib.SMTP, mail: _Mail) -> Refused | None:
    """MAIL, RCPT and DATA up to the 354: None, or what the server refused. Raises _Lost."""
    stage = Stage.SENDER
    try:
        await client.mail(mail.envelope_from)
        stage = Stage.RECIPIENT
        await client.rcpt(mail.recipient)
        stage = Stage.MESSAGE
        start = await client.execute_command(b"DATA")
        if start.code == _START_INPUT:
            return None
        outcome = before_text(stage, start.code, start.message)
    except aiosmtplib.SMTPResponseException as error:
        outcome = before_text(stage, error.code, error.message)
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _Lost(f"the connection was lost before the mail's text: {_words(error)}") from error
    if isinstance(outcome, Unreachable):
        raise _Lost(outcome.reason)
    return outcome


async def _forget(client: aiosmtplib.SMTP) -> bool:
    """Have the server forget a refused mail; whether the connection can be used again."""
    try:
        await client.rset()
    except (aiosmtplib.SMTPException, OSError):
        return False
    return True


def _cancels() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    """QUIT without waiting for an answer (RFC 5321 §4.1.1.10), then close."""
    if client.protocol is not None and client.protocol.is_connected:
        client.protocol.write(b"QUIT\r\n")
    client.close()


def _as_data(message: bytes) -> bytes:
    """The mail as DATA wants it: dots doubled, the final dot added (RFC 5321 §4.5.2)."""
    if len(message) > MAX_MAIL_BYTES:
        raise LocalProtocolError(f"the mail is larger than {MAX_MAIL_BYTES} bytes")
    if not message.endswith(b"\r\n") or _BARE_LINE_END.search(message):
        # Servers differ on what a bare line end is: a second mail can hide behind one.
        raise LocalProtocolError("every line of a mail ends with CR LF")
    if _TOO_LONG_LINE.search(message):
        raise LocalProtocolError(f"a line of the mail is longer than {_MAX_LINE} octets")
    return _LINE_OF_DOT.sub(b"..", message) + b".\r\n"


def _system_tls(account: Account) -> ssl.SSLContext | None:
    return None if account.security == "none" else ssl.create_default_context()


def _address_literal(client: aiosmtplib.SMTP) -> str:
    """Our end of the connection, for EHLO (RFC 5321 §4.1.3); no name server is asked."""
    host = client.get_transport_info("sockname")[0]
    ip = ipaddress.ip_address(host.partition("%")[0])
    return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"


def _why_not_open(account: Account, error: BaseException) -> str:
    """What failed on the way to a usable connection, in words that say what to do."""
    where = f"{account.host}:{account.port}"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {where} is not trusted: {one_line(cause.verify_message)}; "
                "give the host by the name in its certificate"
            )
        if isinstance(cause, ssl.SSLError):
            return f"no TLS with {where}: {_words(cause)}; check port and security"
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return f"{where} refused the login: {_words(error)}; check user and password"
    if isinstance(error, TimeoutError):
        return f"{where} was not ready for mail in time"
    return f"{where} cannot be used: {_words(error)}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _words(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return one_line(f"{error.code} {error.message}")
    return one_line(str(error)) or type(error).__name__
