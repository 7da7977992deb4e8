"""TLS towards carriers: who is trusted, and who we say we are. Files are read again for the next
connection after they changed.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

from config.settings import LinkSettings


class TlsFault(Exception):
    """The files for TLS are not fit; the words say which and why."""


class TlsFiles:
    """The TLS of one link's connections."""

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._stamps: tuple[tuple[int, int, int], ...] = ()
        self._reading = asyncio.Lock()

    @property
    def server_name(self) -> str:
        """The name that the carrier's certificate has to bear."""
        return self._settings.tls_server_name or self._settings.host

    async def context(self) -> ssl.SSLContext | None:
        """For the next connection; None without TLS. Raises TlsFault.

        Read in a thread: the system's authorities take some 20 ms, and many links may begin at
        once.
        """
        settings = self._settings
        if not settings.tls:
            return None
        files = (settings.tls_ca, settings.tls_cert, settings.tls_key)
        async with self._reading:
            stamps = tuple(_stamp(file) for file in files if file is not None)
            if self._context is None or stamps != self._stamps:
                self._context = await asyncio.to_thread(client_context, settings)
                self._stamps = stamps
            return self._context


def client_context(settings: LinkSettings) -> ssl.SSLContext:
    """At least TLS 1.2, the carrier's certificate verified. Raises TlsFault."""
    ca, cert, key = settings.tls_ca, settings.tls_cert, settings.tls_key
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise TlsFault(f"tls_ca {ca} cannot be used: {_words(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert is not None:
        try:
            # A password, so that a locked key is an error and never asks at a terminal.
            context.load_cert_chain(str(cert), None if key is None else str(key), password="")
        except (OSError, ssl.SSLError) as error:
            words = _words(error)
            raise TlsFault(f"tls_cert {cert} and its key cannot be used: {words}") from error
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(file)
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino
