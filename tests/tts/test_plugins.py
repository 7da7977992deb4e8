"""Engines of third parties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint

import pytest

from tests.tts.engines import Parrot
from tts import plugins
from tts.plugins import GROUP, PluginError


def make_parrot(options: Mapping[str, str]) -> Parrot:
    """What an entry point names."""
    return Parrot(options.get("name", "parrot"))


def make_broken(_: Mapping[str, str]) -> Parrot:
    """A factory that fails."""
    raise LookupError("no licence")


def make_nothing(_: Mapping[str, str]) -> object:
    """A factory of something else."""
    return object()


Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    def with_engines(*entries: tuple[str, str]) -> None:
        made = [EntryPoint(name, f"{__name__}:{maker}", GROUP) for name, maker in entries]
        monkeypatch.setattr(plugins, "entry_points", lambda group: made)

    return with_engines


def test_loaded(install: Install) -> None:
    """An engine that a package offers is listed and made with its options."""
    install(("parrot", "make_parrot"))
    assert plugins.names() == ("parrot",)
    assert plugins.load("parrot", {}).voices


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nobody", "no installed package offers the engine nobody"),
        ("twice", "several installed packages"),
        ("broken", "LookupError: no licence"),
        ("nothing", "makes no engine"),
        ("missing", "AttributeError"),
        ("cuckoo", "calls itself parrot"),
    ],
)
def test_refused(install: Install, name: str, reason: str) -> None:
    """What cannot be made is refused with the reason."""
    install(
        ("twice", "make_parrot"),
        ("twice", "make_broken"),
        ("broken", "make_broken"),
        ("nothing", "make_nothing"),
        ("missing", "make_missing"),
        ("cuckoo", "make_parrot"),
    )
    with pytest.raises(PluginError, match=reason):
        plugins.load(name, {})


def test_none_installed() -> None:
    """Without packages of third parties there are no such engines."""
    assert plugins.names() == ()
