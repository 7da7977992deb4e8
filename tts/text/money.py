"""Amounts of money: cents, thousands, ranges, and what is owed back."""

from __future__ import annotations

import re

from tts.text.figures import Figure, number, read, say
from tts.text.grammar import NUMERALS, Grammar, Match, Noun, Rule, rule

_SCALES = r"(?P<scale> ?(?:[kK]|[mM]|[Mm]illion|[Bb]illion|mil|millones|mille|millions?)\b)?"


def amount(g: Grammar, figure: Figure, currency: tuple[Noun, Noun], scale: str = "") -> str:
    """`149.50` as "one hundred forty nine dollars and fifty cents"."""
    (one, several), (cent, cents) = currency
    if scale:
        return f"{say(g, figure)} {scale} {g.speech['of_scale']}{several}"
    if g.speech["of_scale"] and figure.whole and figure.whole % 10**6 == 0:
        several = g.speech["of_scale"] + several
    if len(figure.decimals) not in (0, 2):
        return f"{say(g, figure)} {several}"
    hundredths = int(figure.decimals or 0)
    said = []
    if figure.whole or not hundredths:
        said.append(
            f"{say(g, Figure(figure.whole, ''), several)} {_of(figure.whole, one, several)}"
        )
    if hundredths:
        said.append(f"{g.counting(hundredths, cents)} {_of(hundredths, cent, cents)}")
    return f" {g.speech['and']} ".join(said)


def _of(count: int, one: str, several: str) -> str:
    return one if count == 1 else several


def rules(g: Grammar) -> list[Rule]:
    """Sign first (`$5`), sign or code last (`5 €`, `5 USD`), ranges before single amounts."""
    signs = "".join(s for s in g.money if len(s) == 1)
    codes = "|".join(re.escape(s.upper()) for s in g.money if len(s) > 1)
    figure = number(g)
    minus = f"{g.speech['minus']} "
    scales = {"k": g.speech["thousand"], "m": g.speech["million"]}

    def bare(figure: Figure) -> str:
        """An amount without its currency, as the lower end of a range is said."""
        if len(figure.decimals) != 2:
            return say(g, figure)
        cents = f" {g.cardinal(int(figure.decimals))}" if int(figure.decimals) else ""
        return say(g, Figure(figure.whole, "")) + cents

    def between(match: Match) -> str:
        low, high = read(g, match["low"]), read(g, match["high"])
        currency = g.money[(match["sign"] or match["last"]).lower()]
        if high.whole < low.whole and " " in match[0]:  # "$500 - $200 deposit" takes away
            return f"{amount(g, low, currency)} {minus}{amount(g, high, currency)}"
        return f"{bare(low)} {g.speech['to']} {amount(g, high, currency)}"

    def single(match: Match) -> str:
        currency = g.money[(match["code"] or match["sign"]).lower()]
        scale = (match["scale"] or "").strip().lower()
        said = amount(g, read(g, match["n"]), currency, scales.get(scale, scale))
        after = match.string[match.end() : match.end() + 1]  # "$25off"
        return (minus if match["minus"] else "") + said + (" " if after.isalpha() else "")

    before = rf"(?P<sign>(?<![A-Z])[{re.escape(signs)}]|\b(?:{codes})(?= ?[0-9-])) ?"
    after = rf" ?(?P<sign>[{re.escape(signs)}]|(?:{codes})\b)"
    code = rf"(?: (?P<code>(?i:{codes}))\b)?"
    stop = r"(?![0-9])"
    times = f" {g.speech['times']} "
    return [
        # "$$$ savings" is no amount
        rule("$", r"\$\$+(?![$ ]?[0-9])|\$+(?=\$)", ""),
        rule("xX", rf"(?<=[0-9]) ?[xX] ?(?=[{re.escape(signs)}]|{figure} ?[$€£])", times),
        rule("xX", rf"([{re.escape(signs)}] ?{figure}) ?[xX] ?(?=[0-9])", rf"\1{times}"),
        rule(
            signs,
            rf"(?P<sign>[{re.escape(signs)}]) ?(?P<low>{figure}) ?- ?"
            rf"(?P<last>[{re.escape(signs)}]) ?(?P<high>{figure}){stop}",
            between,
        ),
        rule(
            signs,
            rf"(?P<sign>[{re.escape(signs)}]) ?(?P<low>{figure})-(?P<last>)"
            rf"(?P<high>{figure}){stop}",
            between,
        ),
        rule(
            NUMERALS,
            rf"(?<![\w.])(?P<low>{figure}) ?- ?(?P<high>{figure}) ?(?P<sign>)"
            rf"(?P<last>[{re.escape(signs)}]|(?:{codes})\b)",
            between,
        ),
        rule(
            "-",
            rf"(?<![\w.])(?P<low>{figure}) ?(?P<sign>[{re.escape(signs)}]|(?:{codes})\b) ?- ?"
            rf"(?P<high>{figure}) ?(?P<last>[{re.escape(signs)}]|(?:{codes})\b)",
            between,
        ),
        rule(
            NUMERALS,
            rf"(?P<minus>(?<![\w-])- ?)?{before}(?P<minus2>(?<! )-)?(?P<n>{figure}){_SCALES}{stop}"
            rf"{code}",
            lambda m: (minus if m["minus2"] else "") + single(m),
        ),
        rule(
            NUMERALS,
            rf"(?<![\w.])(?P<minus>- ?)?(?P<n>{figure}){_SCALES}{after}{code}",
            single,
        ),
        rule("¢", rf"(?P<n>{figure}) ?¢", lambda m: _hundredths(g, m["n"])),
    ]


def _hundredths(g: Grammar, written: str) -> str:
    one, several = g.money["$"][1]
    figure = read(g, written)
    return f"{say(g, figure, several)} {_of(figure.whole, one, several)}"
