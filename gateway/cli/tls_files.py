"""The files for TLS of our own listeners: whether they would serve, and if not, which and why."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from config.breach import Breach
from config.settings import Settings

_READABLE = "name a PEM file this user may read"


def listener_breaches(settings: Settings) -> list[Breach]:
    """What is wrong with the files of [http] and [smpp]. Trunks and links have checks of their own,
    which know whom each of them trusts.
    """
    http, smpp = settings.http, settings.smpp
    found = list(_breaches("http", http.tls_cert, http.tls_key, None))
    if smpp.tls_listen:
        found += _breaches("smpp", smpp.tls_cert, smpp.tls_key, smpp.tls_client_ca)
    return found


def _breaches(
    section: str, cert: Path | None, key: Path | None, client_ca: Path | None
) -> Iterator[Breach]:
    """Each file that cannot be read; else what TLS itself says of them."""
    named = {"tls_cert": cert, "tls_key": key, "tls_client_ca": client_ca}
    unreadable = [
        Breach((section, name), f"{file} cannot be read", _READABLE)
        for name, file in named.items()
        if file is not None and not os.access(file, os.R_OK)
    ]
    yield from unreadable
    if unreadable or cert is None or key is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password, so that a locked key is an error and never asks at a terminal.
        context.load_cert_chain(cert, key, password="")
    except OSError as error:
        hint = "name the PEM files of a certificate chain and of its key, which has no password"
        yield Breach((section, "tls_cert"), f"{cert} and {key} do not serve: {error}", hint)
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except OSError as error:
            problem = f"{client_ca} does not serve: {error}"
            yield Breach((section, "tls_client_ca"), problem, "name a PEM file of certificates")
