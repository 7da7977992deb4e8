"""PDUs of every kind, whatever octets their fields hold."""

from __future__ import annotations

from hypothesis import strategies as st

from protocols.smpp import (
    AlertNotification,
    Bare,
    Bind,
    BindKind,
    BindResponse,
    BroadcastSm,
    CancelBroadcastSm,
    CancelSm,
    DestAddress,
    DistributionList,
    Message,
    MessageResponse,
    Outbind,
    Pdu,
    QueryBroadcastSm,
    QuerySm,
    QuerySmResponse,
    RawPdu,
    ReplaceSm,
    SubmitMulti,
    SubmitMultiResponse,
    Unsuccess,
)
from protocols.smpp import commands as c

MESSAGE_RESPONSES = [
    c.SUBMIT_SM_RESP,
    c.DELIVER_SM_RESP,
    c.DATA_SM_RESP,
    c.BROADCAST_SM_RESP,
    c.QUERY_BROADCAST_SM_RESP,
]
BARE = [
    c.UNBIND,
    c.UNBIND_RESP,
    c.ENQUIRE_LINK,
    c.ENQUIRE_LINK_RESP,
    c.GENERIC_NACK,
    c.CANCEL_SM_RESP,
    c.REPLACE_SM_RESP,
    c.CANCEL_BROADCAST_SM_RESP,
]

octet = st.integers(0, 255)
word = st.integers(0, 0xFFFFFFFF)


def c_string(limit: int) -> st.SearchStrategy[str]:
    return st.binary(max_size=limit).map(lambda b: b.replace(b"\0", b"").decode("latin-1"))


tlvs = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=6)
header = {"status": word, "sequence": word}
binds = st.sampled_from([int(kind) for kind in BindKind])
responses_to_binds = binds.map(lambda command: command | c.RESPONSE)
payloads = st.binary(max_size=254)
message_id = c_string(64)
service_type = c_string(5)
source = {"source_ton": octet, "source_npi": octet, "source": c_string(20)}
long_source = source | {"source": c_string(64)}
dest = {"dest_ton": octet, "dest_npi": octet, "dest": c_string(20)}
times = {"schedule": c_string(16), "validity": c_string(16)}
addresses = st.builds(DestAddress, octet, octet, c_string(20))
lists = st.builds(DistributionList, c_string(20))
text_fields = {
    "esm_class": octet,
    "protocol_id": octet,
    "priority": octet,
    **times,
    "registered_delivery": octet,
    "replace_if_present": octet,
    "data_coding": octet,
    "default_id": octet,
    "payload": payloads,
    "tlvs": tlvs,
}

pdus: st.SearchStrategy[Pdu] = st.one_of(
    st.builds(
        Message,
        command_id=st.sampled_from([c.SUBMIT_SM, c.DELIVER_SM]),
        **header,
        service_type=service_type,
        **source,
        **dest,
        **text_fields,
    ),
    st.builds(
        Message,
        command_id=st.just(c.DATA_SM),
        **header,
        service_type=service_type,
        **long_source,
        **(dest | {"dest": c_string(64)}),
        esm_class=octet,
        registered_delivery=octet,
        data_coding=octet,
        tlvs=tlvs,
    ),
    st.builds(
        SubmitMulti,
        **header,
        service_type=service_type,
        **source,
        **text_fields,
        dests=st.lists(addresses | lists, min_size=1, max_size=8),
    ),
    st.builds(
        SubmitMultiResponse,
        **header,
        message_id=message_id,
        unsuccess=st.lists(st.builds(Unsuccess, octet, octet, c_string(20), word), max_size=6),
        tlvs=tlvs,
    ),
    st.builds(QuerySm, **header, message_id=message_id, **source),
    st.builds(
        QuerySmResponse,
        **header,
        message_id=message_id,
        final_date=c_string(16),
        message_state=octet,
        error_code=octet,
    ),
    st.builds(
        CancelSm, **header, service_type=service_type, message_id=message_id, **source, **dest
    ),
    st.builds(
        ReplaceSm,
        **header,
        message_id=message_id,
        **source,
        **times,
        registered_delivery=octet,
        default_id=octet,
        payload=payloads,
        tlvs=tlvs,
    ),
    st.builds(
        AlertNotification,
        **header,
        **long_source,
        esme_ton=octet,
        esme_npi=octet,
        esme=c_string(64),
        tlvs=tlvs,
    ),
    st.builds(
        BroadcastSm,
        **header,
        service_type=service_type,
        **source,
        message_id=message_id,
        priority=octet,
        **times,
        replace_if_present=octet,
        data_coding=octet,
        default_id=octet,
        tlvs=tlvs,
    ),
    st.builds(QueryBroadcastSm, **header, message_id=message_id, **source, tlvs=tlvs),
    st.builds(
        CancelBroadcastSm,
        **header,
        service_type=service_type,
        message_id=message_id,
        **source,
        tlvs=tlvs,
    ),
    st.builds(
        MessageResponse,
        command_id=st.sampled_from(MESSAGE_RESPONSES),
        **header,
        message_id=c_string(64),
        tlvs=tlvs,
    ),
    st.builds(
        Bind,
        command_id=binds,
        **header,
        system_id=c_string(15),
        password=c_string(8),
        system_type=c_string(12),
        interface_version=octet,
        addr_ton=octet,
        addr_npi=octet,
        address_range=c_string(40),
        tlvs=tlvs,
    ),
    st.builds(
        BindResponse, command_id=responses_to_binds, **header, system_id=c_string(15), tlvs=tlvs
    ),
    st.builds(Outbind, **header, system_id=c_string(15), password=c_string(8)),
    st.builds(
        Bare,
        command_id=st.sampled_from(BARE),
        **header,
    ),
    st.builds(
        RawPdu,
        command_id=st.sampled_from([0x00010200, 0x80010200, 0x0000000A]),
        **header,
        body=st.binary(max_size=200),
    ),
)
