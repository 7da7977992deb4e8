"""Rules about trunks and [voice]."""

from __future__ import annotations

import pytest

from tests.config.reading import Reader

TRUNK = """
[[trunks]]
name = "acme-voice"
host = "127.0.0.1"
"""
PUBLIC = TRUNK.replace("127.0.0.1", "sip.example.com")
LISTEN = '[voice]\nlisten = "192.0.2.10:5060"\n'


def test_a_trunk_on_this_machine_needs_nothing_but_a_name_and_a_host(reader: Reader) -> None:
    (trunk,) = reader.read(TRUNK).trunks
    assert (trunk.name, trunk.transport, trunk.srtp) == ("acme-voice", "udp", "off")


def test_the_environment_sets_a_key_of_a_trunk_by_its_name(reader: Reader) -> None:
    environ = {"GATEWAY__TRUNKS__ACME_VOICE__PASSWORD": "secret"}
    (trunk,) = reader.read(TRUNK + 'user = "sample"\n', environ).trunks
    assert trunk.password == "secret"
    assert "secret" not in repr(trunk)


def test_a_trunk_elsewhere_needs_an_address_that_it_can_reach(reader: Reader) -> None:
    """Nothing listens beyond this machine unless the settings say so."""
    assert "this machine alone" in str(reader.fault(PUBLIC))
    assert reader.read(LISTEN + PUBLIC).voice.listen == "192.0.2.10:5060"


@pytest.mark.parametrize(
    ("more", "where", "problem"),
    [
        ('srtp = "required"', "srtp", "readably"),
        ('srtp = "optional"\ntransport = "tcp"', "srtp", "readably"),
        ('networks = ["example.com"]', "networks", "no network"),
        ('media_networks = ["10.0.0.0/33"]', "media_networks", "no network"),
        ('password = "secret"', "user", "missing"),
        ("register = true", "user", "missing"),
        ('registrar = "example.com"', "registrar", "without register"),
        ('tls_server_name = "example.com"', "tls_server_name", "without TLS"),
        ('transport = "tls"\ntls_key = "k.pem"', "tls_cert", "missing"),
        ('transport = "auto"\nport = 5060', "port", "DNS chooses"),
        ("proxy_port = 5060", "proxy_port", "without proxy"),
        ("codecs = []", "codecs", "one at least"),
        ('codecs = ["pcmu", "pcmu"]', "codecs", "once"),
        ('from_user = "account"', "user", "missing"),
        ('caller_number = "2125550100"', "caller_number", "a phone number"),
        ('transport = "sctp"', "transport", "one of"),
        ('proxy = "sip:proxy"', "proxy", "no host"),
        ("session_expires_s = 60", "session_expires_s", "90"),
    ],
)
def test_what_cannot_work_is_refused(
    reader: Reader, more: str, where: str, problem: str
) -> None:
    fault = reader.fault(f"{LISTEN}{PUBLIC}{more}\n")
    assert fault.where == f"trunks[0].{where}"
    assert problem in fault.problem


def test_a_host_has_no_port_in_it(reader: Reader) -> None:
    """DNS would only say that it knows no such name."""
    text = LISTEN + PUBLIC.replace("sip.example.com", "192.0.2.1:5060")
    fault = reader.fault(text)
    assert (fault.where, fault.problem) == ("trunks[0].host", '"192.0.2.1:5060" is no host')
    assert "port" in fault.hint
    ipv6 = PUBLIC.replace("sip.example.com", "2001:db8::1")
    assert reader.read('[voice]\nlisten = "[2001:db8::2]:5060"\n' + ipv6)


def test_keys_of_encrypted_sound_may_go_over_tls(reader: Reader) -> None:
    (trunk,) = reader.read(f'{LISTEN}{PUBLIC}transport = "tls"\nsrtp = "required"\n').trunks
    assert trunk.srtp == "required"


def test_two_trunks_do_not_share_a_name(reader: Reader) -> None:
    assert "too" in reader.fault(TRUNK + TRUNK).problem


def test_the_ports_have_to_suffice_for_the_calls(reader: Reader) -> None:
    text = f"[voice]\nrtp_port_first = 40000\nrtp_port_last = 40009\n{TRUNK}"
    assert "the calls that trunks allow need 20" in reader.fault(text).problem
    assert reader.read(f"{text}max_calls = 5\n").trunks[0].max_calls == 5


def test_a_port_for_tls_needs_a_certificate(reader: Reader) -> None:
    faults = reader.faults('[voice]\ntls_listen = "127.0.0.1:5061"\n')
    assert {fault.problem for fault in faults} == {"missing"}


@pytest.mark.parametrize("key", ["tls_cert", "tls_key", "tls_client_ca"])
def test_files_for_tls_are_of_no_use_without_its_port(reader: Reader, key: str) -> None:
    """Whoever asks callers for certificates has to know that nobody is asked."""
    fault = reader.fault(f'[voice]\n{key} = "file.pem"\n')
    assert (fault.where, fault.problem) == (f"voice.{key}", "is not used without tls_listen")


@pytest.mark.parametrize("text", ["10", "192.0.2.300", ":::", "::", "2001:db8::1"])
def test_the_public_address_is_one_that_can_be_sent_to(reader: Reader, text: str) -> None:
    """Carriers write back to it, over the protocol that we listen by."""
    fault = reader.fault(f'[voice]\npublic_address = "{text}"\n')
    assert fault.where == "voice.public_address"
    assert reader.read('[voice]\npublic_address = "192.0.2.10"\n')
    assert reader.read('[voice]\nlisten = "[::1]:5060"\npublic_address = "2001:db8::1"\n')


def test_sessions_live_for_ever_or_as_long_as_the_standard_wants(reader: Reader) -> None:
    """90 s is the least (RFC 4028 section 4); 0 sets no limit."""
    for seconds in (0, 90):
        (trunk,) = reader.read(f"{TRUNK}session_expires_s = {seconds}\n").trunks
        assert trunk.session_expires_s == seconds


def test_name_servers_are_addresses(reader: Reader) -> None:
    assert "no address" in reader.fault('[voice]\ndns_servers = ["dns.example.com"]\n').problem


def test_the_port_for_calls_is_nobody_elses(reader: Reader) -> None:
    """Only where there are trunks: without any it is not opened."""
    text = '[voice]\nlisten = "127.0.0.1:8080"\n'
    assert reader.read(text)
    assert "http.listen" in reader.fault(text + TRUNK).problem
