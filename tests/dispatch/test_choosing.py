"""Which route a message takes, and how that is explained."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.links import LinkSettings
from config.routes import RouteSettings, effective_routes
from gateway.dispatch.choosing import Routing
from gateway.model import Category

NUMBER = "+12125550101"
PHONE = "+17185550199"
TRANSACTIONAL, MARKETING = Category.TRANSACTIONAL, Category.MARKETING


def a_route(name: str, **fields: Any) -> RouteSettings:
    """A route for the numbers of acme, unless said otherwise."""
    return RouteSettings(**({"name": name, "links": ("acme",), "numbers": ("acme",)} | fields))


def routing(*routes: RouteSettings) -> Routing:
    """The rules of these routes, and of the link acme's own."""
    link = LinkSettings(name="acme", host="smsc.example.com", system_id="lab")
    return Routing(effective_routes(routes, [link]))


def chosen(rules: Routing, category: Category = TRANSACTIONAL, carrier: str = "") -> str | None:
    """What a message from acme's number to the sample phone takes."""
    return rules.choose(NUMBER, "acme", PHONE, category, carrier)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"numbers": (NUMBER,)}, {"carriers": ("verizon",), "prefixes": ("+1718555",)}),
        ({"carriers": ("Verizon",)}, {"prefixes": ("+1718555",), "cost": 0.1}),
        ({"prefixes": ("+1718", "+44")}, {"prefixes": ("+1",), "categories": ("transactional",)}),
        ({"prefixes": ("+1",)}, {"categories": ("transactional",), "cost": 0.1}),
        ({"categories": ("service", "transactional")}, {"cost": 0.1}),
        ({"cost": 0.1}, {"cost": 0.2}),
        ({"cost": 0.2}, {}),
        ({}, {}),
    ],
)
def test_the_most_specific_route_wins(better: dict[str, Any], worse: dict[str, Any]) -> None:
    """Number, carrier, prefix, category, cost, and last the order in the settings, whatever else
    speaks for the other.
    """
    first, second = a_route("better", **better), a_route("worse", **worse)
    assert chosen(routing(first, second), carrier="verizon") == "better"
    if better != worse:
        assert chosen(routing(second, first), carrier="verizon") == "better"


@pytest.mark.parametrize(
    "condition",
    [
        {"numbers": ("beta",)},
        {"numbers": ()},
        {"prefixes": ("+1212", "+44")},
        {"carriers": ("T-Mobile",)},
        {"categories": ("marketing",)},
    ],
)
def test_a_route_whose_conditions_are_not_met_is_not_taken(condition: dict[str, Any]) -> None:
    """The message takes the link that its number is assigned to, by the link's own route."""
    assert chosen(routing(a_route("east", **condition)), carrier="verizon") == "acme"


def test_a_home_that_no_settings_know_is_kept() -> None:
    """A number may be assigned to a link that another process runs."""
    rules = routing(a_route("east"))
    assert rules.choose(NUMBER, "sandbox", PHONE, TRANSACTIONAL, "") is None
    assert rules.explain(NUMBER, "sandbox", PHONE, TRANSACTIONAL, "").route == "sandbox"


def test_a_route_of_its_own_name_is_for_the_numbers_assigned_to_it() -> None:
    """Unless it names others; that of a link replaces the link's own."""
    own = [RouteSettings(name=name, links=("acme",)) for name in ("east", "acme")]
    rules = routing(*own)
    assert rules.choose(NUMBER, "east", PHONE, TRANSACTIONAL, "") == "east"
    assert rules.choose(NUMBER, "acme", PHONE, TRANSACTIONAL, "") == "acme"


def test_the_choice_is_explained() -> None:
    """Which route, for what, and why not each of the others."""
    rules = routing(
        a_route("ads", categories=("marketing",)),
        a_route("city", prefixes=("+1718", "+1212")),
        a_route("cheap", cost=0.1),
        a_route("dear", cost=0.3),
    )
    told = rules.explain(NUMBER, "acme", PHONE, TRANSACTIONAL, "")
    assert told.route == "city"
    assert told.why == (
        "the number +12125550101 is assigned to acme",
        "route city is taken: it is for numbers of acme and messages to +1718…",
        "route ads is not for this message: it takes messages of category marketing",
        "route cheap would do too: its prefix is shorter",
        "route dear would do too: its prefix is shorter",
        "route acme would do too: its prefix is shorter",
    )
    ads = rules.explain(NUMBER, "acme", PHONE, MARKETING, "")
    assert ads.route == "city", "a prefix comes before a category"


def test_every_kind_of_message_is_listed_with_its_route() -> None:
    """In the order of choice; what is hidden behind others is left out, and named."""
    rules = routing(
        a_route("ads", categories=("marketing",)),
        a_route("more-ads", categories=("marketing",), cost=0.0),
        a_route("city", prefixes=("+1718",), carriers=("Verizon",)),
        a_route("mine", numbers=(NUMBER,), prefixes=("+1",)),
    )
    assert rules.table() == [
        ("acme", "to +1718…, to a phone of verizon", "city"),
        ("acme", "of category marketing", "ads"),
        ("acme", "all others", "acme"),
        (NUMBER, "to +1…", "mine"),
    ]
    assert rules.unreachable() == [(1, "route ads takes everything that it is for")]


WORDS = st.sampled_from(["acme", "beta", NUMBER])
ROUTES = st.lists(
    st.builds(
        a_route,
        st.sampled_from(["a", "b", "c"]),
        numbers=st.lists(WORDS, min_size=1, max_size=2, unique=True).map(tuple),
        prefixes=st.sampled_from([(), ("+1",), ("+1718", "+44"), ("+1", "+44")]),
        carriers=st.lists(st.sampled_from(["verizon", "cricket"]), max_size=1).map(tuple),
        categories=st.lists(st.sampled_from(["marketing", "transactional"]), max_size=1).map(tuple),
        cost=st.sampled_from([0.0, 0.1, 0.2]),
    ),
    max_size=3,
    unique_by=lambda route: route.name,
)


@given(
    routes=ROUTES,
    home=st.sampled_from(["acme", "beta", "gone"]),
    phone=st.sampled_from([PHONE, "+12125550100", "+442079460000"]),
    category=st.sampled_from([TRANSACTIONAL, MARKETING]),
    carrier=st.sampled_from(["", "verizon", "cricket"]),
)
def test_choice_and_explanation_agree(
    routes: list[RouteSettings], home: str, phone: str, category: Category, carrier: str
) -> None:
    """A route that is taken meets the message; one that cannot be reached never is; each route that
    the number may use is told of once.
    """
    rules = routing(*routes)
    name = rules.choose(NUMBER, home, phone, category, carrier)
    told = rules.explain(NUMBER, home, phone, category, carrier)
    assert told.route == (name or home)
    known = {route.name: route for route in effective_routes(routes, [])}
    if name in known:
        route = known[name]
        assert {NUMBER, home} & set(route.homes)
        assert not route.prefixes or phone.startswith(route.prefixes)
        assert not route.carriers or carrier in route.carriers
        assert not route.categories or category.name.lower() in route.categories
        assert name not in {routes[n].name for n, _ in rules.unreachable() if n < len(routes)}
    mentioned = [why.split()[1] for why in told.why if why.startswith("route ")]
    assert len(mentioned) == len(set(mentioned))


@given(
    prefixes=st.lists(st.text("12+", max_size=4).map(lambda text: f"+{text}".replace("++", "+"))),
    digits=st.text("12", max_size=6),
    is_marketing=st.booleans(),
)
def test_of_any_number_of_prefixes_the_longest_that_fits_counts(
    prefixes: list[str], digits: str, is_marketing: bool
) -> None:
    """Price lists name thousands; of those with a category only the message's own count."""
    routes = [
        a_route(f"r{n}", prefixes=(prefix,), categories=("marketing",) if n % 2 else ())
        for n, prefix in enumerate(prefixes)
    ]
    phone = f"+{digits}"
    fitting = [
        (-len(prefix), n % 2 == 0, n)
        for n, prefix in enumerate(prefixes)
        if phone.startswith(prefix) and (is_marketing or n % 2 == 0)
    ]
    best = f"r{min(fitting)[2]}" if fitting else None
    category = MARKETING if is_marketing else TRANSACTIONAL
    assert Routing(routes).choose(NUMBER, "acme", phone, category, "") == best
