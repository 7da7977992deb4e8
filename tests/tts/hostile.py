"""Texts that mean harm, or that break engines."""

from __future__ import annotations

import random
from pathlib import Path

MARKUP = (
    '<genfile file="{path}">hello</genfile>',
    "<genfile file='{path}'>hello",
    '<p><genfile  file = "{path}" >hello</genfile></p>',
    '&lt;genfile file="{path}"&gt;hello',
    '\uff1cgenfile file="{path}"\uff1ehello\uff1c/genfile\uff1e',
    '\ufe64genfile file="{path}"\ufe65hello',
    '<play file="/etc/hostname"/> hello',
    '<speed level="500"><volume level="500">hello',
    "<break time='9999999ms'/>hello",
    "[[ h @ l oU ]] hello",
    "\x1b[31mhello\x00\x01\x02",
)
STRANGE = (
    "9" * 60,
    "4" * 999,
    "x" * 999,
    "a b " * 240,
    "\u202e\u202dhello \u0645\u0631\u062d\u0628\u0627",
    "e" + "\u0301" * 500,
    "\u0f3f\u0f71\u0f72\u0f39" * 100,
    "hello\u0000there",
    "." * 500 + "a",
    "? ! ? ! , , , ' ' - - " * 30 + "end",
    "\ufb03ce \u2460 \u00bd \u2122 \u03a9",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035aalgo",
    "\ud800 lone surrogate",
    "%s %n %x \\ ` $(id) ; rm -rf / | ' \" &",
)
SILENT = ("", "   ", "\n\t", "\U0001f600\U0001f389", "...", "\u200b\u200d\ufeff", "<>", "\u202e")
LONG = ("a" * 100_000, "<genfile file='x'>" * 6_000, "\U0001f600" * 25_000)


def markup(path: Path) -> list[str]:
    """Texts that tell an engine to write to a path, and more such."""
    return [text.replace("{path}", str(path)) for text in MARKUP]


def random_texts(count: int) -> list[str]:
    """Texts of any characters, the same in every run."""
    chance = random.Random(4)  # noqa: S311
    ranges = [(0, 0x7F), (0x80, 0x24F), (0x300, 0x36F), (0x590, 0x6FF), (0x900, 0xFFF)]
    ranges += [(0x2000, 0x2BFF), (0xD800, 0xDFFF), (0xFE00, 0xFFFF), (0x1F300, 0x1FAFF)]

    def text() -> str:
        chosen = chance.sample(ranges, chance.randint(1, 4))
        length = chance.randint(1, 25)
        return "".join(chr(chance.randint(*chance.choice(chosen))) for _ in range(length))

    return [text() for _ in range(count)]
