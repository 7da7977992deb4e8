"""Benchmarks: `python -m bench --help`."""

from __future__ import annotations
