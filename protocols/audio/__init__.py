"""Audio of the telephone: G.711 and WAV files."""

from __future__ import annotations
