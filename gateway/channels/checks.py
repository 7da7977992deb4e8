"""Faults of links' settings that show only with what they point to: files, names of statuses."""

from __future__ import annotations

from collections.abc import Iterator

from config.breach import Breach
from config.faults import path_text
from config.settings import LinkSettings, Settings
from gateway.channels.dispositions import read_statuses
from gateway.channels.tls import TlsFault, client_context
from gateway.dispatch.wording import dialect_breaches
from gateway.errors import GatewayError


def link_breaches(settings: Settings) -> list[Breach]:
    """Everything wrong with the links of settings that are sound in themselves."""
    files = [
        Breach(("links", index, key), problem, hint)
        for index, link in enumerate(settings.links)
        for key, problem, hint in _tls_faults(link)
    ]
    return files + _meaning_breaches(settings)


def link_hints(settings: Settings) -> list[str]:
    """What may be in order on this machine, but keeps a link from working if it is so on all."""
    if settings.smpp.is_on:
        return []
    return [
        f"link {link.name} waits for its carrier to bind, and [smpp] listens nowhere"
        for link in settings.links
        if link.kind == "smpp-server"
    ]


def require_meaning(settings: Settings) -> None:
    """Raise GatewayError for what no link can be built of. Files that are missing may come yet."""
    if breaches := _meaning_breaches(settings):
        told = "; ".join(f"{path_text(each.path)}: {each.problem}" for each in breaches)
        raise GatewayError(f"the settings have faults: {told}")


def _meaning_breaches(settings: Settings) -> list[Breach]:
    """Keys that say nothing that a link could do."""
    statuses = [
        Breach(("links", index, "statuses"), problem, "SMPP v3.4 section 5.1.3 names them")
        for index, link in enumerate(settings.links)
        for problem in _status_faults(link)
    ]
    return statuses + list(dialect_breaches(settings))


def _status_faults(link: LinkSettings) -> Iterator[str]:
    for key in link.statuses:
        try:
            read_statuses(key)
        except ValueError as error:
            yield str(error)


def _tls_faults(link: LinkSettings) -> Iterator[tuple[str, str, str]]:
    if link.tls:
        try:
            client_context(link)
        except TlsFault as fault:
            key = str(fault).split()[0]
            yield key, str(fault), "name a PEM file that this user may read"
