"""The SMPP peers, the cases, and what a peer cannot do."""

from __future__ import annotations

from tests.interop.matrix import Peer, Suite

BIND_TX = "bind transmitter"
BIND_RX = "bind receiver"
BIND_TRX = "bind transceiver"
WRONG_PASSWORD = "wrong password refused"
TLS = "TLS"
MT = "text to a phone, one segment"
MT_GSM = "long text to a phone, GSM alphabet"
MT_EMOJI = "long text to a phone, emoji"
MT_SAR = "long text to a phone, SAR parameters"
MT_PAYLOAD = "long text to a phone, message_payload"
MO = "text from a phone, one segment"
MO_UDH = "long text from a phone, header"
MO_SAR = "long text from a phone, SAR parameters"
MO_PAYLOAD = "long text from a phone, message_payload"
DATA_SM = "data_sm"
DELIVERED = "receipt: delivered"
UNDELIVERED = "receipt: undelivered"
THROTTLED = "throttling honoured"
ENQUIRE_BY_US = "enquire_link by us"
ENQUIRE_BY_PEER = "enquire_link by the peer"
UNBIND_BY_US = "unbind by us"
UNBIND_BY_PEER = "unbind by the peer"
MULTI = "submit_multi"
QUERY = "query_sm"
CANCEL = "cancel_sm"
SPANISH = "national language table (Spanish)"
MANY = "300 texts at once, each once"
OUTBIND = "outbind"

CASES = (
    BIND_TX, BIND_RX, BIND_TRX, WRONG_PASSWORD, TLS,
    MT, MT_GSM, MT_EMOJI, MT_SAR, MT_PAYLOAD,
    MO, MO_UDH, MO_SAR, MO_PAYLOAD, DATA_SM,
    DELIVERED, UNDELIVERED, THROTTLED,
    ENQUIRE_BY_US, ENQUIRE_BY_PEER, UNBIND_BY_US, UNBIND_BY_PEER,
    MULTI, QUERY, CANCEL, SPANISH, MANY, OUTBIND,
)  # fmt: skip

_NOT_ASKED = "we do not ask carriers about messages: their receipts tell"
_TO_SHOPS = "what goes to an ESME has a header where it is long"
_OF_ESMES = "a request of ESMEs; a carrier has none to make"
_KANNEL_FORM = "Kannel sends long texts with headers alone"
_KANNEL_DATA = "Kannel does not send data_sm"
_KANNEL_OPS = "Kannel does not send this request"
_KANNEL_RECEIPTS = "Kannel sends no receipts to whom it binds"
_KANNEL_TABLES = "Kannel knows the default alphabet alone"
_NO_OUTBIND = "it does not listen for an outbind"
_SMPPLIB_PDU = "smpplib has no such PDU"

NODE_SMSC = Peer(
    "node-smsc",
    "node-smpp",
    "as SMSC",
    {
        MULTI: "we send each text by itself",
        QUERY: _NOT_ASKED,
        CANCEL: _NOT_ASKED,
        OUTBIND: "our links dial, and wait for nobody",
    },
)
NODE_CARRIER = Peer(
    "node-carrier",
    "node-smpp",
    "as a carrier that binds to us",
    {MULTI: _OF_ESMES, QUERY: _OF_ESMES, CANCEL: _OF_ESMES},
)
KANNEL_CARRIER = Peer(
    "kannel-carrier",
    "Kannel",
    "as a carrier that binds to us",
    {
        MT_SAR: "Kannel does not put parts with SAR parameters together",
        MO_SAR: _KANNEL_FORM,
        MO_PAYLOAD: _KANNEL_FORM,
        DATA_SM: _KANNEL_DATA,
        DELIVERED: _KANNEL_RECEIPTS,
        UNDELIVERED: _KANNEL_RECEIPTS,
        THROTTLED: "Kannel takes every deliver_sm",
        MULTI: _OF_ESMES,
        QUERY: _OF_ESMES,
        CANCEL: _OF_ESMES,
        SPANISH: _KANNEL_TABLES,
        OUTBIND: _NO_OUTBIND,
    },
)
NODE_ESME = Peer(
    "node-esme",
    "node-smpp",
    "as ESME",
    {MO_SAR: _TO_SHOPS, MO_PAYLOAD: _TO_SHOPS},
)
SMPPLIB_ESME = Peer(
    "smpplib-esme",
    "smpplib",
    "as ESME",
    {
        MO_SAR: _TO_SHOPS,
        MO_PAYLOAD: _TO_SHOPS,
        MULTI: _SMPPLIB_PDU,
        CANCEL: _SMPPLIB_PDU,
        SPANISH: "smpplib knows the default alphabet alone",
        OUTBIND: _NO_OUTBIND,
    },
)
KANNEL_ESME = Peer(
    "kannel-esme",
    "Kannel",
    "as ESME",
    {
        MT_SAR: _KANNEL_FORM,
        MT_PAYLOAD: _KANNEL_FORM,
        MO_SAR: _TO_SHOPS,
        MO_PAYLOAD: _TO_SHOPS,
        DATA_SM: _KANNEL_DATA,
        MULTI: _KANNEL_OPS,
        QUERY: _KANNEL_OPS,
        CANCEL: _KANNEL_OPS,
        SPANISH: _KANNEL_TABLES,
        OUTBIND: _NO_OUTBIND,
    },
)

SMPP = Suite(
    "SMPP",
    CASES,
    (NODE_SMSC, NODE_CARRIER, KANNEL_CARRIER, NODE_ESME, SMPPLIB_ESME, KANNEL_ESME),
)
