"""Abbreviations, words in capitals, signs: everything that is not a number."""

from __future__ import annotations

import re
from collections.abc import Callable

from tts.text.grammar import Grammar, Match, Rule, rule

_VOWELS = frozenset("aeiouyáéíóúàâèêëîïôùûü")
_SHOUTING = re.compile(r"(?<![^\W\d_])[A-ZÀ-Ý]{2,}(?:'[A-Z]{1,2})?(?![^\W\d_])")


def symbol_rules(g: Grammar) -> list[Rule]:
    """Hashtags, names of accounts, then signs by the grammar's table."""
    signs = "".join(s for s in g.symbols if len(s) == 1)
    at = g.symbols["@"]
    longer = [s for s in g.symbols if len(s) > 1]
    rules = [
        rule(
            s[1:] if s[0].isalpha() else s[0],
            rf"(?<!\w){re.escape(s)}(?!\w)",
            f" {g.symbols[s]} ",
            re.IGNORECASE,
        )
        for s in longer
    ]
    rules += [
        rule(
            "#",
            r"#(?P<tag>[^\W\d_][\w]{1,40})",
            lambda m: f" {g.speech['hashtag']} {_camel(m['tag'])} ",
        ),
        rule(
            "@",
            r"(?<!\w)@(?P<name>\w{1,40}(?:-[a-z]\w{0,20}){0,3})",
            lambda m: f" {at} {_handle(g, m['name'])} ",
        ),
        rule("/", r"(?<=[^\W\d_]) ?/ ?(?=[^\W\d_])", f" {g.speech['or']} "),
        rule("=-", r"(?<![=-])[=-]+>|<[=-]+|(?<=\w) +-+ +(?=\w)|--+", ", "),
    ]
    if signs:
        rules.append(rule(signs, f"[{re.escape(signs)}]", lambda m: f" {g.symbols[m[0]]} "))
    return rules


def _handle(g: Grammar, handle: str) -> str:
    """`sample_bridal` with the sign that people have to type."""
    said = handle.replace("_", f" {g.speech['underscore']} ")
    return said.replace("-", f" {g.speech['dash']} ") if handle.islower() else said


def _camel(tag: str) -> str:
    """`SamplePromNight` as three words."""
    return re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Ý0-9])|_", " ", tag)


def word_rules(g: Grammar) -> list[Rule]:
    """Initials with full stops, abbreviations, capitals."""
    table = {**g.words, **g.dotted}
    longest = max(map(len, table))

    def abbreviation(match: Match) -> str:
        word, has_dot = match["word"], bool(match["dot"])
        key = word.lower()
        if key not in (table if has_dot else g.words):
            return match[0]
        rest = match.string[match.end() : match.end() + 3]
        ends = has_dot and key not in g.titles and (not rest.strip() or rest[1:2].isupper())
        return table[key] + ("." if ends else "")

    def initials(match: Match) -> str:
        ends = not match.string[match.end() :].strip()
        return " ".join(match[0].replace(".", "").upper()) + ("." if ends else "")

    return [
        rule(".", r"(?<![\w.])(?:[A-Za-z]\.){2,8}(?!\w)", initials),
        rule(
            "",
            rf"(?<![\w'])(?P<word>[^\W\d_]{{1,{longest}}})(?P<dot>\.(?!\w))?(?![\w'])",
            abbreviation,
        ),
        rule("", _SHOUTING.pattern, _capitals(g)),
    ]


def _capitals(g: Grammar) -> Callable[[Match], str]:
    def said(match: Match) -> str:
        word = match[0]
        lower = word.lower()
        if "'" in word or lower in g.short_words:
            return lower
        if lower in g.acronyms or _VOWELS.isdisjoint(lower):
            return " ".join(word)
        if len(word) > 3 or _is_shouted(match):
            return lower
        return " ".join(word) if len(word) == 2 else lower

    return said


def _is_shouted(match: Match) -> bool:
    """Whether the words beside it are in capitals too."""
    before = match.string[max(0, match.start() - 6) : match.start()].strip()
    after = match.string[match.end() : match.end() + 6].strip()
    return (len(before) > 1 and before.isupper()) or (len(after) > 1 and after.isupper())
