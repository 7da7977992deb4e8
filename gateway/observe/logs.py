"""The log on standard error: text or JSON lines, without keys, whole phone numbers or anything
that a person wrote.

Two fences. Code passes ids and counts to loggers, never texts. And whatever reaches a handler is
masked here once more, with tracebacks reduced to places and types: the message of a foreign
exception may quote data.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import msgspec

from config.settings import LogSettings
from gateway.errors import GatewayError
from gateway.phone import mask

_PHONE = re.compile(
    r"\+[1-9][0-9]{7,14}"
    r"|(?<![\w.:-])\(?[0-9]{3}\)?[ .-]{1,2}[0-9]{3}[ .-][0-9]{4}(?![\w-])"
    r"|(?<![\w.:-])1?[0-9]{10}(?![\w-])"
)
_KEY = re.compile(r"gw_[A-Za-z0-9_-]{20,}")
_TOLD = (GatewayError, OSError, TimeoutError)
"""Exceptions whose words are ours or the operating system's."""
_LONGEST = 4_000


def redact(text: str) -> str:
    """The text with phone numbers and keys masked: `+12125550123` is `+1212***23`."""
    text = _KEY.sub(lambda found: f"{found[0][:6]}***", text[:_LONGEST])
    return _PHONE.sub(lambda found: mask(found[0]), text)


def describe(error: BaseException) -> str:
    """An exception as logs show it: its type, its SQLSTATE, and its words where they quote
    nobody.
    """
    name = type(error).__name__
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return f"{name} ({state})"
    return f"{name}: {error}" if isinstance(error, _TOLD) else name


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception's causes, the first first, and the exception itself."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen and len(seen) < 10:
        seen.append(current)
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return reversed(seen)


def trace(error: BaseException) -> str:
    """Where an exception came from, without what it says."""
    parts = []
    for each in _chain(error):
        parts += traceback.format_tb(each.__traceback__, limit=-20)
        parts.append(f"{describe(each)}\n")
    return "".join(parts).rstrip()


_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class TextFormatter(logging.Formatter):
    """`2026-11-22T19:02:00.123Z INFO gateway.app: ready`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it where there is one."""
        line = f"{_time(record)} {record.levelname} {record.name}: {redact(_message(record))}"
        line = line.replace("\n", "\n  ").replace("\r", " ")
        return f"{line}\n{found}" if (found := _trace_of(record)) else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, message, and trace where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry: dict[str, Any] = {
            "at": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(_message(record)),
        }
        if found := _trace_of(record):
            entry["trace"] = found
        return msgspec.json.encode(entry).decode()


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _message(record: logging.LogRecord) -> str:
    """The record's words; exceptions among its arguments are reduced like tracebacks."""
    if isinstance(record.args, tuple):
        arguments = tuple(
            describe(argument) if isinstance(argument, BaseException) else argument
            for argument in record.args
        )
        return str(record.msg) % arguments if arguments else str(record.msg)
    return record.getMessage()


def _trace_of(record: logging.LogRecord) -> str:
    found: _ExcInfo | None = record.exc_info
    if not found or found[1] is None:
        return ""
    return redact(trace(found[1]))


def set_up_logging(settings: LogSettings, stream: TextIO | None = None) -> logging.Handler:
    """Send all logs to standard error, or to `stream`, as the settings say. Returns the handler."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for chatty in ("asyncio", "aiohttp", "aiosmtpd", "mail.log", "aiosmtplib"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    return handler
