"""The codec: PDUs to bytes and back (SMPP v3.4 section 4)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.smpp import (
    MAX_PDU_BYTES,
    MAX_TLVS,
    Bind,
    BindResponse,
    DestAddress,
    DistributionList,
    Message,
    MessageResponse,
    Outbind,
    Pdu,
    PduError,
    QuerySm,
    QuerySmResponse,
    ReplaceSm,
    SubmitMulti,
    SubmitMultiResponse,
    Tag,
    Unsuccess,
    decode,
    encode,
    encode_body,
    encode_submit_body,
    encode_tlvs,
    frames,
    pack_header,
)
from protocols.smpp import commands as c
from protocols.smpp import status as s
from tests.protocols.smpp.corpus import BROKEN_FRAMING, MALFORMED, WELL_FORMED
from tests.protocols.smpp.strategies import pdus


@given(pdus)
def test_every_pdu_survives_the_wire(pdu: Pdu) -> None:
    """What is encoded is read back field by field, whatever octets the fields hold."""
    assert decode(encode(pdu)) == pdu


@pytest.mark.parametrize("name", WELL_FORMED)
def test_stored_pdus_are_written_as_they_were_read(name: str) -> None:
    """A foreign encoder's PDUs are read and written again octet by octet."""
    octets = WELL_FORMED[name]
    pdu = decode(octets)
    again = encode(pdu)
    if name in ("submit_sm_resp_no_body", "deliver_sm_resp"):
        assert decode(again) == pdu
    else:
        assert again == octets


def test_receipt_of_a_foreign_encoder_is_read_field_by_field() -> None:
    """Addresses, class, text and optional parameters of a stored receipt are what was put in."""
    pdu = decode(WELL_FORMED["deliver_sm_receipt"])
    assert isinstance(pdu, Message)
    assert (pdu.command_id, pdu.sequence) == (c.DELIVER_SM, 7)
    assert (pdu.source, pdu.dest, pdu.esm_class) == ("12125550123", "12125550100", 4)
    assert pdu.payload.startswith(b"id:7f00a1 sub:001")
    assert sorted(pdu.tlvs) == [
        (Tag.RECEIPTED_MESSAGE_ID, b"7f00a1\0"),
        (Tag.NETWORK_ERROR_CODE, b"\x03\0\0"),
        (Tag.MESSAGE_STATE, b"\x02"),
    ]


def test_user_data_header_counts_in_sm_length() -> None:
    """The user data header is a part of short_message and kept with it."""
    pdu = decode(WELL_FORMED["submit_sm"])
    assert isinstance(pdu, Message)
    assert pdu.payload[:6] == b"\x05\0\x03\x2a\x02\x01"
    assert pdu.payload[6:] == b"Sample Bridal: your gown"


def test_vendor_and_repeated_optional_parameters_are_kept_in_order() -> None:
    """No optional parameter is dropped or merged."""
    pdu = decode(WELL_FORMED["deliver_sm_vendor_tlvs_repeated"])
    assert isinstance(pdu, Message)
    assert pdu.tlvs == [
        (0x1400, b"a"),
        (0x1400, b"b"),
        (0x3FFF, b""),
        (Tag.MESSAGE_PAYLOAD, b"xyz"),
    ]


def test_addresses_outside_ascii_are_read() -> None:
    """An octet over 127 in an address is a latin-1 character, not an error."""
    pdu = decode(WELL_FORMED["deliver_sm_latin1_address"])
    assert isinstance(pdu, Message)
    assert pdu.source == "Sch\xf6n"


def test_address_a_little_too_long_is_read() -> None:
    """A carrier's address of 30 characters passes while the other fields are short."""
    body = encode_submit_body("", "12125550100", b"Hello")
    body = body[:3] + b"A" * 30 + body[3:]
    pdu = decode(pack_header(len(body), c.DELIVER_SM, 0, 1) + body)
    assert isinstance(pdu, Message)
    assert pdu.source == "A" * 30


def test_response_with_an_error_may_have_no_body() -> None:
    """Section 4.4.2: the body is left out when the status is an error."""
    assert decode(WELL_FORMED["submit_sm_resp_no_body"]) == MessageResponse(
        c.SUBMIT_SM_RESP, s.ESME_RSUBMITFAIL, 7
    )
    bind = decode(pack_header(0, c.BIND_TRANSCEIVER_RESP, s.ESME_RINVPASWD, 3))
    assert bind == BindResponse(c.BIND_TRANSCEIVER_RESP, s.ESME_RINVPASWD, 3)


def test_passwords_are_not_shown() -> None:
    """A bind can be logged without its password."""
    assert "secret" not in repr(Bind(system_id="lab", password="secret"))
    assert "secret" not in repr(Outbind(system_id="lab", password="secret"))


EXPECTED = {
    "deliver_sm_sm_length_past_end": s.ESME_RINVMSGLEN,
    "deliver_sm_tlv_truncated": s.ESME_RINVOPTPARSTREAM,
    "deliver_sm_tlv_past_end": s.ESME_RINVPARLEN,
    "deliver_sm_65_tlvs": s.ESME_RINVOPTPARSTREAM,
    "submit_sm_no_nul": s.ESME_RINVCMDLEN,
    "submit_sm_empty": s.ESME_RINVCMDLEN,
    "submit_sm_long_service_type": s.ESME_RINVSERTYP,
    "submit_sm_long_source": s.ESME_RINVSRCADR,
    "submit_sm_long_destination": s.ESME_RINVDSTADR,
    "submit_sm_long_schedule": s.ESME_RINVSCHED,
    "submit_sm_long_validity": s.ESME_RINVEXPIRY,
    "bind_transceiver_long_password": s.ESME_RINVPASWD,
    "bind_transceiver_truncated": s.ESME_RINVCMDLEN,
    "submit_sm_resp_no_nul": s.ESME_RINVCMDLEN,
    "submit_sm_resp_long_id": s.ESME_RINVMSGID,
    "submit_multi_no_dests": s.ESME_RINVNUMDESTS,
    "submit_multi_255_dests": s.ESME_RINVNUMDESTS,
    "submit_multi_unknown_flag": s.ESME_RINVDESTFLAG,
    "submit_multi_dests_truncated": s.ESME_RINVCMDLEN,
    "submit_multi_long_list": s.ESME_RINVDLNAME,
    "submit_multi_resp_truncated": s.ESME_RINVCMDLEN,
    "query_sm_no_nul": s.ESME_RINVCMDLEN,
    "query_sm_long_id": s.ESME_RINVMSGID,
    "query_sm_resp_truncated": s.ESME_RINVCMDLEN,
    "cancel_sm_long_destination": s.ESME_RINVDSTADR,
    "replace_sm_text_past_end": s.ESME_RINVMSGLEN,
    "data_sm_long_source": s.ESME_RINVSRCADR,
    "broadcast_sm_tlv_truncated": s.ESME_RINVOPTPARSTREAM,
}


def test_every_malformed_pdu_has_an_expectation() -> None:
    """No stored malformed PDU goes untested."""
    assert {f"malformed_{name}" for name in EXPECTED} == set(MALFORMED)


@pytest.mark.parametrize("name", EXPECTED)
def test_malformed_pdu_is_refused_with_its_status(name: str) -> None:
    """A faulty body says which status to answer and which request it was, and keeps the framing."""
    octets = MALFORMED[f"malformed_{name}"]
    with pytest.raises(PduError) as caught:
        decode(octets)
    assert caught.value.status_hint == EXPECTED[name]
    assert caught.value.command_id == int.from_bytes(octets[4:8], "big")
    assert caught.value.sequence == 7
    assert not caught.value.is_framing_lost


@pytest.mark.parametrize("name", BROKEN_FRAMING)
def test_hostile_length_is_refused_after_four_octets(name: str) -> None:
    """A length no PDU can have is refused before anything is waited for or stored."""
    octets = BROKEN_FRAMING[name]
    assert frames(octets[:3]) == ([], octets[:3])
    with pytest.raises(PduError) as caught:
        frames(octets[:4])
    assert caught.value.is_framing_lost
    assert caught.value.status_hint == s.ESME_RINVCMDLEN


def test_pdus_before_a_hostile_length_are_returned_first() -> None:
    """What came before the fault counts; the fault is raised by the next call."""
    sound = WELL_FORMED["enquire_link"]
    found, rest = frames(sound + sound + b"\0\0\0\0")
    assert found == [sound, sound]
    with pytest.raises(PduError):
        frames(rest)


def test_longest_pdu_passes() -> None:
    """The cap itself is allowed."""
    octets = pack_header(MAX_PDU_BYTES - 16, c.DATA_SM, 0, 1) + bytes(MAX_PDU_BYTES - 16)
    assert frames(octets) == ([octets], b"")


def check_three_ways(octets: bytes) -> None:
    """Whole, octet by octet and with a piece of the next behind it, the same PDU comes out."""
    trailing = b"\0\0\0\x10\0"
    assert frames(octets) == ([octets], b"")
    assert frames(octets + trailing) == ([octets], trailing)
    rest, found = b"", []
    for i in range(len(octets)):
        more, rest = frames(rest + octets[i : i + 1])
        found += more
    assert (found, rest) == ([octets], b"")


@pytest.mark.parametrize("name", [*WELL_FORMED, *MALFORMED])
def test_stored_pdus_are_cut_out_of_any_pieces(name: str) -> None:
    """The stream's segments do not matter."""
    check_three_ways((WELL_FORMED | MALFORMED)[name])


@given(st.lists(pdus, max_size=5), st.lists(st.integers(1, 50), min_size=1))
def test_streams_are_cut_the_same_in_any_pieces(sent: list[Pdu], sizes: list[int]) -> None:
    """However a stream is cut up on its way, the same PDUs come out of it."""
    stream = b"".join(encode(pdu) for pdu in sent)
    rest, found, turn = b"", [], 0
    while stream:
        size = sizes[turn % len(sizes)]
        more, rest = frames(rest + stream[:size])
        found += [decode(frame) for frame in more]
        stream = stream[size:]
        turn += 1
    assert found == sent
    assert rest == b""


def test_frame_that_is_none_is_refused() -> None:
    """decode checks what it is given: a short header, a length that is not the frame's."""
    for octets in (b"", b"\0" * 15, pack_header(1, c.ENQUIRE_LINK, 0, 1)):
        with pytest.raises(PduError) as caught:
            decode(octets)
        assert caught.value.is_framing_lost


def message(**changes: object) -> Message:
    return replace(Message(source="1", dest="2"), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pdu", "words"),
    [
        (message(source="1" * 21), "source_addr has 21 octets, the limit is 20"),
        (message(dest="1" * 21), "destination_addr has 21 octets, the limit is 20"),
        (message(service_type="123456"), "service_type has 6 octets, the limit is 5"),
        (message(schedule="1" * 17), "schedule_delivery_time has 17 octets, the limit is 16"),
        (message(validity="1" * 17), "validity_period has 17 octets, the limit is 16"),
        (message(payload=b"x" * 255), "short_message has 255 octets, the limit is 254"),
        (message(dest="1\x002"), "destination_addr contains a NUL"),
        (message(source="\u20ac"), "source_addr has characters outside latin-1"),
        (message(data_coding=256), "data_coding is 256, not within 0 to 255"),
        (message(priority=-1), "priority_flag is -1, not within 0 to 255"),
        (message(sequence=-1), "sequence_number is -1, not within 32 bits"),
        (message(status=1 << 32), "command_status is 4294967296, not within 32 bits"),
        (message(tlvs=[(70000, b"")]), "tag 70000 is not within 0 to 65535"),
        (
            message(tlvs=[(Tag.MESSAGE_PAYLOAD, b"x" * 65536)]),
            "message_payload has 65536 octets, the limit is 65535",
        ),
        (
            message(tlvs=[(Tag.MESSAGE_PAYLOAD, b"x" * 65535)]),
            "the body has 65558 octets, the limit is 65520",
        ),
        (Bind(system_id="x" * 16), "system_id has 16 octets, the limit is 15"),
        (Bind(password="x" * 9), "password has 9 octets, the limit is 8"),
        (Bind(system_type="x" * 13), "system_type has 13 octets, the limit is 12"),
        (Bind(address_range="x" * 41), "address_range has 41 octets, the limit is 40"),
        (Bind(interface_version=256), "interface_version is 256, not within 0 to 255"),
        (MessageResponse(message_id="x" * 65), "message_id has 65 octets, the limit is 64"),
        (SubmitMulti(), "number_of_dests is 0, not within 1 to 254"),
        (
            SubmitMulti(dests=[DestAddress(1, 1, "1")] * 255),
            "number_of_dests is 255, not within 1 to 254",
        ),
        (SubmitMulti(dests=[DistributionList("x" * 21)]), "dl_name has 21 octets, the limit is 20"),
        (
            SubmitMulti(dests=[DestAddress(256, 1, "1")]),
            "dest_addr_ton is 256, not within 0 to 255",
        ),
        (
            SubmitMultiResponse(unsuccess=[Unsuccess(1, 1, "1", -1)]),
            "error_status_code is -1, not within 32 bits",
        ),
        (
            SubmitMultiResponse(unsuccess=[Unsuccess(1, 1, "1", 1)] * 256),
            "no_unsuccess is 256, the limit is 255",
        ),
        (QuerySm(message_id="x" * 65), "message_id has 65 octets, the limit is 64"),
        (QuerySmResponse(message_state=256), "message_state is 256, not within 0 to 255"),
        (ReplaceSm(payload=b"x" * 255), "short_message has 255 octets, the limit is 254"),
        (
            message(command_id=c.DATA_SM, payload=b"x"),
            "data_sm has no short_message, its text is in message_payload",
        ),
        (
            message(command_id=c.DATA_SM, dest="1" * 65),
            "destination_addr has 65 octets, the limit is 64",
        ),
    ],
)
def test_field_out_of_its_limits_is_named(pdu: Pdu, words: str) -> None:
    """Nothing malformed is encoded; the error says which field and which limit."""
    with pytest.raises(LocalProtocolError) as caught:
        encode(pdu)
    assert str(caught.value) == words


@pytest.mark.parametrize("size", [MAX_TLVS, MAX_TLVS + 1])
def test_optional_parameters_are_capped(size: int) -> None:
    """As many optional parameters as the standard names are taken, no more."""
    octets = encode(message(tlvs=[(0x1400, b"")] * size))
    if size <= MAX_TLVS:
        assert decode(octets) == message(tlvs=[(0x1400, b"")] * size)
    else:
        with pytest.raises(PduError, match="more than 64 optional parameters"):
            decode(octets)


def test_body_encoded_once_is_the_body_of_the_pdu() -> None:
    """The short cut for the hot path gives the octets of the long way."""
    pdu = message(registered_delivery=1, payload=b"Hello", sequence=9)
    body = encode_submit_body("1", "2", b"Hello", registered_delivery=1)
    assert encode_body(pdu) == body
    assert encode(pdu) == pack_header(len(body), c.SUBMIT_SM, 0, 9) + body
    assert encode_tlvs([]) == b""
