"""How results are shown."""

from __future__ import annotations

import pytest

from speech.report import BEGIN, END, Result, summary, with_results
from speech.score import Score

RESULT = Result("pico", "held_out", Score(200, 10, 100, 2), 12.3)


def test_a_line_tells_both_rates() -> None:
    """Rates come with what they are rates of."""
    assert "word errors   5.0% of 200" in summary([RESULT])
    assert "digit errors   2.0% of 100" in summary([RESULT])


def test_only_the_table_of_the_page_is_replaced() -> None:
    """What people wrote around the table stays, also the second time."""
    page = with_results(f"# Title\n{BEGIN}\nold\n{END}\nEnd\n", [RESULT])
    assert page.startswith("# Title\n")
    assert page.endswith(f"{END}\nEnd\n")
    assert "old" not in page
    assert "| pico | held out | 5.0% | 200 | 2.0% | 100 |" in page
    assert with_results(page, [RESULT]) == page


def test_a_page_without_a_place_for_the_table_is_left_alone() -> None:
    """Nothing is overwritten by guess."""
    with pytest.raises(ValueError, match="no place"):
        with_results("# Title\n", [RESULT])
