"""Fixtures of the security tests."""

from __future__ import annotations

from tests.api.fixtures import api, stored_api

__all__ = ["api", "stored_api"]
