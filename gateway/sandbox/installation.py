"""The sandbox beside a gateway: a simulated carrier and mail host over real sockets, and settings
that lead to them.
"""

from __future__ import annotations

import logging
from types import TracebackType

import msgspec
from aiohttp import web

from config.settings import LinkSettings, MailSettings, Settings, split_listen
from gateway.errors import GatewayError
from gateway.sandbox.mail_host import MailHost
from gateway.sandbox.mailbox import MAIL_HOST, mailbox_page
from gateway.sandbox.smsc import SandboxSmsc

log = logging.getLogger(__name__)

LINK = "sandbox"
"""The name of the link to the simulated carrier."""

_ACCOUNT = ("sandbox", "sandbox")
_SENDER = "texts@gateway.example.com"


class Sandbox:
    """An async context: inside it the simulated peers run, and its value is the settings that use
    them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._page: web.AppRunner | None = None
        self.smsc = SandboxSmsc(accounts=dict([_ACCOUNT]))
        self.mail_host = MailHost()
        self._link: LinkSettings | None = None
        self._mail: MailSettings | None = None
        self.page_url = ""
        """Where the mails can be looked at."""

    async def __aenter__(self) -> Settings:
        """Start the peers. The settings' own links stay; the mail account becomes the sandbox's.

        Raises GatewayError when one of the addresses is taken.
        """
        sandbox = self._settings.sandbox
        try:
            host, port = split_listen(sandbox.smsc_listen)
            smsc_port = await self.smsc.start(host, port)
            mail_host, mail_port = split_listen(sandbox.smtp_listen)
            await self.mail_host.start(mail_host, mail_port)
            await self._start_page(sandbox.page_listen)
        except OSError as error:
            await self._stop()
            raise GatewayError(
                f"the sandbox cannot listen: {error.strerror}: free the addresses of [sandbox], or"
                " set others; port 0 takes any"
            ) from error
        self._link = LinkSettings(
            name=LINK, host=host, port=smsc_port, system_id=_ACCOUNT[0], password=_ACCOUNT[1]
        )
        self._mail = MailSettings(
            host=mail_host, port=self.mail_host.port, security="none", sender=_SENDER
        )
        return self.laid_over(self._settings)

    def laid_over(self, settings: Settings) -> Settings:
        """These settings, with the link and mail account of the peers that run."""
        if self._link is None or self._mail is None:
            return settings
        others = tuple(one for one in settings.links if one.name != LINK)
        return msgspec.structs.replace(settings, links=(*others, self._link), mail=self._mail)

    async def _start_page(self, listen: str) -> None:
        app = web.Application()
        app[MAIL_HOST] = self.mail_host
        app.router.add_get("/", mailbox_page)
        self._page = web.AppRunner(app, access_log=None)
        await self._page.setup()
        host, port = split_listen(listen)
        site = web.TCPSite(self._page, host, port)
        await site.start()
        port = self._page.addresses[0][1]
        self.page_url = f"http://{host}:{port}/"
        log.info("the simulated mail host shows its mails at %s", self.page_url)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the peers."""
        await self._stop()

    async def _stop(self) -> None:
        if self._page is not None:
            await self._page.cleanup()
        await self.smsc.stop()
        await self.mail_host.stop()
