"""command_status values (SMPP v3.4 section 5.1.3 and table 5-2, SMPP v5.0 section 4.7.6) and what
to do about them."""

from __future__ import annotations

from enum import Enum
from typing import Final

ESME_ROK: Final = 0x00000000
ESME_RINVMSGLEN: Final = 0x00000001
ESME_RINVCMDLEN: Final = 0x00000002
ESME_RINVCMDID: Final = 0x00000003
ESME_RINVBNDSTS: Final = 0x00000004
ESME_RALYBND: Final = 0x00000005
ESME_RINVPRTFLG: Final = 0x00000006
ESME_RINVREGDLVFLG: Final = 0x00000007
ESME_RSYSERR: Final = 0x00000008
ESME_RINVSRCADR: Final = 0x0000000A
ESME_RINVDSTADR: Final = 0x0000000B
ESME_RINVMSGID: Final = 0x0000000C
ESME_RBINDFAIL: Final = 0x0000000D
ESME_RINVPASWD: Final = 0x0000000E
ESME_RINVSYSID: Final = 0x0000000F
ESME_RCANCELFAIL: Final = 0x00000011
ESME_RREPLACEFAIL: Final = 0x00000013
ESME_RMSGQFUL: Final = 0x00000014
ESME_RINVSERTYP: Final = 0x00000015
ESME_RINVNUMDESTS: Final = 0x00000033
ESME_RINVDLNAME: Final = 0x00000034
ESME_RINVDESTFLAG: Final = 0x00000040
ESME_RINVSUBREP: Final = 0x00000042
ESME_RINVESMCLASS: Final = 0x00000043
ESME_RCNTSUBDL: Final = 0x00000044
ESME_RSUBMITFAIL: Final = 0x00000045
ESME_RINVSRCTON: Final = 0x00000048
ESME_RINVSRCNPI: Final = 0x00000049
ESME_RINVDSTTON: Final = 0x00000050
ESME_RINVDSTNPI: Final = 0x00000051
ESME_RINVSYSTYP: Final = 0x00000053
ESME_RINVREPFLAG: Final = 0x00000054
ESME_RINVNUMMSGS: Final = 0x00000055
ESME_RTHROTTLED: Final = 0x00000058
ESME_RINVSCHED: Final = 0x00000061
ESME_RINVEXPIRY: Final = 0x00000062
ESME_RINVDFTMSGID: Final = 0x00000063
ESME_RX_T_APPN: Final = 0x00000064
ESME_RX_P_APPN: Final = 0x00000065
ESME_RX_R_APPN: Final = 0x00000066
ESME_RQUERYFAIL: Final = 0x00000067
ESME_RINVOPTPARSTREAM: Final = 0x000000C0
ESME_ROPTPARNOTALLWD: Final = 0x000000C1
ESME_RINVPARLEN: Final = 0x000000C2
ESME_RMISSINGOPTPARAM: Final = 0x000000C3
ESME_RINVOPTPARAMVAL: Final = 0x000000C4
ESME_RDELIVERYFAILURE: Final = 0x000000FE
ESME_RUNKNOWNERR: Final = 0x000000FF
ESME_RSERTYPUNAUTH: Final = 0x00000100
ESME_RPROHIBITED: Final = 0x00000101
ESME_RSERTYPUNAVAIL: Final = 0x00000102
ESME_RSERTYPDENIED: Final = 0x00000103
ESME_RINVDCS: Final = 0x00000104
ESME_RINVSRCADDRSUBUNIT: Final = 0x00000105
ESME_RINVDSTADDRSUBUNIT: Final = 0x00000106
ESME_RINVBCASTFREQINT: Final = 0x00000107
ESME_RINVBCASTALIAS_NAME: Final = 0x00000108
ESME_RINVBCASTAREAFMT: Final = 0x00000109
ESME_RINVNUMBCAST_AREAS: Final = 0x0000010A
ESME_RINVBCASTCNTTYPE: Final = 0x0000010B
ESME_RINVBCASTMSGCLASS: Final = 0x0000010C
ESME_RBCASTFAIL: Final = 0x0000010D
ESME_RBCASTQUERYFAIL: Final = 0x0000010E
ESME_RBCASTCANCELFAIL: Final = 0x0000010F
ESME_RINVBCAST_REP: Final = 0x00000110
ESME_RINVBCASTSRVGRP: Final = 0x00000111
ESME_RINVBCASTCHANIND: Final = 0x00000112

VENDOR_STATUSES: Final = range(0x400, 0x500)
"""Values left to vendors (table 5-2)."""

NAMES: Final[dict[int, str]] = {
    value: name for name, value in list(globals().items()) if name.startswith("ESME_")
}

SENTENCES: Final[dict[int, str]] = {
    ESME_ROK: "no error",
    ESME_RINVMSGLEN: "the length of the message text is wrong",
    ESME_RINVCMDLEN: "the length of the PDU is wrong",
    ESME_RINVCMDID: "the command is not known to the peer",
    ESME_RINVBNDSTS: "the command is not allowed in this state of the bind",
    ESME_RALYBND: "this connection or account is bound already",
    ESME_RINVPRTFLG: "the priority is not valid",
    ESME_RINVREGDLVFLG: "the request for a receipt is not valid",
    ESME_RSYSERR: "the peer has an internal error",
    ESME_RINVSRCADR: "the sender's number is not accepted",
    ESME_RINVDSTADR: "the recipient's number is not accepted",
    ESME_RINVMSGID: "the message id is not known",
    ESME_RBINDFAIL: "the bind is refused",
    ESME_RINVPASWD: "the password is wrong",
    ESME_RINVSYSID: "the system_id is not known",
    ESME_RCANCELFAIL: "the message could not be canceled",
    ESME_RREPLACEFAIL: "the message could not be replaced",
    ESME_RMSGQFUL: "the peer's message queue is full",
    ESME_RINVSERTYP: "the service_type is not valid",
    ESME_RINVNUMDESTS: "the number of recipients is not valid",
    ESME_RINVDLNAME: "the distribution list is not known",
    ESME_RINVDESTFLAG: "the destination flag is not valid",
    ESME_RINVSUBREP: "replacing on submission is not supported",
    ESME_RINVESMCLASS: "the esm_class is not valid",
    ESME_RCNTSUBDL: "the peer cannot send to this distribution list",
    ESME_RSUBMITFAIL: "the submission failed",
    ESME_RINVSRCTON: "the type of the sender's number is not valid",
    ESME_RINVSRCNPI: "the numbering plan of the sender's number is not valid",
    ESME_RINVDSTTON: "the type of the recipient's number is not valid",
    ESME_RINVDSTNPI: "the numbering plan of the recipient's number is not valid",
    ESME_RINVSYSTYP: "the system_type is not accepted",
    ESME_RINVREPFLAG: "the replace_if_present flag is not valid",
    ESME_RINVNUMMSGS: "the number of messages is not valid",
    ESME_RTHROTTLED: "the peer's limit on messages per second is exceeded",
    ESME_RINVSCHED: "the scheduled delivery time is not valid",
    ESME_RINVEXPIRY: "the validity period is not valid",
    ESME_RINVDFTMSGID: "the predefined message is not known",
    ESME_RX_T_APPN: "the receiving application has a temporary error",
    ESME_RX_P_APPN: "the receiving application has a permanent error",
    ESME_RX_R_APPN: "the receiving application rejects the message",
    ESME_RQUERYFAIL: "the query failed",
    ESME_RINVOPTPARSTREAM: "the optional parameters are malformed",
    ESME_ROPTPARNOTALLWD: "an optional parameter is not allowed",
    ESME_RINVPARLEN: "a parameter has a wrong length",
    ESME_RMISSINGOPTPARAM: "an optional parameter is missing that the peer expects",
    ESME_RINVOPTPARAMVAL: "an optional parameter has a wrong value",
    ESME_RDELIVERYFAILURE: "the delivery failed",
    ESME_RUNKNOWNERR: "the peer names no reason",
    ESME_RSERTYPUNAUTH: "the account may not use this service_type",
    ESME_RPROHIBITED: "the account may not use this operation",
    ESME_RSERTYPUNAVAIL: "the service_type is unavailable at present",
    ESME_RSERTYPDENIED: "the service_type is denied",
    ESME_RINVDCS: "the data coding scheme is not valid",
    ESME_RINVSRCADDRSUBUNIT: "the subunit of the sender's address is not valid",
    ESME_RINVDSTADDRSUBUNIT: "the subunit of the recipient's address is not valid",
    ESME_RINVBCASTFREQINT: "the broadcast frequency interval is not valid",
    ESME_RINVBCASTALIAS_NAME: "the broadcast alias name is not valid",
    ESME_RINVBCASTAREAFMT: "the broadcast area format is not valid",
    ESME_RINVNUMBCAST_AREAS: "the number of broadcast areas is not valid",
    ESME_RINVBCASTCNTTYPE: "the broadcast content type is not valid",
    ESME_RINVBCASTMSGCLASS: "the broadcast message class is not valid",
    ESME_RBCASTFAIL: "the broadcast failed",
    ESME_RBCASTQUERYFAIL: "the query of the broadcast failed",
    ESME_RBCASTCANCELFAIL: "the broadcast could not be canceled",
    ESME_RINVBCAST_REP: "the number of broadcast repeats is not valid",
    ESME_RINVBCASTSRVGRP: "the broadcast service group is not valid",
    ESME_RINVBCASTCHANIND: "the broadcast channel indicator is not valid",
}


class Disposition(Enum):
    """What becomes of a message that the peer answered with a status."""

    ACCEPTED = "accepted"
    THROTTLE = "throttle"
    """The message is sound, the peer wants fewer of them: slow the link down, send this one
    again."""
    RETRY = "retry"
    """The peer could not take the message now: send it again later, the link keeps its pace."""
    FAIL = "fail"
    """The peer will never take the message: it fails, with the peer's code in words."""


DISPOSITIONS: Final[dict[int, Disposition]] = {
    ESME_ROK: Disposition.ACCEPTED,
    ESME_RTHROTTLED: Disposition.THROTTLE,
    ESME_RMSGQFUL: Disposition.THROTTLE,
    ESME_RSYSERR: Disposition.RETRY,
    ESME_RX_T_APPN: Disposition.RETRY,
    ESME_RSERTYPUNAVAIL: Disposition.RETRY,
    # The bind is at fault, not the message.
    ESME_RINVBNDSTS: Disposition.RETRY,
    # Carriers give it for lasting and passing faults alike. The message was not taken, so that
    # sending it again cannot double it, while a wrong guess the other way loses it.
    ESME_RSUBMITFAIL: Disposition.RETRY,
}


def disposition(status: int) -> Disposition:
    """The default for a status of a submit_sm_resp; what is not listed, vendors' own included,
    fails."""
    return DISPOSITIONS.get(status, Disposition.FAIL)


def status_name(status: int) -> str:
    """The standard's name, or the number as `0x00000450`."""
    return NAMES.get(status) or f"0x{status:08X}"


def describe(status: int) -> str:
    """Name and plain sentence: `ESME_RINVPASWD: the password is wrong`."""
    sentence = SENTENCES.get(status)
    if sentence is None:
        is_vendor = status in VENDOR_STATUSES
        sentence = "a code of the peer's own" if is_vendor else "a code the standard does not know"
    return f"{status_name(status)}: {sentence}"
