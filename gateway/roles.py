"""What a process of the gateway may do."""

from __future__ import annotations

from gateway.errors import GatewayError

ROLES = ("api", "sms", "mail", "voice")


def check_roles(text: str) -> tuple[str, ...]:
    """The roles in `api,sms`. Raises GatewayError naming the one that there is not."""
    roles = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for role in roles:
        if role not in ROLES:
            raise GatewayError(f"there is no role {role}: choose from {', '.join(ROLES)}")
    if not roles:
        raise GatewayError(f"name at least one role of {', '.join(ROLES)}")
    return roles
