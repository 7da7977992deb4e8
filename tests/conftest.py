"""Fixtures that all tests may use."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.postgres"]

# No example has a time limit: the machine may be busy, and timings are for benchmarks.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
