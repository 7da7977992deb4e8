"""TLS of trunks, both ways: whom we trust, and who we say we are. At least TLS 1.2."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from config.settings import TrunkSettings, VoiceSettings

log = logging.getLogger(__name__)


class TlsFault(OSError):
    """The files for TLS are not fit; `key` is the setting that names the bad one."""

    def __init__(self, key: str, words: str) -> None:
        super().__init__(words)
        self.key = key


class TrunkTls:
    """The TLS of one trunk's connections to its servers. Files are read again for the next
    connection after they changed; while they do not serve, as when half of them is replaced, what
    was read last stays in use."""

    def __init__(self, settings: TrunkSettings) -> None:
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._stamps: tuple[tuple[int, int, int], ...] = ()

    def context(self) -> ssl.SSLContext:
        """For the next connection. Raises TlsFault."""
        settings = self._settings
        files = (settings.tls_ca, settings.tls_cert, settings.tls_key)
        stamps = tuple(_stamp(file) for file in files if file is not None)
        if self._context is None or stamps != self._stamps:
            try:
                self._context, self._stamps = client_context(settings), stamps
            except TlsFault as fault:
                if self._context is None:
                    raise
                log.error("trunk %s goes on with its old certificates: %s", settings.name, fault)
        return self._context


def client_context(settings: TrunkSettings) -> ssl.SSLContext:
    """Towards the trunk's servers: their certificate and name are verified, always. Raises
    TlsFault."""
    ca = settings.tls_ca
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as error:
        raise TlsFault("tls_ca", f"tls_ca {ca} cannot be used: {_words(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_cert is not None:
        _load(context, settings.tls_cert, settings.tls_key)
    return context


def server_context(settings: VoiceSettings) -> ssl.SSLContext:
    """Towards callers; with tls_client_ca they must show a certificate of it. Raises TlsFault."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_cert is None:
        raise TlsFault("tls_cert", "tls_listen needs tls_cert and tls_key")
    _load(context, settings.tls_cert, settings.tls_key)
    if settings.tls_client_ca is not None:
        try:
            context.load_verify_locations(str(settings.tls_client_ca))
        except OSError as error:
            words = f"tls_client_ca {settings.tls_client_ca} cannot be used: {_words(error)}"
            raise TlsFault("tls_client_ca", words) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    for name, file in (("tls_cert", cert), ("tls_key", key)):
        if file is not None and not os.access(file, os.R_OK):
            raise TlsFault(name, f"{name} {file} cannot be read")
    try:
        # A password, so that a locked key is an error and never asks at a terminal.
        context.load_cert_chain(str(cert), None if key is None else str(key), password="")
    except OSError as error:
        words = f"tls_cert {cert} and its key cannot be used: {_words(error)}"
        raise TlsFault("tls_cert", words) from error


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(file)
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino
