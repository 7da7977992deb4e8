"""How the mails that the simulated host kept are shown."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from gateway.sandbox.mail_host import Mail, MailHost
from gateway.sandbox.mailbox import MAIL_HOST, SHOWN_MAILS, mailbox_page, render
from protocols.mail.compose import Forward, compose
from protocols.mail.transport import Account, SmtpSender

AT = datetime(2026, 11, 24, 15, 5, 9, tzinfo=UTC)
SAMPLE = Forward(
    id="rpl_0A1B2C3D4E5F6",
    text="Is my gown ready?\nAnn",
    sender="texts@gateway.example",
    recipient="owner@shop.example",
    shop="sample",
    shop_name="Sample Bridal",
    shop_number="(212) 555-0199",
    phone="+12125550123",
    phone_shown="(212) 555-0123",
    received=AT,
    contact_name="Zoë Customer",
)
HOSTILE = "<script>alert(1)</script>&\"'\x1b[2J\x07\u202e\u2028</pre>"


def kept(forward: Forward) -> Mail:
    return Mail(AT, forward.sender, forward.recipient, compose(forward))


def test_terminal() -> None:
    """On a terminal a mail is four headers and its text behind a bar."""
    assert render([kept(SAMPLE)]).splitlines() == [
        "From:    Zoë Customer (212) 555-0123 via text <texts@gateway.example>",
        "To:      owner@shop.example",
        "Subject: Text from Zoë Customer (212) 555-0123",
        "Date:    Tue, 24 Nov 2026 15:05:09 +0000",
        "  | Is my gown ready?",
        "  | Ann",
        "  |",
        "  | ----------------------------------------",
        "  | Customer: Zoë Customer",
        "  | Number:   (212) 555-0123",
        "  | Sent to:  (212) 555-0199, Sample Bridal",
        "  | Received: Tuesday, November 24, 2026, 3:05 PM UTC",
        "  |",
        "  | An answer to this mail does not reach the customer.",
    ]


def test_terminal_many() -> None:
    """Several mails stand below each other, a line between them; none are nothing."""
    assert render([]) == ""
    assert render([kept(SAMPLE)] * 2).count("\n\nFrom:") == 1


def test_terminal_color() -> None:
    """Color marks the names of the headers and nothing else."""
    colored = render([kept(SAMPLE)], is_colored=True)
    assert colored.startswith("\x1b[1mFrom:    \x1b[0mZoë")
    assert re.sub(r"\x1b\[[01]m", "", colored) == render([kept(SAMPLE)])


def test_terminal_obeys_nothing() -> None:
    """No control character of a mail reaches the terminal."""
    shown = render([kept(replace(SAMPLE, text=HOSTILE)), Mail(AT, "", "", HOSTILE.encode())])
    assert "<script>" in shown
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", shown)


LINES = st.sampled_from(
    [
        *(b"From: =?x?q?=00?= <a@b>, <>;:@", b"Subject: =?utf-8?b?/////?=", b"Date: never"),
        *(b"Content-Type: text/plain; charset=nonsense", b"Content-Type: multipart/mixed"),
        *(b"Content-Transfer-Encoding: base64", b"To: a@[", b"Message-ID: <<", b"", b"--x"),
    ]
)


@given(st.lists(LINES | st.binary(max_size=30), max_size=12).map(b"\r\n".join))
def test_any_mail(data: bytes) -> None:
    """Whatever came as a mail can be shown."""
    shown = render([Mail(AT, "", "", data)])
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)


@pytest.fixture
async def host() -> MailHost:
    return MailHost()


async def page(client: AiohttpClient, host: MailHost, *forwards: Forward) -> tuple[str, str]:
    """The page, and its policy, after these mails have come over SMTP."""
    await host.start()
    sender = SmtpSender(Account("127.0.0.1", host.port, "none"))
    for forward in forwards:
        await sender.send(forward.sender, forward.recipient, compose(forward))
    await sender.close()
    await host.stop()
    app = web.Application()
    app[MAIL_HOST] = host
    app.router.add_get("/", mailbox_page)
    response = await (await client(app)).get("/")
    assert response.status == 200
    assert response.content_type == "text/html"
    return await response.text(), response.headers["Content-Security-Policy"]


async def test_empty_page(aiohttp_client: AiohttpClient, host: MailHost) -> None:
    """Without mails the page says so."""
    html, _ = await page(aiohttp_client, host)
    assert "No mail has come yet" in html


async def test_page(aiohttp_client: AiohttpClient, host: MailHost) -> None:
    """The page shows subject and text of each mail, the newest first."""
    newer = replace(SAMPLE, id="rpl_2", text="Thanks!", contact_name="Sample Bride")
    html, _ = await page(aiohttp_client, host, SAMPLE, newer)
    assert "2 kept" in html
    assert "<h2>Text from Zoë Customer (212) 555-0123</h2>" in html
    assert html.index("Thanks!") < html.index("Is my gown ready?\nAnn")


async def test_page_is_safe(aiohttp_client: AiohttpClient, host: MailHost) -> None:
    """What a mail holds is escaped, and the policy forbids scripts and fetching."""
    html, policy = await page(
        aiohttp_client, host, replace(SAMPLE, text=HOSTILE, contact_name=HOSTILE)
    )
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in html
    assert html.count("</pre>") == 1
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", html)
    assert policy.startswith("default-src 'none';")
    assert "script-src" not in policy
    assert "unsafe" not in policy


async def test_page_is_bounded(aiohttp_client: AiohttpClient, host: MailHost) -> None:
    """Of many mails the page shows the last hundred."""
    many = [replace(SAMPLE, id=f"rpl_{n}", text=f"Text {n}.") for n in range(SHOWN_MAILS + 5)]
    html, _ = await page(aiohttp_client, host, *many)
    assert html.count("<article>") == SHOWN_MAILS
    assert "105 kept" in html
    assert "Text 104." in html
    assert "Text 4." not in html
