"""Rules between keys."""

from __future__ import annotations

import pytest

from config.settings import is_loopback, split_listen
from tests.config.reading import LINK, ROUTE, Reader

MAIL = '[mail]\nhost = "mail.example.com"\nsender = "texts@example.com"\n'


SERVER = '[[links]]\nname = "acme"\nkind = "smpp-server"\n'


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ('[http]\nlisten = "0.0.0.0:80"\n', "http.listen", "nothing encrypts"),
        ('[http]\nlisten = "[::]:80"\n', "http.listen", "nothing encrypts"),
        ('[http]\nlisten = "example.com:80"\n', "http.listen", "nothing encrypts"),
        ('[http]\nlisten = "127.0.0.1"\n', "http.listen", "expected HOST:PORT"),
        ('[http]\nlisten = "::1:80"\n', "http.listen", "in brackets"),
        ('[http]\nlisten = "127.0.0.1:70000"\n', "http.listen", "from 0 to 65535"),
        ('[http]\nops_listen = "x"\n', "http.ops_listen", "expected HOST:PORT"),
        ('[http]\nops_listen = "127.0.0.1:8080"\n', "http.ops_listen", "of http.listen too"),
        ('[http]\ntls_cert = "cert.pem"\n', "http.tls_key", "missing"),
        ('[http]\ntls_key = "key.pem"\n', "http.tls_cert", "missing"),
        ('[store]\ndatabase_url = "mysql://x"\n', "store.database_url", "PostgreSQL URL"),
        (LINK + LINK, "links[1].name", 'links[0] is named "acme" too'),
        (LINK.replace("acme", "mail"), "links[0].name", "a name of the gateway itself"),
        (LINK + 'tls_ca = "ca.pem"\n', "links[0].tls_ca", "is not used without TLS"),
        (LINK + 'tls = true\ntls_key = "key.pem"\n', "links[0].tls_cert", "missing"),
        (LINK + 'daily_cap_zone = "Nowhere"\n', "links[0].daily_cap_zone", "no such time zone"),
        (LINK + "daily_cap = 9\n", "links[0].daily_cap", "such a text would wait for ever"),
        (LINK + "suspend_min_s = 9000\n", "links[0].suspend_min_s", "longer than suspend_max_s"),
        (SERVER + 'host = "::1"\n', "links[0].host", "the carrier opens this link"),
        (LINK + "statuses = { wrong = 'retry' }\n", "links[0].statuses", "ESME_RSUBMITFAIL"),
        (LINK + 'system_type = "\u00e9"\n', "links[0].system_type", "printable ASCII"),
        (LINK + 'password = "a\\u0000b"\n', "links[0].password", "printable ASCII"),
        (LINK + "reconnect_min_s = 61\n", "links[0].reconnect_min_s", "longer than reconnect"),
        (MAIL.replace("texts@", ""), "mail.sender", "expected a mail address"),
        (MAIL.replace("texts@", "a\\n@"), "mail.sender", "expected a mail address"),
        (MAIL + 'user = "texts"\n', "mail.password", "user and password go together"),
        (MAIL + 'password = "x"\n', "mail.user", "user and password go together"),
        (MAIL + 'security = "none"\n', "mail.security", "leaves this machine unencrypted"),
        (LINK + ROUTE.replace("acme", "beta"), "routes[0].links", 'there is no link "beta"'),
        (LINK + ROUTE.replace('["acme"]', "[]"), "routes[0].links", "at least one link"),
        (LINK + ROUTE.replace('"acme"', '"acme", "acme:2"'), "routes[0].links", "more than once"),
        (LINK + ROUTE.replace("acme", "acme:1001"), "routes[0].links", "from 1 to 1000"),
        (LINK + ROUTE + ROUTE, "routes[1].name", 'routes[0] is named "east" too'),
        (LINK + ROUTE.replace("east", "mail"), "routes[0].name", "a name of the gateway itself"),
        (
            LINK + LINK.replace("acme", "beta") + ROUTE.replace("east", "beta"),
            "routes[0].name",
            "this route does not use it",
        ),
        (LINK + ROUTE + 'prefixes = ["+1", "+1"]\n', "routes[0].prefixes", "more than once"),
        (LINK + ROUTE + 'prefixes = ["1212"]\n', "routes[0].prefixes", "the beginning of phone"),
        (LINK + ROUTE + 'carriers = ["Verizon", "verizon"]\n', "routes[0].carriers", "more than"),
        (LINK + ROUTE + 'carriers = [" "]\n', "routes[0].carriers", "one is blank"),
        (LINK + ROUTE + 'numbers = ["(212) 555-0150"]\n', "routes[0].numbers", "is no number of a"),
        (LINK + ROUTE + 'numbers = ["12125550150"]\n', "routes[0].numbers", "is no number of a"),
        (LINK + 'tlvs = ["0x1400=hex:0"]\n', "links[0].tlvs", "0x1401=hex:00FF"),
        (LINK + ROUTE + 'categories = ["ads"]\n', "routes[0].categories", "one of"),
        (LINK + ROUTE + "cost = -1\n", "routes[0].cost", "from 0"),
        (LINK + ROUTE.replace('"acme"', "1"), "routes[0].links", "each item a link, such as"),
        (
            LINK + ROUTE.replace('"acme"', '{ link = "acme", weight = 0 }'),
            "routes[0].links",
            "each item a link, such as",
        ),
        ('[sms]\ncountries = ["CA"]\n', "sms.default_region", "not among countries"),
        ("[limits]\nretry_min_s = 901\n", "limits.retry_min_s", "longer than retry_max_s"),
        ('[sandbox]\nsmsc_listen = "0.0.0.0:1"\n', "sandbox.smsc_listen", "this machine only"),
        (
            '[sandbox]\nis_on = true\npage_listen = "127.0.0.1:8080"\n',
            "sandbox.page_listen",
            "of http.listen too",
        ),
    ],
)
def test_a_broken_rule_is_a_fault(reader: Reader, text: str, where: str, problem: str) -> None:
    """Keys that are sound each by itself may still not go together."""
    fault = reader.fault(text)
    assert fault.where == where
    assert problem in fault.problem


@pytest.mark.parametrize(
    "text",
    [
        '[http]\nlisten = "0.0.0.0:80"\nbehind_proxy = true\n',
        '[http]\nlisten = "0.0.0.0:80"\ntls_cert = "c"\ntls_key = "k"\n',
        '[http]\nlisten = "[::1]:80"\n',
        '[http]\nlisten = "localhost:0"\nops_listen = "localhost:0"\n',
        '[sandbox]\npage_listen = "127.0.0.1:8080"\n',
        MAIL + 'user = "texts"\npassword = "x"\n',
        MAIL.replace("mail.example.com", "127.0.0.1") + 'security = "none"\n',
    ],
)
def test_what_keeps_the_rules_loads(reader: Reader, text: str) -> None:
    """The neighbours of the faults above are in order."""
    reader.read(text)


def test_a_rule_stays_silent_about_a_key_that_has_a_fault_already(reader: Reader) -> None:
    """One mistake makes one fault."""
    assert reader.fault("[limits]\nretry_min_s = 901\nretry_max_s = 'x'\n").line == 3


def test_every_fault_of_one_key_is_told(reader: Reader) -> None:
    """Whoever mends a list once need not come back for its next item."""
    links = 'links = ["acme", "acme", "beta", "gamma"]'
    faults = reader.faults(LINK + ROUTE.replace('links = ["acme"]', links))
    assert {fault.where for fault in faults} == {"routes[0].links"}
    told = sorted(fault.problem for fault in faults)
    assert told == [
        'link "acme" is named more than once',
        'there is no link "beta"',
        'there is no link "gamma"',
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:0", ("::1", 0)), ("a.b:1", ("a.b", 1))],
)
def test_a_listening_address_has_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    """IPv6 addresses stand in brackets, which are not part of the host."""
    assert split_listen(text) == address


@pytest.mark.parametrize("text", ["", ":80", "host", "host:", "host:x", "host:\u0661", "[::1]"])
def test_what_is_no_listening_address_is_refused(text: str) -> None:
    """No host, no port, or a port that is not written in digits."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        split_listen(text)


def test_only_this_machine_is_loopback() -> None:
    """A name other than localhost may mean anything."""
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.com", ""]))  # noqa: S104
