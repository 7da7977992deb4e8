"""The table in docs/interop.md."""

from __future__ import annotations

import pytest

from tests.interop import matrix
from tests.interop.conftest import SUITES
from tests.interop.matrix import Covered


def test_every_case_is_tested_or_explained(covered: Covered) -> None:
    """For each peer and case there is a test that passes, or a reason why there cannot be one."""
    assert matrix.faults(SUITES, covered) == []


def test_the_page_says_what_the_tests_prove(
    covered: Covered, request: pytest.FixtureRequest
) -> None:
    """docs/interop.md has the table of these tests; `make interop WRITE=1` writes it anew."""
    if not request.config.getoption("--interop-write"):
        assert matrix.on_page() == matrix.written(SUITES, covered)
