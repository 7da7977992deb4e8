"""The SIP peers, the cases, and what a peer cannot do."""

from __future__ import annotations

from tests.interop.matrix import Peer, Suite

RINGING = "180, 183, 200"
EARLY_MEDIA = "early media heard before the answer"
AUTH_401_MD5 = "401, MD5"
AUTH_401_SHA256 = "401, SHA-256"
AUTH_401_SHA512 = "401, SHA-512-256"
AUTH_407_MD5 = "407, MD5"
AUTH_407_SHA256 = "407, SHA-256"
AUTH_407_SHA512 = "407, SHA-512-256"
STALE = "stale nonce"
BUSY = "486"
DECLINE = "603"
MOVED = "302"
NO_ANSWER = "no answer: CANCEL, 487"
CROSSING = "CANCEL crossing 200"
LOST_INVITE = "lost INVITE"
LOST_200 = "lost 200"
LOST_ACK = "lost ACK"
LOST_BYE = "lost BYE"
DUPLICATED = "everything twice"
REORDERED = "180 after 200"
ROUTED = "record-routing proxy"
HOLD = "re-INVITE: hold and resume"
UPDATE = "UPDATE refreshes the session"
PRACK = "PRACK"
REFER_TAKEN = "REFER accepted"
REFER_REFUSED = "REFER refused"
TCP = "TCP"
TLS = "TLS, certificate verified"
SRTP = "SRTP (SDES)"
DTMF_TO = "keys we press (RFC 4733)"
DTMF_FROM = "keys the peer presses (RFC 4733)"
PCMU_FIRST = "PCMU before PCMA"
PCMA_FIRST = "PCMA before PCMU"
PCMA_ONLY = "PCMA alone"
NAT = "wrong address in Via (rport)"
REGISTER = "REGISTER, refresh, unregister"
RAMP = "500 calls"

CASES = (
    RINGING, EARLY_MEDIA,
    AUTH_401_MD5, AUTH_401_SHA256, AUTH_401_SHA512, AUTH_407_MD5, AUTH_407_SHA256,
    AUTH_407_SHA512, STALE,
    BUSY, DECLINE, MOVED, NO_ANSWER, CROSSING,
    LOST_INVITE, LOST_200, LOST_ACK, LOST_BYE, DUPLICATED, REORDERED,
    ROUTED, HOLD, UPDATE, PRACK, REFER_TAKEN, REFER_REFUSED,
    TCP, TLS, SRTP, DTMF_TO, DTMF_FROM, PCMU_FIRST, PCMA_FIRST, PCMA_ONLY,
    NAT, REGISTER, RAMP,
)  # fmt: skip

_SIPP_TLS = "Debian's SIPp is built without TLS"
_SIPP_SRTP = "SIPp has no SRTP"
_SIPP_DEAF = "SIPp sends keys and listens to none"
_MD5_ONLY = "it answers challenges with MD5 alone"
_AS_SERVER = "whoever is called asks with 401; 407 is a proxy's"
_ASKS_NOBODY = "a phone asks no caller for a password"
_NO_REGISTRAR = "no registrar, and neither are we"
_PHONE_CODES = "baresip 1.0 refuses with 486 alone"
_SILENT_183 = "baresip 1.0 says 183 with a session description, and sends sound after its 200 alone"
_NO_UPDATE = "baresip 1.0 knows no UPDATE; its sessions are refreshed by re-INVITE, which is tested"
_NO_PRACK = "baresip 1.0 knows no 100rel"
_NO_RE_ACK = (
    "baresip 1.0 answers a repeated 200 with an empty datagram; that such a call ends and leaves "
    "nothing is tested"
)
_ONE_PHONE = "a phone for few calls"
_NO_PROXY = "a phone records no route; Kamailio does"
_OWN_VIA = "it writes its true address"
_AT_ONCE = "it answers a challenge at once: no nonce grows old"
_NO_SHA512 = "Kamailio 5.6 knows MD5 and SHA-256"
_PASSES = "a proxy passes this on; it is tested with the peers themselves"
_END_TO_END = "sound and keys do not pass a proxy"

_HASHES = (AUTH_401_SHA256, AUTH_401_SHA512)
_PROXY_AUTH = (AUTH_407_MD5, AUTH_407_SHA256, AUTH_407_SHA512)

SIPP_CALLED = Peer(
    "sipp-called",
    "SIPp",
    "called by us",
    {TLS: _SIPP_TLS, SRTP: _SIPP_SRTP, DTMF_TO: _SIPP_DEAF, REGISTER: _NO_REGISTRAR},
)
SIPP_CALLING = Peer(
    "sipp-calling",
    "SIPp",
    "calling us",
    {TLS: _SIPP_TLS, SRTP: _SIPP_SRTP, DTMF_TO: _SIPP_DEAF, REGISTER: _NO_REGISTRAR}
    | dict.fromkeys(_HASHES, _MD5_ONLY)
    | dict.fromkeys(_PROXY_AUTH, _AS_SERVER),
)
BARESIP_CALLED = Peer(
    "baresip-called",
    "baresip",
    "called by us",
    {
        EARLY_MEDIA: _SILENT_183,
        DECLINE: _PHONE_CODES,
        MOVED: _PHONE_CODES,
        ROUTED: _NO_PROXY,
        UPDATE: _NO_UPDATE,
        PRACK: _NO_PRACK,
        REGISTER: _NO_REGISTRAR,
        RAMP: _ONE_PHONE,
    }
    | dict.fromkeys((AUTH_401_MD5, STALE, *_HASHES, *_PROXY_AUTH), _ASKS_NOBODY),
)
BARESIP_CALLING = Peer(
    "baresip-calling",
    "baresip",
    "calling us",
    {
        STALE: _AT_ONCE,
        LOST_ACK: _NO_RE_ACK,
        ROUTED: _NO_PROXY,
        UPDATE: _NO_UPDATE,
        PRACK: _NO_PRACK,
        NAT: _OWN_VIA,
        REGISTER: _NO_REGISTRAR,
        RAMP: _ONE_PHONE,
    }
    | dict.fromkeys(_HASHES, _MD5_ONLY)
    | dict.fromkeys(_PROXY_AUTH, _AS_SERVER),
)
KAMAILIO = Peer(
    "kamailio",
    "Kamailio",
    "as proxy and registrar",
    {AUTH_401_SHA512: _NO_SHA512, AUTH_407_SHA512: _NO_SHA512}
    | dict.fromkeys(
        (EARLY_MEDIA, SRTP, DTMF_TO, DTMF_FROM, PCMU_FIRST, PCMA_FIRST, PCMA_ONLY), _END_TO_END
    )
    | dict.fromkeys(
        (
            DECLINE, MOVED, CROSSING, LOST_INVITE, LOST_200, LOST_ACK, LOST_BYE, DUPLICATED,
            REORDERED, HOLD, UPDATE, PRACK, REFER_TAKEN, REFER_REFUSED, RAMP,
        ),
        _PASSES,
    ),
)  # fmt: skip

SIP = Suite(
    "SIP and RTP",
    CASES,
    (SIPP_CALLED, SIPP_CALLING, BARESIP_CALLED, BARESIP_CALLING, KAMAILIO),
)
