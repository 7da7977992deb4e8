"""What differs between the settings that run and those that were read again."""

from __future__ import annotations

import msgspec

from config.settings import Settings

_LIVE = frozenset({"links", "routes", "mail", "trunks"})
"""Sections that a running gateway takes over."""
_WHOLE = ("routes", "trunks", "mail")
"""Those of them that are told of as one."""


class Changes(msgspec.Struct, kw_only=True, frozen=True):
    """Links by name, and whether routes, trunks or the mail account differ.

    `at_restart`: sections that differ and that only a new start takes over.
    """

    added: list[str]
    changed: list[str]
    removed: list[str]
    routes: bool
    trunks: bool
    mail: bool
    at_restart: list[str]

    def words(self) -> str:
        """On one line, for the log."""
        parts = [
            f"links {how}: {', '.join(names)}"
            for how, names in (
                ("added", self.added),
                ("changed", self.changed),
                ("removed", self.removed),
            )
            if names
        ]
        parts += [f"{name} changed" for name in _WHOLE if getattr(self, name)]
        parts += [f"[{name}] waits for the next start" for name in self.at_restart]
        return "; ".join(parts) or "nothing has changed"


def compare(old: Settings, new: Settings) -> Changes:
    """What to do to come from one to the other."""
    before = {link.name: link for link in old.links}
    after = {link.name: link for link in new.links}
    # A mail account that appears or goes brings or takes a route that parts knew from the start.
    is_mail_live = old.mail.is_on == new.mail.is_on
    # Without a trunk there were no ports, and new ones may be meant for a new [voice].
    is_trunks_live = bool(old.trunks) and old.voice == new.voice
    waiting = {"mail": not is_mail_live, "trunks": not is_trunks_live}
    differing = [
        name for name in Settings.__struct_fields__ if getattr(old, name) != getattr(new, name)
    ]
    return Changes(
        added=[name for name in after if name not in before],
        changed=[name for name in after if name in before and after[name] != before[name]],
        removed=[name for name in before if name not in after],
        routes=old.routes != new.routes,
        trunks=old.trunks != new.trunks and is_trunks_live,
        mail=old.mail != new.mail and is_mail_live,
        at_restart=[
            name for name in differing if name not in _LIVE or waiting.get(name, False)
        ],
    )
