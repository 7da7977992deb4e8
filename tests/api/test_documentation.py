"""docs/api.md tells what the API does."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.api.problems import TITLES
from gateway.api.server import KEYED, open_endpoints
from gateway.errors import STATUS_CODES
from gateway.model import FINAL, EventKind, State

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_problem_is_explained_with_its_status() -> None:
    """The table of problems is the table of types, each with a title of its own."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    assert {type_: int(status) for type_, status in rows} == STATUS_CODES
    assert set(TITLES) == set(STATUS_CODES)


def test_every_endpoint_is_on_the_page() -> None:
    """Nothing can be called that is not described."""
    for path in {e.path for e in KEYED} | {e.path for e in open_endpoints()}:
        assert path in PAGE, path


def test_every_state_and_event_is_on_the_page() -> None:
    """What a program may meet is listed."""
    for state in State:
        assert state is State.ACCEPTED or f"`{state.word}`" in PAGE
    finals = {state.word for state in FINAL}
    (told,) = re.findall(r"Kinds: (.*?)\.\n", PAGE, re.DOTALL)
    kinds = set(re.findall(r"`([a-z-]+)`", told)) - {"accepted", "queued", "scheduled", "submitted"}
    assert kinds == {kind.word for kind in EventKind} - finals


def test_every_kind_of_event_is_written_by_something() -> None:
    """A kind that nothing writes would promise what never comes."""
    source = Path(__file__).parents[2] / "gateway"
    code = "".join(path.read_text(encoding="utf-8") for path in source.glob("*/*.py"))
    written = set(re.findall(r"EventKind\.([A-Z_]+)\b(?!:)", code))
    assert written | {state.name for state in FINAL} == {kind.name for kind in EventKind}
