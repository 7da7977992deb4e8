"""Calls: what they say, and how they are made."""

from __future__ import annotations
