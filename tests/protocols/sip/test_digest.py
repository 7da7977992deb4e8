"""Digest: the arithmetic against the examples of the RFCs, the choice of challenge, the server's
nonces."""

from __future__ import annotations

import pytest

from protocols.sip.digest import (
    Challenge,
    Credentials,
    DigestClient,
    DigestTries,
    digest_response,
)
from protocols.sip.digest_server import DigestServer, Verdict
from protocols.sip.errors import SipError
from protocols.sip.headers import Headers
from protocols.sip.message import Request, Response
from protocols.sip.uri import Uri
from tests.protocols.sip.network import CountedRandomness

RFC_7616 = {
    "realm": "http-auth@example.org",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "uri": "/dir/index.html",
    "qop": "auth",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, expected: str) -> None:
    """Section 3.9.1."""
    params = {**RFC_7616, "algorithm": algorithm}
    assert digest_response(params, "Mufasa", "Circle of Life", "GET") == expected


def test_the_example_of_rfc_2617() -> None:
    params = {
        "realm": "testrealm@host.com",
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "uri": "/dir/index.html",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "0a4f113b",
    }
    expected = "6629fae49393a05397450978507c4ef1"
    assert digest_response(params, "Mufasa", "Circle Of Life", "GET") == expected


def test_session_keys_and_body_protection_change_the_answer() -> None:
    values = {
        digest_response({**RFC_7616, "algorithm": a, "qop": q}, "u", "p", "INVITE", body)
        for a in ("MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess")
        for q in ("auth", "auth-int")
        for body in (b"", b"x")
    }
    assert len(values) == 6 * 3


def refusal(*values: str, code: int = 401) -> Response:
    name = "WWW-Authenticate" if code == 401 else "Proxy-Authenticate"
    return Response(code, "", Headers([(name, value) for value in values]))


def client(*realms: str) -> DigestClient:
    return DigestClient(Credentials("u", "p", frozenset(realms)), CountedRandomness("c"))


MD5 = 'Digest realm="r", nonce="md5", qop="auth"'
SHA = 'Digest realm="r", nonce="sha", algorithm=SHA-256, qop="auth,auth-int", opaque="o"'
SHA512 = 'Digest realm="r", nonce="sha512", algorithm=SHA-512-256'
ODD = 'Digest realm="r", nonce="odd", algorithm=SHA3-999'


@pytest.mark.parametrize(
    ("values", "nonce"),
    [
        ((MD5, SHA), "sha"),
        ((SHA512, SHA, MD5), "sha512"),
        ((ODD, MD5), "md5"),
        (("Bearer x", MD5), "md5"),
        (("Digest broken", MD5), "md5"),
    ],
)
def test_the_strongest_challenge_that_we_know_is_answered(
    values: tuple[str, ...], nonce: str
) -> None:
    ours = client()
    assert ours.learn(refusal(*values), DigestTries())
    ((name, value),) = ours.headers("INVITE", "sip:x@y")
    assert name == "Authorization" and f'nonce="{nonce}"' in value


@pytest.mark.parametrize(
    "values", [(), (ODD,), ("Basic realm=r",), ("Digest nonce=1",), ("",), ("Digest",)]
)
def test_a_refusal_without_a_challenge_of_ours_is_final(values: tuple[str, ...]) -> None:
    assert not client().learn(refusal(*values), DigestTries())


def test_proxy_and_peer_may_both_ask() -> None:
    ours, tries = client(), DigestTries()
    assert ours.learn(refusal(MD5, code=407), tries)
    assert ours.learn(refusal(SHA), tries)
    names = [name for name, _ in ours.headers("INVITE", "sip:x@y")]
    assert names == ["Proxy-Authorization", "Authorization"]


def test_nonce_counts_rise_and_client_nonces_differ() -> None:
    ours = client()
    ours.learn(refusal(SHA), DigestTries())
    first, second = (ours.headers("INVITE", "sip:x@y")[0][1] for _ in range(2))
    assert "nc=00000001" in first and "nc=00000002" in second
    assert first.split("cnonce=")[1] != second.split("cnonce=")[1]
    assert 'opaque="o"' in first and "qop=auth," in first


def test_the_count_of_a_nonce_that_comes_again_goes_on() -> None:
    """A server may say one nonce to several requests; a count that it saw is a replay to it (RFC
    7616 section 3.4)."""
    ours = client()
    ours.learn(refusal(SHA), DigestTries())
    ours.headers("INVITE", "sip:x@y")
    assert ours.learn(refusal(SHA), DigestTries())
    assert "nc=00000002" in ours.headers("INVITE", "sip:x@y")[0][1]
    ours.learn(refusal(SHA.replace('"sha"', '"other"')), DigestTries())
    assert "nc=00000001" in ours.headers("INVITE", "sip:x@y")[0][1]


def test_a_server_of_ever_new_realms_does_not_make_requests_grow() -> None:
    """The realms of late are answered, the others are forgotten."""
    ours = client()
    for number in range(50):
        assert ours.learn(refusal(MD5.replace('"r"', f'"realm {number}"')), DigestTries())
    ours.learn(refusal(MD5.replace('"r"', '"realm 45"')), DigestTries())
    values = [value for _, value in ours.headers("REGISTER", "sip:x@y")]
    assert 0 < len(values) <= 8
    assert 'realm="realm 49"' in values[-2] and 'realm="realm 45"' in values[-1]


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="r", nonce="n", qop="auth,auth-int",',
        'Digest\trealm="r", nonce="n", qop="auth"',
        'DIGEST  Realm = "r" ,, NONCE="n",QOP=auth , Algorithm="MD5"',
        'Digest realm="r", nonce="n", qop="auth, ,auth-int"',
        'Digest realm="r", nonce="n", opaque=, qop=auth',
    ],
)
def test_challenges_are_read_as_servers_write_them(value: str) -> None:
    """Lists may have empty elements (RFC 7616 by RFC 9110 section 5.6.1)."""
    parsed = Challenge.parse(value, is_proxy=False)
    assert parsed is not None
    assert (parsed.realm, parsed.nonce, parsed.qop) == ("r", "n", "auth")


def test_a_session_key_stays_for_as_long_as_its_nonce() -> None:
    """It is made of the first client nonce (RFC 7616 section 3.4.2): with another one a server
    that keeps it would refuse us."""
    ours = client()
    ours.learn(refusal(SHA.replace("SHA-256", "SHA-256-sess")), DigestTries())
    values = [ours.headers("INVITE", "sip:x@y")[0][1] for _ in range(2)]
    ours.learn(refusal(SHA.replace("SHA-256", "SHA-256-sess")), DigestTries())
    values.append(ours.headers("INVITE", "sip:x@y")[0][1])
    assert len({value.split("cnonce=")[1].split(",")[0] for value in values}) == 1
    assert ["nc=0000000" + value.split("nc=0000000")[1][0] for value in values] == [
        "nc=00000001",
        "nc=00000002",
        "nc=00000003",
    ]


def test_a_realm_that_is_not_ours_is_not_answered() -> None:
    assert not client("mine").learn(refusal(MD5), DigestTries())


def test_names_with_quotes_are_quoted() -> None:
    ours = DigestClient(Credentials('a"b\\c', "p"), CountedRandomness("c"))
    ours.learn(refusal(MD5), DigestTries())
    assert 'username="a\\"b\\\\c"' in ours.headers("INVITE", "sip:x@y")[0][1]


def test_a_challenge_keeps_commas_in_its_quotes() -> None:
    parsed = Challenge.parse('Digest realm="a, b", nonce="x=,", qop="auth-int"', is_proxy=False)
    assert parsed is not None
    assert (parsed.realm, parsed.nonce, parsed.qop) == ("a, b", "x=,", "auth-int")


# ---------------------------------------------------------------------- the server

SERVER_URI = Uri.parse("sip:b.example")


def server(nonce_s: float = 300.0) -> DigestServer:
    return DigestServer(
        "b.example", {"u": "p"}.get, b"key", CountedRandomness("s"), nonce_s=nonce_s
    )


def signed(ours: DigestClient, method: str = "INVITE") -> Request:
    headers = Headers(ours.headers(method, str(SERVER_URI)))
    return Request(method, SERVER_URI, headers)


def prepared(checker: DigestServer, now: float = 10.0, password: str = "p") -> DigestClient:
    ours = DigestClient(Credentials("u", password), CountedRandomness("c"))
    assert ours.learn(refusal(*checker.challenges(now)), DigestTries())
    return ours


def test_the_right_answer_is_taken_and_names_the_user() -> None:
    checker = server()
    ours = prepared(checker)
    outcome = checker.verify(signed(ours), 11.0)
    assert (outcome.verdict, outcome.username) == (Verdict.OK, "u")


def test_a_replayed_answer_is_stale() -> None:
    checker = server()
    request = signed(prepared(checker))
    assert checker.verify(request, 11.0).verdict is Verdict.OK
    assert checker.verify(request, 11.0).verdict is Verdict.STALE


def test_counts_may_overtake_one_another_but_not_repeat() -> None:
    checker = server()
    ours = prepared(checker)
    requests = [signed(ours) for _ in range(100)]
    for index in (2, 0, 1, 99, 98, 40):
        assert checker.verify(requests[index], 11.0).verdict is Verdict.OK
    for index in (0, 40, 99, 30):  # 30 has left the window
        assert checker.verify(requests[index], 11.0).verdict is Verdict.STALE


@pytest.mark.parametrize(("later", "verdict"), [(299.0, Verdict.OK), (301.0, Verdict.STALE)])
def test_nonces_grow_old(later: float, verdict: Verdict) -> None:
    checker = server()
    assert checker.verify(signed(prepared(checker)), 10.0 + later).verdict is verdict


def test_a_nonce_of_another_server_is_stale_with_the_right_password_only() -> None:
    other = DigestServer("b.example", {"u": "p"}.get, b"other", CountedRandomness("s"))
    assert server().verify(signed(prepared(other)), 11.0).verdict is Verdict.STALE
    wrong = prepared(other, password="x")
    assert server().verify(signed(wrong), 11.0).verdict is Verdict.WRONG


def test_wrong_password_and_missing_answer_are_told_apart_only_inside() -> None:
    checker = server()
    assert checker.verify(signed(prepared(checker, password="x")), 11.0).verdict is Verdict.WRONG
    assert checker.verify(Request("INVITE", SERVER_URI), 11.0).verdict is Verdict.MISSING


def test_an_answer_for_another_uri_or_method_is_not_taken() -> None:
    checker = server()
    ours = prepared(checker)
    request = signed(ours)
    other = Request("INVITE", Uri.parse("sip:c.example"), request.headers)
    with pytest.raises(SipError):
        checker.verify(other, 11.0)
    bye = Request("BYE", SERVER_URI, signed(ours).headers)
    assert checker.verify(bye, 11.0).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="b.example"',
        'Digest realm="b.example", username="u", nonce="x", uri="sip:b.example", '
        'response="r", qop=auth, cnonce="c", nc=zzzzzzzz',
        "Digest ,,,",
        'Digest realm="b.example", username="u", nonce="x", uri="<>", '
        'response="r", qop=auth, cnonce="c", nc=00000001',
    ],
)
def test_credentials_that_cannot_be_read_raise_only_the_protocol_error(value: str) -> None:
    with pytest.raises(SipError):
        server().verify(Request("INVITE", SERVER_URI, Headers([("Authorization", value)])), 1.0)
