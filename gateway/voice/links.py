"""Links to hear speech: whoever has one may listen until it expires, and nobody can make one up.

A link holds the key of the speech in the cache, the second at which it ends, and 16 octets of an
HMAC-SHA-256 over both. The secret is a file of the speech folder, made once; without a folder it is
made for this process alone.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import struct
from pathlib import Path
from typing import Final

SECRET_FILE: Final = "link-secret"  # noqa: S105 - its name, not its content
SECRET_BYTES: Final = 32
MAC_BYTES: Final = 16

_SIGNED: Final = struct.Struct("!32sQ")
_TOKEN_CHARS: Final = 75
_CONTEXT: Final = b"speech link 1\0"


class BadLink(Exception):
    """The link is none of ours."""


class LinkExpired(Exception):
    """The link was ours, and its time is over."""


class Links:
    """Makes links and reads them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, key: str, expires_s: int) -> str:
        """A token for the speech under `key` (64 hexadecimal digits), until that Unix time."""
        signed = _SIGNED.pack(bytes.fromhex(key), expires_s)
        token = base64.urlsafe_b64encode(signed + self._mac(signed))
        return token.rstrip(b"=").decode()

    def read(self, token: str, now_s: float) -> str:
        """The key that a token leads to. Raises BadLink, LinkExpired."""
        if len(token) != _TOKEN_CHARS or not token.isascii():
            raise BadLink
        try:
            data = base64.b64decode(f"{token}=", altchars=b"-_", validate=True)
        except binascii.Error:
            raise BadLink from None
        signed, mac = data[: _SIGNED.size], data[_SIGNED.size :]
        if not hmac.compare_digest(mac, self._mac(signed)):
            raise BadLink
        key, expires_s = _SIGNED.unpack(signed)
        if now_s >= expires_s:
            raise LinkExpired
        return str(key.hex())

    def _mac(self, signed: bytes) -> bytes:
        return hmac.digest(self._secret, _CONTEXT + signed, "sha256")[:MAC_BYTES]


def read_secret(folder: Path | None) -> bytes:
    """The secret of the folder, made if there is none. Blocks. Raises OSError."""
    if folder is None:
        return secrets.token_bytes(SECRET_BYTES)
    from tts.cache_files import make_private

    make_private(folder)
    path = folder / SECRET_FILE
    if (secret := _read(path)) is not None:
        return secret
    temporary = folder / f"{secrets.token_hex(8)}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, leaves the secret of a process that was quicker.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
    secret = _read(path)
    if secret is None:
        raise FileNotFoundError(f"{path} vanished")
    return secret


def _read(path: Path) -> bytes | None:
    """The secret in a file; None if there is no file. Raises OSError for one that is not ours."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        stat = os.fstat(descriptor)
        secret = file.read(SECRET_BYTES + 1)
    if stat.st_mode & 0o077 or stat.st_uid != os.geteuid() or len(secret) != SECRET_BYTES:
        raise PermissionError(f"{path} is not a secret of this user: remove it")
    return secret
