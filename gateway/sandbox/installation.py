"""The sandbox beside a gateway: a simulated carrier and mail host over real sockets, and settings that lead to them."""

from __future__ import annotations

from types import TracebackType

import msgspec

from config.settings import LinkSettings, MailSettings, Settings, split_listen
from gateway.sandbox.mail_host import MailHost
from gateway.sandbox.smsc import SandboxSmsc

LINK = "sandbox"
"""The name of the link to the simulated carrier."""

_ACCOUNT = ("sandbox", "sandbox")
_SENDER = "texts@gateway.example.com"


class Sandbox:
    """An async context: inside it the simulated peers run, and its value is the settings that use them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.smsc = SandboxSmsc(accounts=dict([_ACCOUNT]))
        self.mail_host = MailHost()

    async def __aenter__(self) -> Settings:
        """Start the peers; the settings' own links stay, the mail account is replaced by the sandbox's."""
        sandbox = self._settings.sandbox
        host, port = split_listen(sandbox.smsc_listen)
        smsc_port = await self.smsc.start(host, port)
        mail_host, mail_port = split_listen(sandbox.smtp_listen)
        await self.mail_host.start(mail_host, mail_port)
        link = LinkSettings(
            name=LINK, host=host, port=smsc_port, system_id=_ACCOUNT[0], password=_ACCOUNT[1]
        )
        others = tuple(one for one in self._settings.links if one.name != LINK)
        mail = MailSettings(host=mail_host, port=self.mail_host.port, security="none", sender=_SENDER)
        return msgspec.structs.replace(self._settings, links=(*others, link), mail=mail)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the peers."""
        await self.smsc.stop()
        await self.mail_host.stop()
