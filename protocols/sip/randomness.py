"""The randomness of a running system."""

from __future__ import annotations

import secrets


class SystemRandomness:
    """Tokens of 96 bits from the system's generator."""

    def token(self) -> str:
        return secrets.token_hex(12)

    def below(self, limit: int) -> int:
        return secrets.randbelow(limit)
