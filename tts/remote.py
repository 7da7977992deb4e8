"""Asking an engine elsewhere: one request, with every bound that a stranger's answer needs.

TLS is verified by the session's own rules, redirects are not followed (a text goes where the
operator sent it), nothing is inflated, and reading stops at a size and at a time. What the peer
says in words is not repeated: it may hold the text.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from tts.engine import EngineError

MAX_RETRY_AFTER_S: Final = 3600.0
_CHUNK_BYTES: Final = 65_536
_TEMPORARY: Final = frozenset({408, 409, 425, 429})
_TOLD_TYPES: Final = frozenset(
    {"text/html", "text/plain", "application/json", "application/xml", "image/png"}
)
_OUR_FAULT: Final = frozenset({401, 403, 404})
"""Wrong key, or wrong address: no text is to blame, and the operator may mend it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to post, and what may come back."""

    url: URL
    body: bytes
    headers: Mapping[str, str]
    content_types: tuple[str, ...]
    """Beginnings of the content types that the answer may have."""
    max_bytes: int
    timeout_s: float


def parse_base(base_url: str) -> URL:
    """A base URL from settings. Raises ValueError with what is wrong, not with the address: it may
    hold a password."""
    url = URL(base_url.rstrip("/"))
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("the address is neither http nor https, or names no host")
    if url.user or url.password or url.query_string or url.fragment:
        raise ValueError("the address may hold neither login nor query")
    return url


async def post(session: aiohttp.ClientSession, request: Request) -> bytearray:
    """The body of the answer, as it was gathered: a copy of so much would hold the event loop up.

    Raises EngineError.
    """
    try:
        async with (
            asyncio.timeout(request.timeout_s),
            session.post(
                request.url,
                data=request.body,
                headers={"Accept-Encoding": "identity", **request.headers},
                allow_redirects=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as response,
        ):
            _check(response, request)
            return await _read(response, request.max_bytes)
    except TimeoutError:
        raise EngineError(f"no whole answer within {request.timeout_s:g} s") from None
    except aiohttp.ClientConnectorCertificateError:
        raise EngineError("its certificate is not trusted") from None
    except aiohttp.ClientConnectorError as error:
        raise EngineError(f"no connection ({error.strerror or 'unknown'})") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise EngineError(f"the answer broke off ({type(error).__name__})") from None


def _check(response: aiohttp.ClientResponse, request: Request) -> None:
    status = response.status
    if status != 200:
        is_temporary = status >= 500 or status in _TEMPORARY or status in _OUR_FAULT
        is_temporary = is_temporary or 300 <= status < 400
        wait_s = retry_after(response.headers.get("Retry-After"), time.time())
        raise EngineError(f"HTTP {status}", is_temporary=is_temporary, retry_after_s=wait_s)
    if not response.content_type.startswith(request.content_types):
        kind = response.content_type  # in the peer's words: only those that hold no text are told
        told = f"{kind} instead of audio" if kind in _TOLD_TYPES else "no audio"
        raise EngineError(f"its answer is {told}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise EngineError("its answer is compressed")
    if (response.content_length or 0) > request.max_bytes:
        raise EngineError(f"its answer has more than {request.max_bytes} bytes")


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytearray:
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        data += chunk
        if len(data) > max_bytes:
            raise EngineError(f"its answer has more than {max_bytes} bytes")
    return data


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait (RFC 9110 §10.2.3), at most an hour."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value.strip()[:9]), MAX_RETRY_AFTER_S)
    try:
        wait_s = email.utils.parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
