"""docs/api.md tells what the API does."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.api.problems import OWN_STATUS_CODES, TITLES
from gateway.api.server import KEYED, open_endpoints
from gateway.errors import STATUS_CODES
from gateway.model import EventKind, State

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_problem_is_explained_with_its_status() -> None:
    """The table of problems is the table of types, each with a title of its own."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    assert {type_: int(status) for type_, status in rows} == OWN_STATUS_CODES
    assert set(TITLES) == set(OWN_STATUS_CODES)
    assert set(STATUS_CODES) <= set(OWN_STATUS_CODES)


def test_every_endpoint_is_on_the_page() -> None:
    """Nothing can be called that is not described."""
    for path in {e.path for e in KEYED} | {e.path for e in open_endpoints()}:
        assert path in PAGE, path


def test_every_state_and_event_is_on_the_page() -> None:
    """What a program may meet is listed."""
    for state in State:
        assert state is State.ACCEPTED or f"`{state.word}`" in PAGE
    finals = {state.word for state in State}
    for kind in EventKind:
        assert kind.word in finals or f"`{kind.word}`" in PAGE
