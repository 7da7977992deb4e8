"""Settings from environment variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loading import load
from tests.config.reading import LINK, ROUTE, Reader


def test_a_variable_comes_before_the_file(reader: Reader) -> None:
    """GATEWAY__SECTION__KEY replaces what the file says, read as its key's type."""
    environ = {
        "GATEWAY__HTTP__BEHIND_PROXY": "true",
        "GATEWAY__NODE__LEASE_S": "20",
        "GATEWAY__SMS__COUNTRIES": "US, MX",
        "GATEWAY__LIMITS__WAITING_PER_SHOP": "5",
        "GATEWAY_CONFIG": "ignored.toml",
    }
    settings = reader.read("[node]\nlease_s = 30\n", environ)
    assert settings.http.behind_proxy is True
    assert settings.node.lease_s == 20.0
    assert settings.sms.countries == ("US", "MX")
    assert settings.limits.waiting_per_shop == 5


def test_a_link_is_named_by_name_or_number(reader: Reader) -> None:
    """The link's name, with _ for -, or its place in the file."""
    text = LINK.replace("acme", "acme-east") + LINK.replace("acme", "beta")
    environ = {"GATEWAY__LINKS__ACME_EAST__PORT": "1", "GATEWAY__LINKS__1__PORT": "2"}
    assert [link.port for link in reader.read(text, environ).links] == [1, 2]


def test_routes_are_named_as_links_are(reader: Reader) -> None:
    """A new one, or a key of one in the file; lists of links are written with commas."""
    environ = {
        "GATEWAY__ROUTES__EAST__PREFIXES": "+1212, +1718",
        "GATEWAY__ROUTES__WEST__LINKS": "beta:3, acme:1:2",
    }
    settings = reader.read(LINK + LINK.replace("acme", "beta") + ROUTE, environ)
    east, west = settings.routes
    assert (east.name, east.prefixes, east.homes) == ("east", ("+1212", "+1718"), ("east",))
    assert west.name == "west"
    assert [(m.link, m.weight, m.standby) for m in west.members] == [("beta", 3, 0), ("acme", 1, 2)]


def test_a_link_may_be_in_the_environment_alone() -> None:
    """Without any file, a link comes into being by its variables."""
    environ = {
        "GATEWAY__LINKS__NEW_ONE__HOST": "smsc.example.com",
        "GATEWAY__LINKS__NEW_ONE__SYSTEM_ID": "lab",
    }
    (link,) = load(None, environ).links
    assert (link.name, link.host, link.system_id) == ("new-one", "smsc.example.com", "lab")


def test_paths_start_at_the_working_directory(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path in a variable is the caller's, not the file's."""
    monkeypatch.chdir("/")
    settings = reader.read("", {"GATEWAY__STORE__DATA_DIR": "srv/gateway"})
    assert settings.store.data_dir == Path("/srv/gateway")


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("GATEWAY__HTTP__LISTEN", "8080", "expected HOST:PORT"),
        ("GATEWAY__MAIL__PORT", "25x", "from 1 to 65535"),
        ("GATEWAY__HTTP__BEHIND_PROXY", "perhaps", "true or false"),
        ("GATEWAY__LOG__LEVEL", "loud", "one of"),
        ("GATEWAY__HTTP__LISTN", "x", "unknown"),
        ("GATEWAY__HTP__LISTEN", "x", "unknown"),
        ("GATEWAY__LISTEN", "x", "names no setting"),
        ("GATEWAY__LINKS", "x", "names no setting"),
        ("GATEWAY__LINKS__ACME", "x", "names no setting"),
        ("GATEWAY__LINKS__7__PORT", "1", "names no setting"),
        ("GATEWAY__HTTP__", "x", "names no setting"),
        ("GATEWAY__A__B__C__D", "x", "names no setting"),
        ("GATEWAY__LINKS__ACME__LONG_TEXTS", "9", 'one of "payload"'),
    ],
)
def test_a_fault_of_a_variable_names_it(
    reader: Reader, variable: str, value: str, problem: str
) -> None:
    """The operator is pointed at the variable, not at a file that is in order."""
    fault = reader.fault(LINK, {variable: value})
    assert (fault.where, fault.line, fault.source) == (variable, None, "")
    assert problem in fault.problem


def test_what_a_new_link_lacks_is_told_with_its_variable(reader: Reader) -> None:
    """A misspelt name makes a link that lacks keys; the fault shows which variable made it."""
    faults = reader.faults(LINK, {"GATEWAY__LINKS__ACNE__PORT": "2776"})
    assert [(fault.where, fault.problem) for fault in faults] == [
        ("GATEWAY__LINKS__ACNE__PORT", "links[1].host: missing"),
        ("GATEWAY__LINKS__ACNE__PORT", "links[1].system_id: missing"),
    ]


def test_a_variable_for_a_section_that_is_no_table_is_harmless(reader: Reader) -> None:
    """The fault of the file is told; the variable has nowhere to go."""
    assert reader.fault("http = 5\n", {"GATEWAY__HTTP__LISTEN": "x"}).where == "http"
    assert reader.fault("links = 5\n", {"GATEWAY__LINKS__0__PORT": "1"}).where == "links"
    assert reader.fault("links = [5]\n", {"GATEWAY__LINKS__0__PORT": "1"}).problem
