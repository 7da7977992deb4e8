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

SIPP_CALLED = Peer("sipp-called", "SIPp", "called by us", {})
SIPP_CALLING = Peer("sipp-calling", "SIPp", "calling us", {})
BARESIP_CALLED = Peer("baresip-called", "baresip", "called by us", {})
BARESIP_CALLING = Peer("baresip-calling", "baresip", "calling us", {})
KAMAILIO = Peer("kamailio", "Kamailio", "as proxy and registrar", {})

SIP = Suite(
    "SIP and RTP",
    CASES,
    (SIPP_CALLED, SIPP_CALLING, BARESIP_CALLED, BARESIP_CALLING, KAMAILIO),
)
