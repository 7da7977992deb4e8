"""Fixtures for links."""

from __future__ import annotations

from tests.sandbox.conftest import smsc

__all__ = ["smsc"]
