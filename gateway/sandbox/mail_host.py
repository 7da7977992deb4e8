"""A simulated mail host: takes mails over SMTP on loopback, keeps the last thousand in memory.

The part of the recipient before the @ (and before a +, so that `busy+2` is another busy one)
chooses the behaviour:

========== =================================================================================
recipient  what the host does
========== =================================================================================
refused@…  refuses the recipient for good: 550
full@…     takes the recipient, refuses each mail for good: 552
busy@…     refuses each mail for now the first time it comes (451), takes it the second time
cut@…      keeps each mail; the first time it closes the connection without an answer
slow@…     answers each mail late
any other  takes the mail at once: 250
========== =================================================================================

That a mail comes again is told by its Message-ID. Nothing is delivered anywhere, and nothing is
logged of what a mail says.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

KEPT_MAILS: Final = 1_000
MAX_MAIL_BYTES: Final = 1024 * 1024
_REMEMBERED_IDS: Final = 10_000

MAGIC_ADDRESSES: Final[dict[str, str]] = {
    "refused": "refuses the recipient for good: 550",
    "full": "takes the recipient, refuses each mail for good: 552",
    "busy": "refuses each mail for now the first time it comes (451), takes it the second time",
    "cut": "keeps each mail; the first time it closes the connection without an answer",
    "slow": "answers each mail late",
}
"""What the host does, by the recipient's local part."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail that the host kept, for one recipient."""

    received: datetime
    sender: str
    recipient: str
    data: bytes

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed; its headers may raise anything if they are malformed."""
        return message_from_bytes(self.data, policy=policy.default)

    @property
    def subject(self) -> str:
        """The subject, decoded; empty if there is none."""
        return self.header("Subject")

    @property
    def text(self) -> str:
        """The plain text with `\\n` line ends; empty if there is none."""
        for part in message_from_bytes(self.data).walk():
            if part.get_content_type() == "text/plain":
                return _text_of(part)
        return ""

    def header(self, name: str) -> str:
        """A header, decoded as far as it can be, on one line; empty if there is none."""
        raw = message_from_bytes(self.data)[name]
        if raw is None:
            return ""
        try:
            value = str(make_header(decode_header(raw)))
        except (MessageError, LookupError, ValueError):
            value = str(raw)
        return " ".join(value.split())


def _text_of(part: Message) -> str:
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return ""
    try:
        text = octets.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        text = octets.decode("latin-1")
    return text.replace("\r\n", "\n")


class MailHost:
    """The host. It is aiosmtpd's event handler; the protocol runs on the caller's loop."""

    def __init__(
        self,
        *,
        kept: int = KEPT_MAILS,
        slow_s: float = 3.0,
        tls: ssl.SSLContext | None = None,
        is_tls_from_start: bool = False,
        login: tuple[str, str] | None = None,
    ) -> None:
        """`slow_s`: how late `slow@…` is answered. `tls`: offers STARTTLS, or speaks TLS at once.

        `login`: user and password without which it takes no mail; they are taken only over TLS.
        """
        self._mails: deque[Mail] = deque(maxlen=kept)
        self._slow_s = slow_s
        self._tls = tls
        self._is_tls_from_start = is_tls_from_start
        self._login = login
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._waiting: list[tuple[Callable[[Mail], bool], asyncio.Future[Mail]]] = []
        self._server: asyncio.Server | None = None
        self._open: set[_Protocol] = set()
        self._connections = 0

    @property
    def mails(self) -> list[Mail]:
        """What was kept, oldest first."""
        return list(self._mails)

    @property
    def connections(self) -> int:
        """How many connections were ever made."""
        return self._connections

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError when it was not started."""
        if self._server is None:
            raise RuntimeError("the mail host is not running")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any free. Raises OSError when the address is taken."""
        # aiosmtpd logs addresses, and at a lower level the mails themselves.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        loop = asyncio.get_running_loop()
        at_once = self._tls if self._is_tls_from_start else None
        self._server = await loop.create_server(
            lambda: _Protocol(self, loop), host, port, ssl=at_once
        )

    async def stop(self) -> None:
        """Listen no more and cut every connection. What was kept stays."""
        if self._server is None:
            return
        self._server.close()
        await self.cut_connections()
        await self._server.wait_closed()
        self._server = None

    async def cut_connections(self) -> None:
        """Cut every open connection, as a host that goes away does."""
        await asyncio.gather(*(protocol.cut() for protocol in list(self._open)))

    async def wait_for(self, predicate: Callable[[Mail], bool], timeout_s: float = 5.0) -> Mail:
        """The first mail, kept or yet to come, that `predicate` holds for. Raises TimeoutError."""
        for mail in self._mails:
            if predicate(mail):
                return mail
        found: asyncio.Future[Mail] = asyncio.get_running_loop().create_future()
        waiter = (predicate, found)
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await found
        finally:
            self._waiting.remove(waiter)

    def protocol_options(self) -> dict[str, Any]:
        """How aiosmtpd's protocol is set up for a connection."""
        options: dict[str, Any] = {
            "hostname": "sandbox.example",
            "ident": "simulated mail host",
            "data_size_limit": MAX_MAIL_BYTES,
            "tls_context": None if self._is_tls_from_start else self._tls,
            # The protocol knows of TLS only by STARTTLS.
            "auth_require_tls": not self._is_tls_from_start,
        }
        if self._login is not None:
            options["authenticator"] = self._check_login
        return options

    def connection_opened(self, protocol: _Protocol) -> None:
        """Count a connection and remember it, to be cut at the end."""
        self._connections += 1
        self._open.add(protocol)

    def connection_closed(self, protocol: _Protocol) -> None:
        """Forget a connection."""
        self._open.discard(protocol)

    def _check_login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        is_right = isinstance(data, LoginPassword) and self._login == (
            data.login.decode("utf-8", "replace"),
            data.password.decode("utf-8", "replace"),
        )
        return AuthResult(success=is_right, handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer MAIL FROM."""
        if self._login is not None and not session.authenticated:
            return "530 5.7.0 log in first"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 sender ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer RCPT TO."""
        if magic_of(address) == "refused":
            return "550 5.1.1 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 recipient ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Answer a whole mail, as its recipients want it."""
        data = envelope.original_content or b""
        magic = {magic_of(recipient) for recipient in envelope.rcpt_tos}
        is_first = bool(magic & {"busy", "cut"}) and self._is_new(data, envelope.rcpt_tos)
        if "full" in magic:
            return "552 5.2.2 mailbox full"
        if "busy" in magic and is_first:
            return "451 4.3.0 busy, try again"
        for recipient in envelope.rcpt_tos:
            self._keep(Mail(datetime.now(UTC), envelope.mail_from or "", recipient, data))
        if "cut" in magic and is_first:
            if server.transport is not None:
                server.transport.close()
            # Never ends by itself: the protocol cancels it when the connection is gone.
            await asyncio.get_running_loop().create_future()
        if "slow" in magic:
            await asyncio.sleep(self._slow_s)
        return "250 2.0.0 kept"

    def _is_new(self, data: bytes, recipients: list[str]) -> bool:
        """Whether this mail comes for the first time, and remember that it came."""
        own_id = message_from_bytes(data)["Message-ID"]
        id_ = str(own_id) if own_id else hashlib.sha256(data).hexdigest()
        key = "\0".join((id_, *recipients))
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED_IDS:
            self._seen.popitem(last=False)
        return True

    def _keep(self, mail: Mail) -> None:
        self._mails.append(mail)
        for predicate, future in self._waiting:
            if not future.done() and predicate(mail):
                future.set_result(mail)


class _Protocol(SMTP):
    """aiosmtpd's server side of one connection, which tells the host of its beginning and end."""

    def __init__(self, host: MailHost, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(host, loop=loop, **host.protocol_options())
        self._host = host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection has begun; also called when it has become TLS after STARTTLS."""
        is_new = self.transport is None
        super().connection_made(transport)
        if is_new and self._handler_coroutine is not None:
            self._host.connection_opened(self)
            self._handler_coroutine.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._host.connection_closed(self)
        if not task.cancelled():
            # Looked at, or the loop would report a reset connection as an error nobody saw.
            task.exception()

    async def cut(self) -> None:
        """Close without a word.

        After a TLS handshake that failed nobody tells aiosmtpd that the connection is lost, and
        its handler would go on waiting: it is canceled here.
        """
        for transport in (self.transport, self._original_transport):
            if transport is not None:
                transport.close()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
            await asyncio.wait([self._handler_coroutine])


def magic_of(address: str) -> str | None:
    """The key of MAGIC_ADDRESSES that an address chooses, or None."""
    name = address.rpartition("@")[0].partition("+")[0].lower()
    return name if name in MAGIC_ADDRESSES else None
