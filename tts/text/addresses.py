"""Web and e-mail addresses as people say them: "sample dot com", without scheme or query."""

from __future__ import annotations

import re

from tts.text.grammar import Grammar, Match, Rule, rule

_DOMAIN_ENDS = (
    "com|org|net|edu|gov|info|biz|shop|store|online|app|bridal|wedding"
    "|io|co|us|ca|mx|es|fr|uk|tv|me|ly|link|page|site"
)
_SPELLED = frozenset({"edu", "us", "ca", "mx", "uk", "tv", "io", "www"})
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,40})\.){1,4}"
_PARTS = re.compile(r"[a-zA-Z]+|[0-9]|[._/+@-]")
_NEXT_SENTENCE = r"(?!(?-i:App|Es|Link|Me|Online|Page|Shop|Site|Store|Us)\b)"
"""A full stop without a space behind it: "See you.Store hours are 9-5"."""
_LONGEST_PATH = 30


def rules(g: Grammar) -> list[Rule]:
    """E-mail addresses first: a host stands at their end."""
    said = {
        ".": g.speech["dot"],
        "@": g.speech["at"],
        "-": g.speech["dash"],
        "_": g.speech["underscore"],
        "/": g.speech["slash"],
        "+": g.speech["plus"],
    }

    def part(text: str) -> str:
        if text in said:
            return said[text]
        if text.isdigit():
            return g.digits[int(text)]
        lower = text.lower()
        return " ".join(text.upper()) if lower in _SPELLED or lower in g.words else lower

    def spell(address: str) -> str:
        return " ".join(part(p) for p in _PARTS.findall(address))

    def web(match: Match) -> str:
        host, path = match["host"], (match["path"] or "").strip("/")
        if host.lower().startswith("www."):
            host = host[4:]
        if not path or len(path) > _LONGEST_PATH or "%" in path:
            return spell(host)
        return spell(f"{host}/{path}")

    return [
        rule(
            "@",
            r"(?<![\w.+-])[\w.+-]{1,64}@" + _HOST + r"[a-zA-Z]{2,12}\b",
            lambda m: spell(m[0]),
            re.ASCII,
        ),
        rule(
            ".",
            r"(?<![\w.@-])(?:https?://(?P<any>))?"
            rf"(?P<host>{_HOST}(?:(?(any)[a-zA-Z]{{2,12}}|{_NEXT_SENTENCE}(?:{_DOMAIN_ENDS}))))\b(?!\.\w)"
            r"(?::\d{1,5})?(?P<path>/[\w./+%-]*[\w/])?(?:[?#&][^\s,;!]*)?",
            web,
            re.ASCII | re.IGNORECASE,
        ),
    ]
