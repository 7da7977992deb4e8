"""Command identifiers (SMPP v3.4 section 5.1.2.1, SMPP v5.0 section 4.7.5)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

RESPONSE: Final = 0x80000000
"""The bit that makes a request's identifier that of its response."""

GENERIC_NACK: Final = 0x80000000
BIND_RECEIVER: Final = 0x00000001
BIND_RECEIVER_RESP: Final = 0x80000001
BIND_TRANSMITTER: Final = 0x00000002
BIND_TRANSMITTER_RESP: Final = 0x80000002
QUERY_SM: Final = 0x00000003
QUERY_SM_RESP: Final = 0x80000003
SUBMIT_SM: Final = 0x00000004
SUBMIT_SM_RESP: Final = 0x80000004
DELIVER_SM: Final = 0x00000005
DELIVER_SM_RESP: Final = 0x80000005
UNBIND: Final = 0x00000006
UNBIND_RESP: Final = 0x80000006
REPLACE_SM: Final = 0x00000007
REPLACE_SM_RESP: Final = 0x80000007
CANCEL_SM: Final = 0x00000008
CANCEL_SM_RESP: Final = 0x80000008
BIND_TRANSCEIVER: Final = 0x00000009
BIND_TRANSCEIVER_RESP: Final = 0x80000009
OUTBIND: Final = 0x0000000B
ENQUIRE_LINK: Final = 0x00000015
ENQUIRE_LINK_RESP: Final = 0x80000015
SUBMIT_MULTI: Final = 0x00000021
SUBMIT_MULTI_RESP: Final = 0x80000021
ALERT_NOTIFICATION: Final = 0x00000102
DATA_SM: Final = 0x00000103
DATA_SM_RESP: Final = 0x80000103
BROADCAST_SM: Final = 0x00000111
BROADCAST_SM_RESP: Final = 0x80000111
QUERY_BROADCAST_SM: Final = 0x00000112
QUERY_BROADCAST_SM_RESP: Final = 0x80000112
CANCEL_BROADCAST_SM: Final = 0x00000113
CANCEL_BROADCAST_SM_RESP: Final = 0x80000113

NAMES: Final[dict[int, str]] = {
    value: name.lower()
    for name, value in list(globals().items())
    if isinstance(value, int) and name.isupper() and name != "RESPONSE"
}


class BindKind(IntEnum):
    """The three kinds of bind; each value is the command_id of its request (sections 4.1.1 to
    4.1.5)."""

    RECEIVER = BIND_RECEIVER
    TRANSMITTER = BIND_TRANSMITTER
    TRANSCEIVER = BIND_TRANSCEIVER


def command_name(command_id: int) -> str:
    """The standard's name of a command, `command 0x…` for one it does not know."""
    return NAMES.get(command_id) or f"command 0x{command_id:08X}"
