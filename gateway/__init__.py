"""A gateway that carries shops' texts, mails and calls to their customers, and the answers back."""

from __future__ import annotations

__version__ = "0.1.0"
