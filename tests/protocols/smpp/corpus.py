"""The stored PDUs: one file each, named after what is in it or what is wrong with it.

The well-formed ones of the standard's commands were written by a foreign encoder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "data" / "smpp"
STORED: Final = {file.stem: file.read_bytes() for file in sorted(FOLDER.glob("*.bin"))}

BROKEN_FRAMING: Final = {n: b for n, b in STORED.items() if n.startswith("framing_")}
MALFORMED: Final = {n: b for n, b in STORED.items() if n.startswith("malformed_")}
WELL_FORMED: Final = {
    n: b for n, b in STORED.items() if n not in MALFORMED and n not in BROKEN_FRAMING
}
