"""Far ends for tests: small, scripted, on loopback only."""

from __future__ import annotations
