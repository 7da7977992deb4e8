"""Showing what the simulated mail host kept: on a terminal, and as a page of HTML without a script.

A mail holds what a stranger wrote. On the terminal control characters are replaced, so that no
escape sequence gets through; on the page everything is escaped and the policy forbids whatever
could still run or be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Sequence
from html import escape
from typing import Final

from aiohttp import web

from gateway.sandbox.mail_host import KEPT_MAILS, Mail, MailHost

MAIL_HOST: Final = web.AppKey("mail_host", MailHost)
"""Where an application keeps the host whose mails `mailbox_page` shows."""

SHOWN_MAILS: Final = 100

_SHOWN_HEADERS: Final = ("From", "To", "Subject", "Date")
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;"
    "color:#222;background:#f4f4f2}"
    "article{background:#fff;border:1px solid #ddd;border-radius:8px;"
    "padding:1rem 1.25rem;margin:1rem 0}"
    "h1{font-size:1.3rem}h2{font-size:1.05rem;margin:0 0 .5rem}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem;margin:0;"
    "color:#666;font-size:.9rem}"
    "dd{margin:0;overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:1rem 0 0}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def render(mails: Sequence[Mail], *, is_colored: bool = False) -> str:
    """The mails for a terminal, oldest first: a few headers, then the text behind a bar."""
    return "\n".join(_render_one(mail, is_colored) for mail in mails)


def _render_one(mail: Mail, is_colored: bool) -> str:
    bold, plain = (_BOLD, _PLAIN) if is_colored else ("", "")
    lines = [f"{bold}{name + ':':<9}{plain}{_visible(value)}" for name, value in _headers(mail)]
    lines += [f"  | {_visible(line)}".rstrip() for line in mail.text.rstrip("\n").split("\n")]
    return "\n".join(lines) + "\n"


def _headers(mail: Mail) -> list[tuple[str, str]]:
    return [(name, value) for name in _SHOWN_HEADERS if (value := mail.header(name))]


def _visible(text: str) -> str:
    """`text` with U+FFFD for each character that a terminal obeys or that turns the direction."""
    return "".join("\ufffd" if _is_obeyed(c) else c for c in text)


def _is_obeyed(c: str) -> bool:
    return (
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
        or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


async def mailbox_page(request: web.Request) -> web.Response:
    """`GET`: the last hundred mails of `request.app[MAIL_HOST]`, newest first."""
    mails = request.app[MAIL_HOST].mails
    return web.Response(text=_page(mails), content_type="text/html", headers=PAGE_HEADERS)


def _page(mails: Sequence[Mail]) -> str:
    shown = mails[: -SHOWN_MAILS - 1 : -1]
    articles = "\n".join(map(_article, shown)) or "<p>No mail has come yet. Reload this page.</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Simulated mail host</title><style>{_STYLE}</style></head><body>\n"
        "<h1>Simulated mail host</h1>\n"
        f"<p>{len(mails)} kept (at most {KEPT_MAILS}), newest first, {len(shown)} shown.</p>\n"
        f"{articles}\n</body></html>\n"
    )


def _article(mail: Mail) -> str:
    rows = "".join(
        f"<dt>{name}</dt><dd>{_html(value)}</dd>"
        for name, value in _headers(mail)
        if name != "Subject"
    )
    return (
        f"<article><h2>{_html(mail.subject)}</h2>\n<dl>{rows}</dl>\n"
        f'<pre dir="auto">{_html(mail.text)}</pre></article>'
    )


def _html(text: str) -> str:
    """`text` escaped, and with U+FFFD for lone surrogates and for controls, which HTML forbids."""
    return escape("".join(c if c in "\n\t" or not _is_obeyed(c) else "\ufffd" for c in text))
