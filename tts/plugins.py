"""Engines of third parties, found by entry point.

A package that names `myvoice = "mypackage:make_engine"` in the group below adds the engine
`myvoice`. `make_engine` takes the options of its settings, a mapping of strings, and returns an
`Engine`. It runs in this process, with all its rights: installing one is trusting it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

from tts.engine import Engine

GROUP: Final = "sms_voice_gateway.tts"


class PluginError(Exception):
    """An engine is not installed, or is none. The words say which and why."""


def names() -> tuple[str, ...]:
    """The engines that installed packages offer."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load(name: str, options: Mapping[str, str]) -> Engine:
    """Make the engine of that name. Raises PluginError."""
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        known = ", ".join(names()) or "none"
        raise PluginError(f"no installed package offers the engine {name} (offered: {known})")
    if len(found) > 1:
        raise PluginError(f"several installed packages offer the engine {name}")
    try:
        engine = found[0].load()(options)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(f"the engine {name} cannot be made: {reason}") from error
    if not isinstance(engine, Engine):
        raise PluginError(f"{found[0].value} makes no engine: something of it is missing")
    if engine.name != name:
        raise PluginError(f"the engine {name} calls itself {engine.name}")
    return engine
