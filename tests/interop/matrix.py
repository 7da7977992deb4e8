"""Which peer is tested in which case, and why not where it is not; written as docs/interop.md.

The table follows from the tests themselves: each names its peer and the cases that it `covers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
_BEGIN = "<!-- written by `make interop WRITE=1` -->"
_END = "<!-- end of what is written -->"


@dataclass(frozen=True)
class Peer:
    """A program in one of its parts. `cannot`: the reason by case."""

    name: str
    program: str
    part: str
    cannot: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """Peers of one protocol, and what is tried with each."""

    title: str
    cases: tuple[str, ...]
    peers: tuple[Peer, ...]

    def is_known(self, peer: str, case: str) -> bool:
        """Whether a test may name these."""
        return case in self.cases and any(each.name == peer for each in self.peers)


def covers(peer: Peer, *cases: str) -> pytest.MarkDecorator:
    """Marks a test with what it proves."""
    return pytest.mark.covers(peer.name, *cases)


class Covered:
    """What the collected tests prove."""

    def __init__(self, items: Iterable[pytest.Item]) -> None:
        self.pairs = {
            (marker.args[0], case)
            for item in items
            for marker in item.iter_markers("covers")
            for case in marker.args[1:]
        }

    def cell(self, peer: Peer, case: str) -> str:
        """`ok`, a reason, or nothing where both were forgotten."""
        return "ok" if (peer.name, case) in self.pairs else peer.cannot.get(case, "")


def faults(suites: Iterable[Suite], covered: Covered) -> list[str]:
    """Cells that are empty, have both a test and an excuse, or are of no suite."""
    suites = tuple(suites)
    found = [
        f"{peer}, {case}: of no suite"
        for peer, case in sorted(covered.pairs)
        if not any(suite.is_known(peer, case) for suite in suites)
    ]
    for suite in suites:
        for peer in suite.peers:
            for case in suite.cases:
                if not covered.cell(peer, case):
                    found.append(f"{peer.name}, {case}: neither tested nor explained")
                elif (peer.name, case) in covered.pairs and case in peer.cannot:
                    found.append(f"{peer.name}, {case}: tested, and yet excused")
    return found


def table(suite: Suite, covered: Covered) -> list[str]:
    """The suite's table, in Markdown; reasons are numbered below it."""
    head = [f"{peer.program} {peer.part}" for peer in suite.peers]
    lines = [f"## {suite.title}", "", _row(["", *head]), _row(["---"] * (len(head) + 1))]
    reasons: list[str] = []
    for case in suite.cases:
        cells = []
        for peer in suite.peers:
            cell = covered.cell(peer, case)
            if cell != "ok":
                if cell not in reasons:
                    reasons.append(cell)
                cell = f"– ({reasons.index(cell) + 1})"
            cells.append(cell)
        lines.append(_row([case, *cells]))
    lines.append("")
    return [*lines, *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def written(suites: Iterable[Suite], covered: Covered) -> str:
    """What the page has between its two marks, but for the versions."""
    return "\n".join(line for suite in suites for line in [*table(suite, covered), ""]).strip()


def on_page() -> str:
    """The same as the page has it."""
    text = PAGE.read_text(encoding="utf-8")
    between = text.partition(_BEGIN)[2].partition(_END)[0]
    return between.partition("## ")[1] + between.partition("## ")[2].rstrip()


def write(suites: Iterable[Suite], covered: Covered, versions: Mapping[str, str]) -> None:
    """Put the tables on the page, with the versions that they were found with."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    names = ", ".join(f"{program} {version}" for program, version in sorted(versions.items()))
    body = f"\n\nLast written with {names}.\n\n{written(suites, covered)}\n\n"
    PAGE.write_text(f"{before}{_BEGIN}{body}{_END}{after}", encoding="utf-8")
