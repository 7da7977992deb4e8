"""Error rates: the edits that turn what was heard into what was said, for words and for digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speech.canonical import canonical


def edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements between two sequences (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other)),
            )
    return row[-1]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over any number of messages; add them up with `+`."""

    words: int = 0
    word_edits: int = 0
    digits: int = 0
    digit_edits: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.words + other.words,
            self.word_edits + other.word_edits,
            self.digits + other.digits,
            self.digit_edits + other.digit_edits,
        )

    @property
    def word_error_rate(self) -> float:
        """Edits for each word said; may pass 1."""
        return self.word_edits / self.words if self.words else 0.0

    @property
    def digit_error_rate(self) -> float:
        """Edits for each digit said, of the digits alone, in their order."""
        return self.digit_edits / self.digits if self.digits else 0.0


def score(said: str, heard: str) -> Score:
    """Compare two texts in their canonical form."""
    reference, result = canonical(said), canonical(heard)
    digits = [w for w in reference if w.isdigit()]
    heard_digits = [w for w in result if w.isdigit()]
    return Score(len(reference), edits(reference, result), len(digits), edits(digits, heard_digits))
