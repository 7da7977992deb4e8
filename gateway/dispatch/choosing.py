"""Which route a message takes: a pure choice, and the same choice in words.

A route may be used by numbers: those that it names, and those whose home (the route or link that a
number is assigned to) it names. Of the routes that a message's number may use and whose conditions
it meets, the most specific carries it: number before home, then a carrier before none, then the
longest prefix, then a category before none; then the lowest cost, one that is not known last; then
the first in the settings. Without any, the message takes its number's home.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from types import MappingProxyType

from config.routes import RouteSettings
from gateway.model import Category


@dataclass(frozen=True, slots=True)
class Rule:
    """One way for a message to come to a route: what it has to meet. `carriers` are folded."""

    route: str
    home: str
    is_number: bool
    carriers: frozenset[str]
    prefix: str
    categories: frozenset[str]
    cost: float
    order: int

    @property
    def place(self) -> tuple[bool, bool, int, bool, float, int]:
        """Where it stands among the rules: the lowest that fits is taken."""
        return (
            not self.is_number,
            not self.carriers,
            -len(self.prefix),
            not self.categories,
            self.cost or inf,
            self.order,
        )

    def fits(self, phone: str, category: str, carrier: str) -> bool:
        """Whether a message to this phone meets it."""
        return (
            (not self.prefix or phone.startswith(self.prefix))
            and (not self.categories or category in self.categories)
            and (not self.carriers or carrier in self.carriers)
        )

    def covers(self, other: Rule) -> bool:
        """Whether every message that fits the other fits this one."""
        return (
            other.prefix.startswith(self.prefix)
            and _within(other.categories, self.categories)
            and _within(other.carriers, self.carriers)
        )

    @property
    def words(self) -> str:
        """What it asks for, after `messages `: `to +1212…, marketing, to a phone of verizon`."""
        parts = []
        if self.prefix:
            parts.append(f"to {self.prefix}…")
        if self.carriers:
            parts.append(f"to a phone of {_either(self.carriers)}")
        if self.categories:
            parts.append(f"of category {_either(self.categories)}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Choice:
    """The route that a message takes, and why, in sentences."""

    route: str
    why: tuple[str, ...]


class _Home:
    """The rules of one home, by their place; and those of each prefix, since a price list may name
    thousands.
    """

    __slots__ = ("_by_prefix", "_lengths", "rules")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = sorted(rules, key=lambda rule: rule.place)
        self._by_prefix: dict[str, list[int]] = {}
        for index, rule in enumerate(self.rules):
            self._by_prefix.setdefault(rule.prefix, []).append(index)
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix})

    def first(self, phone: str, category: str, carrier: str) -> Rule | None:
        """The first rule that fits."""
        best = len(self.rules)
        for length in self._lengths:
            for index in self._by_prefix.get(phone[:length], ()):
                if index >= best:
                    break
                if self.rules[index].fits(phone, category, carrier):
                    best = index
                    break
        return self.rules[best] if best < len(self.rules) else None

    def hiding(self, rule: Rule) -> Iterator[Rule]:
        """The rules before this one that take everything that it is for."""
        for length in self._lengths:
            for index in self._by_prefix.get(rule.prefix[:length], ()):
                other = self.rules[index]
                if other.place < rule.place and other.covers(rule):
                    yield other


class Routing:
    """The rules of an installation. `ids`: the store's, by the name of the route."""

    __slots__ = ("_homes", "_routes", "ids")

    def __init__(
        self, routes: Sequence[RouteSettings], ids: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self.ids = ids
        self._routes = tuple(routes)
        found: dict[str, list[Rule]] = {}
        for order, route in enumerate(routes):
            for rule in _rules(route, order):
                found.setdefault(rule.home, []).append(rule)
        self._homes = {home: _Home(rules) for home, rules in found.items()}

    def choose(
        self, number: str, home: str, phone: str, category: Category, carrier: str
    ) -> str | None:
        """The route's name, None for the number's home.

        `phone`: E.164; `carrier`: the contact's SMS Alerts field, folded, which is a carrier's name
        unless it is blank or says whether to send.
        """
        rule = self._first(number, home, phone, category, carrier)
        return None if rule is None else rule.route

    def _first(
        self, number: str, home: str, phone: str, category: Category, carrier: str
    ) -> Rule | None:
        word = category.name.lower()
        for name in (number, home):
            rules = self._homes.get(name)
            if rules is not None and (rule := rules.first(phone, word, carrier)) is not None:
                return rule
        return None

    def explain(
        self, number: str, home: str, phone: str, category: Category, carrier: str
    ) -> Choice:
        """The same choice, with its reasons and those of the routes that were passed over."""
        word = category.name.lower()
        why: list[str] = [f"the number {number} is assigned to {home}"]
        told: set[str] = set()
        taken = self._first(number, home, phone, category, carrier)
        if taken is not None:
            why.append(f"route {taken.route} is taken: {_reason(taken)}")
            told.add(taken.route)
        for rule in self._rules_for(number, home):
            if rule.route in told:
                continue
            told.add(rule.route)
            rules = [r for r in self._rules_for(number, home) if r.route == rule.route]
            fitting = [r for r in rules if r.fits(phone, word, carrier)]
            if taken is not None and fitting:
                why.append(f"route {rule.route} would do too: {_difference(taken, fitting[0])}")
            else:
                asked = " or ".join(r.words for r in rules)
                why.append(f"route {rule.route} is not for this message: it takes messages {asked}")
        if taken is None and told:
            why.append(f"no other route fits: {home} carries what none of them takes")
        return Choice(home if taken is None else taken.route, tuple(why))

    def _rules_for(self, number: str, home: str) -> Iterator[Rule]:
        for name in dict.fromkeys((number, home)):
            if name in self._homes:
                yield from self._homes[name].rules

    # For `gateway check` --------------------------------------------------------------------------

    def table(self) -> list[tuple[str, str, str]]:
        """Whose numbers, which messages, and the route that they take, in the order of choice."""
        found = []
        for home, each in self._homes.items():
            live = [rule for rule in each.rules if not any(each.hiding(rule))]
            for index, rule in enumerate(live):
                rest = "all others" if index else "all"
                found.append((home, rule.words or rest, rule.route))
            if live and live[-1].words and not live[-1].is_number:
                found.append((home, "all others", home))
        return found

    def unreachable(self) -> list[tuple[int, str]]:
        """Routes that no message can take, by their place in the settings, and why."""
        found = []
        for order, route in enumerate(self._routes):
            hidden = []
            for rule in _rules(route, order):
                others = self._homes[rule.home].hiding(rule)
                hidden.append(next((r for r in others if r.route != rule.route), None))
            if hidden and all(above is not None for above in hidden):
                names = dict.fromkeys(above.route for above in hidden if above is not None)
                found.append((order, f"route {', '.join(names)} takes everything that it is for"))
        return found


def _rules(route: RouteSettings, order: int) -> Iterator[Rule]:
    for home in route.homes:
        for prefix in route.prefixes or ("",):
            yield Rule(
                route.name,
                home,
                home.startswith("+") or home.isdecimal(),
                frozenset(" ".join(carrier.casefold().split()) for carrier in route.carriers),
                prefix,
                frozenset(route.categories),
                route.cost,
                order,
            )


def _within(narrow: frozenset[str], wide: frozenset[str]) -> bool:
    """Whether everything in one condition is in the other; an empty one holds for all."""
    return not wide or (bool(narrow) and narrow <= wide)


def _either(words: frozenset[str]) -> str:
    return " or ".join(sorted(words))


def _reason(rule: Rule) -> str:
    whose = "this number" if rule.is_number else f"numbers of {rule.home}"
    asked = f" and messages {rule.words}" if rule.words else ""
    return f"it is for {whose}{asked}"


def _difference(taken: Rule, other: Rule) -> str:
    """Why one rule came before another that fits too."""
    if taken.is_number != other.is_number:
        return "it does not name the number itself"
    if bool(taken.carriers) != bool(other.carriers):
        return "it does not name the carrier"
    if len(taken.prefix) != len(other.prefix):
        return "its prefix is shorter"
    if bool(taken.categories) != bool(other.categories):
        return "it does not name the category"
    if (taken.cost or inf) != (other.cost or inf):
        return "it costs more" if other.cost else "its cost is not known"
    return "it comes later in the settings"
