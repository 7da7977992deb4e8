"""Digest authentication: the arithmetic and the client side (RFC 7616, RFC 8760, RFC 3261 section
22). The server side is in `digest_server`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from protocols.sip.errors import FieldError, SipError
from protocols.sip.flow import Randomness
from protocols.sip.grammar import is_token, parse_auth_params, quote, split_tokens
from protocols.sip.message import Response

STRENGTH: Final = {"SHA-512-256": 3, "SHA-256": 2, "MD5": 1}
"""The algorithms that we know, strongest first; each also with `-sess`."""

_HASHES: Final = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_MAX_TRIES: Final = 4
_MAX_REALMS: Final = 8
"""Of one client; each adds a header to every request."""
_QUOTED: Final = frozenset({"username", "realm", "nonce", "uri", "response", "cnonce", "opaque"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a peer that asks."""

    username: str
    password: str = field(repr=False)
    realms: frozenset[str] = frozenset()
    """The realms that may ask; empty: any, of the peer that the request went to."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A `WWW-Authenticate` or `Proxy-Authenticate` that we can answer."""

    is_proxy: bool
    realm: str
    nonce: str
    algorithm: str
    """As it came, `-sess` included."""
    qop: str
    """`auth`, `auth-int`, or nothing (RFC 2069)."""
    opaque: str | None
    is_stale: bool

    @classmethod
    def parse(cls, value: str, *, is_proxy: bool) -> Challenge | None:
        """None for a scheme, algorithm or quality of protection that we do not know. Raises
        SipError."""
        scheme, *rest = value.split(None, 1) or [""]
        if scheme.lower() != "digest":
            return None
        params = parse_auth_params("".join(rest))
        algorithm = params.get("algorithm", "MD5").upper()
        if base_algorithm(algorithm) not in STRENGTH:
            return None
        if "realm" not in params or "nonce" not in params:
            raise SipError("a challenge has no realm or no nonce")
        qops = {token.lower() for token in split_tokens([params.get("qop", "")])}
        if qops and not qops & {"auth", "auth-int"}:
            return None
        qop = "auth" if "auth" in qops else "auth-int" if qops else ""
        is_stale = params.get("stale", "").lower() == "true"
        realm, nonce, opaque = params["realm"], params["nonce"], params.get("opaque")
        return cls(is_proxy, realm, nonce, algorithm, qop, opaque, is_stale)

    @property
    def strength(self) -> tuple[int, bool]:
        return STRENGTH[base_algorithm(self.algorithm)], bool(self.qop)


def base_algorithm(algorithm: str) -> str:
    return algorithm.removesuffix("-SESS")


def digest_response(
    params: dict[str, str], username: str, password: str, method: str, body: bytes = b""
) -> str:
    """The `response` that belongs to realm, nonce, uri, algorithm, qop, nc and cnonce in `params`
    (RFC 7616 section 3.4.1)."""
    algorithm = params.get("algorithm", "MD5").upper()
    name = _HASHES[base_algorithm(algorithm)]

    def h(*parts: str) -> str:
        data = ":".join(parts).encode("utf-8", "surrogateescape")
        return hashlib.new(name, data, usedforsecurity=False).hexdigest()

    nonce, cnonce, qop = params["nonce"], params.get("cnonce", ""), params.get("qop", "")
    ha1 = h(username, params["realm"], password)
    if algorithm.endswith("-SESS"):
        ha1 = h(ha1, nonce, cnonce)
    if qop == "auth-int":
        content = hashlib.new(name, body, usedforsecurity=False).hexdigest()
        ha2 = h(method, params["uri"], content)
    else:
        ha2 = h(method, params["uri"])
    if qop:
        return h(ha1, nonce, params["nc"], cnonce, qop, ha2)
    return h(ha1, nonce, ha2)


class _Answer:
    """A challenge being answered, how often its nonce was used, and the first client nonce, which
    the session key of `-sess` is made of."""

    __slots__ = ("challenge", "cnonce", "uses")

    def __init__(self, challenge: Challenge, cnonce: str) -> None:
        self.challenge = challenge
        self.cnonce = cnonce
        self.uses = 0


class DigestClient:
    """Answers challenges with one set of credentials and remembers them, so that later requests
    bring their answer along (RFC 7616 section 3.6)."""

    def __init__(self, credentials: Credentials, rng: Randomness) -> None:
        self._credentials = credentials
        self._rng = rng
        self._answers: dict[tuple[bool, str], _Answer] = {}  # by proxy or not, and realm

    def learn(self, response: Response, tries: DigestTries) -> bool:
        """Take the challenges of a 401 or 407; whether it is worth to ask again.

        It is not when no challenge is ours to answer, when a nonce that was answered comes back, or
        when a fresh one refuses an answer of this exchange without calling it stale: the password
        is wrong then. `tries` belongs to one request and its repetitions.
        """
        tries.count += 1
        if tries.count > _MAX_TRIES:
            return False
        is_proxy = response.code == 407
        name = "Proxy-Authenticate" if is_proxy else "WWW-Authenticate"
        best: dict[str, Challenge] = {}
        for challenge in _challenges(response.headers.get_all(name), is_proxy):
            known = best.get(challenge.realm)
            if known is None or challenge.strength > known.strength:
                best[challenge.realm] = challenge
        useful = False
        for realm, challenge in best.items():
            if self._credentials.realms and realm not in self._credentials.realms:
                continue
            if challenge.nonce in tries.nonces or (
                (is_proxy, realm) in tries.answered and not challenge.is_stale
            ):
                return False
            self._remember(is_proxy, challenge)
            tries.answered.add((is_proxy, realm))
            tries.nonces.add(challenge.nonce)
            useful = True
        return useful

    def _remember(self, is_proxy: bool, challenge: Challenge) -> None:
        """The newest last. The count of a nonce goes on for as long as the nonce is the same."""
        known = self._answers.pop((is_proxy, challenge.realm), None)
        answer = _Answer(challenge, self._rng.token())
        if known is not None and known.challenge.nonce == challenge.nonce:
            answer.cnonce, answer.uses = known.cnonce, known.uses
        self._answers[is_proxy, challenge.realm] = answer
        if len(self._answers) > _MAX_REALMS:
            del self._answers[next(iter(self._answers))]

    def headers(self, method: str, uri: str, body: bytes = b"") -> list[tuple[str, str]]:
        """The Authorization and Proxy-Authorization headers of a request."""
        return [
            (
                "Proxy-Authorization" if answer.challenge.is_proxy else "Authorization",
                self._value(answer, method, uri, body),
            )
            for answer in self._answers.values()
        ]

    def _value(self, answer: _Answer, method: str, uri: str, body: bytes) -> str:
        challenge, username = answer.challenge, self._credentials.username
        answer.uses += 1
        params = {"username": username, "realm": challenge.realm, "nonce": challenge.nonce}
        params |= {"uri": uri, "algorithm": _spelling(challenge.algorithm)}
        if challenge.qop:
            params |= {"qop": challenge.qop, "nc": f"{answer.uses:08x}"}
        if challenge.qop or challenge.algorithm.endswith("-SESS"):
            is_session = challenge.algorithm.endswith("-SESS")
            params["cnonce"] = answer.cnonce if is_session else self._rng.token()
        password = self._credentials.password
        params["response"] = digest_response(params, username, password, method, body)
        if challenge.opaque is not None:
            params["opaque"] = challenge.opaque
        return format_digest(params)


class DigestTries:
    """What was answered in one exchange: a request and its repetitions with credentials."""

    __slots__ = ("answered", "count", "nonces")

    def __init__(self) -> None:
        self.count = 0
        self.answered: set[tuple[bool, str]] = set()
        self.nonces: set[str] = set()


def format_digest(params: dict[str, str]) -> str:
    """A Digest header value; quoted what the grammar wants quoted. Raises FieldError for control
    characters."""
    parts = []
    for name, value in params.items():
        if name not in _QUOTED and not is_token(value):
            raise FieldError("an authentication parameter is no token")
        parts.append(f"{name}={quote(value) if name in _QUOTED else value}")
    return "Digest " + ", ".join(parts)


def _spelling(algorithm: str) -> str:
    return algorithm.replace("-SESS", "-sess")


def _challenges(values: Iterable[str], is_proxy: bool) -> list[Challenge]:
    """Those that we can answer; one that cannot be read does not hide the others."""
    challenges = []
    for value in values:
        try:
            challenge = Challenge.parse(value, is_proxy=is_proxy)
        except SipError:
            continue
        if challenge is not None:
            challenges.append(challenge)
    return challenges
