"""Rules about the settings that the type of one key cannot hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

from config.breach import Breach
from config.faults import KeyPath
from config.route_rules import RESERVED_NAMES, routes_are_sound
from config.settings import LinkSettings, Settings, is_loopback, split_listen
from config.speech_rules import speech_is_possible
from config.trunk_rules import trunks_are_sound, voice_is_possible

_MAILBOX = re.compile(r"[^\s@<>\"(),:;\\\x00-\x20]+@[A-Za-z0-9.-]+\Z")


Rule = Callable[[Settings], Iterator[Breach]]


def addresses_are_valid(settings: Settings) -> Iterator[Breach]:
    """Every listening address is HOST:PORT, the sandbox's only on this machine."""
    for path, text in _addresses(settings):
        try:
            host, _ = split_listen(text)
        except ValueError as error:
            yield Breach(path, str(error))
            continue
        if path[0] == "sandbox" and not is_loopback(host):
            yield Breach(path, "the sandbox listens on this machine only", "use 127.0.0.1")


def addresses_differ(settings: Settings) -> Iterator[Breach]:
    """No two listeners that are on share an address, unless any free port will do."""
    taken: dict[str, KeyPath] = {}
    for path, text in _addresses(settings):
        if (path[0] == "sandbox" and not settings.sandbox.is_on) or text.endswith(":0"):
            continue
        first = taken.setdefault(text, path)
        if first != path:
            where = f"{first[0]}.{first[1]}"
            yield Breach(path, f"the address of {where} too", "choose another port", (first,))


def _addresses(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    yield ("http", "listen"), settings.http.listen
    if settings.http.ops_listen:
        yield ("http", "ops_listen"), settings.http.ops_listen
    for key in ("listen", "tls_listen"):
        if getattr(settings.smpp, key):
            yield ("smpp", key), getattr(settings.smpp, key)
    if settings.trunks:
        for key in ("listen", "tls_listen"):
            if getattr(settings.voice, key):
                yield ("voice", key), getattr(settings.voice, key)
    for key in ("smsc_listen", "smtp_listen", "page_listen"):
        yield ("sandbox", key), getattr(settings.sandbox, key)


def api_is_protected(settings: Settings) -> Iterator[Breach]:
    """Keys and texts cross a network only inside TLS."""
    http = settings.http
    if (http.tls_cert is None) != (http.tls_key is None):
        missing = "tls_key" if http.tls_key is None else "tls_cert"
        yield Breach(("http", missing), "missing", "tls_cert and tls_key go together")
    try:
        host, _ = split_listen(http.listen)
    except ValueError:
        return
    if not is_loopback(host) and http.tls_cert is None and not http.behind_proxy:
        yield Breach(
            ("http", "listen"),
            f"{host} can be reached from other machines, and nothing encrypts what they send",
            "set tls_cert and tls_key, or behind_proxy = true when a proxy in front does TLS",
            (("http", "tls_cert"), ("http", "behind_proxy")),
        )


def smpp_server_is_possible(settings: Settings) -> Iterator[Breach]:
    """Who listens with TLS has a certificate; a first ban is not longer than the longest."""
    smpp = settings.smpp
    for key in ("tls_cert", "tls_key"):
        if smpp.tls_listen and getattr(smpp, key) is None:
            hint = "tls_listen needs tls_cert and tls_key"
            yield Breach(("smpp", key), "missing", hint, (("smpp", "tls_listen"),))
    if smpp.ban_min_s > smpp.ban_max_s:
        problem = "longer than ban_max_s"
        yield Breach(("smpp", "ban_min_s"), problem, others=(("smpp", "ban_max_s"),))


def database_is_postgresql(settings: Settings) -> Iterator[Breach]:
    """A database, when one is named, is named by a PostgreSQL URL."""
    url = settings.store.database_url
    if url and not url.startswith(("postgresql://", "postgres://")):
        hint = 'like "postgresql://user@host:5432/database"; empty for the embedded one'
        yield Breach(("store", "database_url"), "expected a PostgreSQL URL", hint)


def links_have_own_names(settings: Settings) -> Iterator[Breach]:
    """A link's name is its own: queues, routes and statistics carry it."""
    seen: dict[str, int] = {}
    for index, link in enumerate(settings.links):
        path: KeyPath = ("links", index, "name")
        first = seen.setdefault(link.name, index)
        if first != index and link.name:
            other: KeyPath = ("links", first, "name")
            yield Breach(path, f'links[{first}] is named "{link.name}" too', others=(other,))
        if link.name in RESERVED_NAMES:
            yield Breach(path, f'"{link.name}" is a name of the gateway itself', "choose another")


def links_are_possible(settings: Settings) -> Iterator[Breach]:
    """What this version cannot do is refused, never ignored."""
    for index, link in enumerate(settings.links):
        for key, problem, hint in _link_limits(link):
            yield Breach(("links", index, key), problem, hint)
        if 0 < link.daily_cap < settings.sms.segments_max:
            yield Breach(
                ("links", index, "daily_cap"),
                "less than the segments of one text: such a text would wait for ever",
                others=(("sms", "segments_max"),),
            )
        if link.reconnect_min_s > link.reconnect_max_s:
            yield Breach(
                ("links", index, "reconnect_min_s"),
                "longer than reconnect_max_s",
                others=(("links", index, "reconnect_max_s"),),
            )


def _link_limits(link: LinkSettings) -> Iterator[tuple[str, str, str]]:
    is_dialled = link.kind == "smpp"
    for key in ("host", "system_id"):
        if is_dialled and not getattr(link, key):
            yield key, "missing", "expected text, not empty"
        elif getattr(link, key) and not is_dialled:
            yield key, "the carrier opens this link", "leave it out; see `gateway esme add`"
    if link.password and not is_dialled:
        yield "password", "the carrier opens this link", "leave it out; see `gateway esme add`"
    for key in ("system_id", "password", "system_type"):
        text = getattr(link, key)
        if not (text.isascii() and text.isprintable()):
            yield key, "SMPP carries printable ASCII only here", ""
    yield from _link_tls(link)
    if link.suspend_min_s > link.suspend_max_s:
        yield "suspend_min_s", "longer than suspend_max_s", ""
    try:
        ZoneInfo(link.daily_cap_zone)
    except (KeyError, ValueError, OSError):
        yield "daily_cap_zone", "no such time zone", 'an IANA name such as "America/New_York"'


def _link_tls(link: LinkSettings) -> Iterator[tuple[str, str, str]]:
    keys = ("tls_ca", "tls_cert", "tls_key", "tls_server_name")
    named = [key for key in keys if getattr(link, key)]
    if named and link.kind != "smpp":
        yield named[0], "the carrier opens this link", "its TLS is that of [smpp]"
    elif named and not link.tls:
        yield named[0], "is not used without TLS", "set tls = true, or leave it out"
    if link.tls_key is not None and link.tls_cert is None:
        yield "tls_cert", "missing", "tls_key goes with a certificate"


def mail_is_whole(settings: Settings) -> Iterator[Breach]:
    """A mail account has a sender, and its password never crosses a network in the clear."""
    mail = settings.mail
    if not mail.is_on:
        return
    if not _MAILBOX.match(mail.sender):
        hint = 'like "texts@example.com": shops see it as the sender of forwarded texts'
        yield Breach(("mail", "sender"), "expected a mail address", hint, (("mail", "host"),))
    if bool(mail.user) != bool(mail.password):
        missing = "password" if mail.user else "user"
        present: KeyPath = ("mail", "user" if mail.user else "password")
        problem = "missing: user and password go together"
        yield Breach(("mail", missing), problem, others=(present, ("mail", "password_file")))
    if mail.security == "none" and not is_loopback(mail.host):
        hint = 'use "starttls" or "tls"'
        yield Breach(
            ("mail", "security"), "mail leaves this machine unencrypted", hint, (("mail", "host"),)
        )


def countries_hold_the_default(settings: Settings) -> Iterator[Breach]:
    """National numbers are read in a country that may be texted."""
    sms = settings.sms
    if sms.default_region not in sms.countries:
        hint = f'add "{sms.default_region}" to countries, or choose one that is in it'
        yield Breach(
            ("sms", "default_region"), "not among countries", hint, (("sms", "countries"),)
        )


def retries_are_ordered(settings: Settings) -> Iterator[Breach]:
    """The first wait between attempts is not longer than the last."""
    if settings.limits.retry_min_s > settings.limits.retry_max_s:
        yield Breach(
            ("limits", "retry_min_s"),
            "longer than retry_max_s",
            others=(("limits", "retry_max_s"),),
        )


RULES: tuple[Rule, ...] = (
    addresses_are_valid,
    addresses_differ,
    api_is_protected,
    smpp_server_is_possible,
    database_is_postgresql,
    links_have_own_names,
    links_are_possible,
    routes_are_sound,
    trunks_are_sound,
    voice_is_possible,
    mail_is_whole,
    speech_is_possible,
    countries_hold_the_default,
    retries_are_ordered,
)
