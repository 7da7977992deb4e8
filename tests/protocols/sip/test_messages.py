"""Parsing and writing of messages, and what must never be written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.sip.errors import FieldError, SipError
from protocols.sip.fields import Body, CSeq, NameAddr, RAck, Reason, SessionExpires, Via
from protocols.sip.framing import KeepAlive, StreamFramer
from protocols.sip.grammar import parse_params, split_list
from protocols.sip.headers import COMPACT, Headers
from protocols.sip.limits import Limits
from protocols.sip.message import Request, Response, respond
from protocols.sip.parser import parse
from protocols.sip.uri import Uri

BASE = (
    "Via: SIP/2.0/UDP h.example;branch=z9hG4bKx\r\nFrom: <sip:a@h.example>;tag=1\r\n"
    "To: <sip:b@h.example>\r\nCall-ID: one@h.example\r\nCSeq: 1 INVITE\r\n"
)


def message(*lines: str, start: str = "INVITE sip:b@h.example SIP/2.0", body: str = "") -> bytes:
    extra = "".join(f"{line}\r\n" for line in lines)
    return f"{start}\r\n{BASE}{extra}\r\n{body}".encode()


def request(*lines: str, body: str = "") -> Request:
    parsed = parse(message(*lines, body=body))
    assert isinstance(parsed, Request)
    return parsed


# ---------------------------------------------------------------------- reading


def test_folded_lines_are_joined() -> None:
    assert request("Subject: I know\r\n you\r\n\tare there").headers.get("Subject") == (
        "I know you are there"
    )


@pytest.mark.parametrize(("short", "name"), sorted(COMPACT.items()))
def test_compact_forms_are_the_long_names(short: str, name: str) -> None:
    headers = Headers([(short, "x"), (short.upper(), "y"), (name.lower(), "z")])
    assert headers.get_all(name) == ["x", "y", "z"]


@pytest.mark.parametrize("line", ["SUBJECT : x", "subject:x", "Subject\t:\tx", "s:x"])
def test_names_are_known_in_any_case_and_spacing(line: str) -> None:
    assert request(line).headers.get("Subject") == "x"


def test_commas_within_quotes_and_brackets_do_not_separate() -> None:
    text = '"Smith, \\"J\\"" <sip:a@h;x=1,2>;q=0.5, <sip:b@h>, sip:c@h'
    assert len(split_list(text)) == 3
    first = NameAddr.parse(split_list(text)[0].replace(",2", ""))
    assert (first.name, first.params) == ('Smith, "J"', {"q": "0.5"})


def test_two_quoted_names_are_two_addresses() -> None:
    contacts = request('m: "A" <sip:a@h>, "B" <sip:b@h>').contacts
    assert [(c.name, c.uri.user) for c in contacts] == [("A", "a"), ("B", "b")]


def test_octets_that_are_no_utf8_come_back_as_they_were() -> None:
    data = message("Subject: ?").replace(b"Subject: ?", b"Subject: caf\xe9")
    assert b"Subject: caf\xe9\r\n" in parse(data).encode()


def test_names_are_cleaned_for_display() -> None:
    assert NameAddr.parse('"a\\\x07b\u202e" <sip:a@h>').display == "ab"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sip:a@h.example", ("sip", "a", "h.example", None)),
        ("SIPS:A%40b@H.Example:5061", ("sips", "A%40b", "h.example", 5061)),
        ("sip:h.example;lr", ("sip", None, "h.example", None)),
        ("sip:[2001:db8::1]:5070", ("sip", None, "[2001:db8::1]", 5070)),
        ("sip:a;day=tuesday@h.example", ("sip", "a;day=tuesday", "h.example", None)),
        ("sip:a:secret@h.example", ("sip", "a", "h.example", None)),
        ("tel:+1-212-555-0123;ext=5", ("tel", "+1-212-555-0123", "", None)),
        ("urn:service:sos", ("urn", None, "", None)),
    ],
)
def test_uris(text: str, parts: tuple[str, str | None, str, int | None]) -> None:
    uri = Uri.parse(text)
    assert (uri.scheme, uri.user, uri.host, uri.port) == parts
    assert str(Uri.parse(str(uri))) == str(uri)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:a@",
        "a@b",
        "sip:a b@h",
        "sip:<a@h>",
        "sip:a@h:0",
        "sip:a@h:65536",
        "sip:a@[::g]",
        "sip:a@[1:2:3]",
        "sip:a@h;",
        "sip:a@h;x=1;x=2",
        "sip:a@h\n",
        "sip:a@h\r\nEvil: 1",
        "sip:\u00e9@h",
        "tel:",
        "tel:+1 212",
        "tel:+",
        "sip:a@-h",
        "sip:%4@h",
    ],
)
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(SipError):
        Uri.parse(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("sip:[2001:db8::10]", "[2001:db8::10]", None),
        ("sip:[2001:db8::10:5070]", "[2001:db8::10:5070]", None),
        ("sip:[2001:DB8::10]:5070", "[2001:db8::10]", 5070),
        ("sip:a@[::ffff:192.0.2.10]", "[::ffff:192.0.2.10]", None),
    ],
)
def test_ipv6_in_uris_and_vias(text: str, host: str, port: int | None) -> None:
    """RFC 5118 sections 4.1 to 4.10: only what stands behind the bracket is a port."""
    uri = Uri.parse(text)
    assert (uri.host, uri.port) == (host, port)
    via = Via.parse(f"SIP/2.0/UDP {text.partition(':')[2].rpartition('@')[2]};branch=z9hG4bKa")
    assert (via.host, via.port) == (host, port)


@pytest.mark.parametrize("text", ["sip:2001:db8::10", "sip:a@::1", "sip:[2001:db8::10", "sip:[]"])
def test_ipv6_needs_its_brackets(text: str) -> None:
    """RFC 5118 section 4.2."""
    with pytest.raises(SipError):
        Uri.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "sip:proxy.example.com;lr;did=5f.c3b;info=c29tZQ==",
        "sip:+12125550100;npdi;rn=@proxy.example.com",
        "sip:+12125550100@proxy.example.com;npdi;rn=;user=phone",
        "sip:a@proxy.example.com;a=b=c",
    ],
)
def test_a_uri_that_we_pass_back_stays_as_the_peer_wrote_it(text: str) -> None:
    """Contacts and routes come back to those who made them; what proxies hide in them is theirs."""
    assert str(Uri.parse(text)) == text


@pytest.mark.parametrize("value", ["c29tZQ==", "a/b", "x(1)", "1@h:5060", "{a}", "~!*", "[::1]"])
def test_a_tag_or_branch_that_is_no_token_comes_back_as_it_was(value: str) -> None:
    """Its sender compares octets: in quotes it would not know its own call again."""
    assert str(NameAddr.parse(f"<sip:a@h>;tag={value}")) == f"<sip:a@h>;tag={value}"
    text = f"SIP/2.0/UDP h.example;branch=z9hG4bK{value}"
    assert str(Via.parse(text)) == text


@pytest.mark.parametrize(
    "name",
    ["AT&T", "Smith (Home)", "1/2 price", "a@b.example", "Info: desk", "+1 212", "Ren\u00e9e"],
)
def test_a_name_without_the_quotes_it_should_have_is_read(name: str) -> None:
    """A caller is not refused for how a carrier writes its name; we write it in quotes."""
    address = NameAddr.parse(f"{name} <sip:a@h>;tag=1")
    assert (address.display, address.uri.user, address.tag) == (name, "a", "1")
    assert str(address) == f'"{name}" <sip:a@h>;tag=1'


def test_the_number_of_a_uri() -> None:
    assert Uri.parse("sip:+1-212.555(0123);npdi@h;user=phone").number == "+12125550123"
    assert Uri.parse("sip:alice@h").number == ""


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("SIP/2.0/UDP h;rport=5070;received=1.2.3.4;branch=x", ("1.2.3.4", 5070)),
        ("SIP/2.0/UDP h;rport;branch=x", None),
        ("SIP/2.0/UDP h;rport=99999", None),
        ("SIP / 2.0 / UDP  h : 5060 ; branch = x", None),
    ],
)
def test_vias(text: str, public: tuple[str, int] | None) -> None:
    assert Via.parse(text).public_address == public


@pytest.mark.parametrize(
    "reader",
    [
        lambda: Via.parse("SIP/3.0/UDP h"),
        lambda: Via.parse("SIP/2.0/UDP"),
        lambda: CSeq.parse("1"),
        lambda: CSeq.parse("2147483648 INVITE"),
        lambda: CSeq.parse("-1 INVITE"),
        lambda: CSeq.parse("1 IN VITE"),
        lambda: RAck.parse("1 INVITE"),
        lambda: SessionExpires.parse("x"),
        lambda: Reason.parse(";cause=1"),
        lambda: NameAddr.parse("<sip:a@h"),
        lambda: NameAddr.parse('"a <sip:a@h>'),
        lambda: NameAddr.parse("Bell, A <sip:a@h>"),
        lambda: NameAddr.parse("sip:a@h?Route=x"),
        lambda: parse_params(";a=1;A=2"),
        lambda: split_list("a,,b"),
        lambda: split_list('"a'),
    ],
)
def test_fields_that_cannot_be_read_raise_the_protocol_error(reader: Callable[[], object]) -> None:
    with pytest.raises(SipError):
        reader()


def test_structured_fields_come_back_as_they_were() -> None:
    for text in (
        '"A \\"b\\" \\\\" <sip:a@h;lr>;tag=x;y="a b"',
        "SIP/2.0/UDP [::1]:5060;branch=z9hG4bKa;rport",
    ):
        kind = Via if text.startswith("SIP") else NameAddr
        assert str(kind.parse(text)) == text
    assert str(Reason.parse('Q.850;cause=16;text="a"')) == 'Q.850;cause=16;text="a"'
    assert str(SessionExpires.parse("90 ; Refresher = UAC")) == "90;refresher=uac"
    assert str(RAck.parse("1 2 INVITE")) == "1 2 INVITE"


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\0",
        b"INVITE sip:a@h SIP/2.0\r\n",
        message("no colon"),
        message("bad name: x"),
        message(": x"),
        message("Subject: a\rb"),
        message("Subject: a\nb"),
        message("Subject: a\0b"),
        message("Subject: a\x01b"),
        message(*["X: y"] * 60),
        message("X: " + "y" * 5000),
        message(body="x" * 9000),
        message(start="SIP/2.0 99 Low"),
        message(start="SIP/2.0 700 High"),
        message(start="SIP/2.0 4294967301 Much"),
        message(start="SIP/2.0 abc Word"),
        message(start="SIP/3.0 200 OK"),
    ],
)
def test_what_deserves_no_answer(data: bytes) -> None:
    with pytest.raises(SipError) as fault:
        parse(data)
    assert fault.value.status_hint == 0


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (message(start="INVITE sip:b@h SIP/7.0"), 505),
        (message(start="INVITE sip:b@h"), 400),
        (message(start="INVITE  sip:b@h SIP/2.0"), 400),
        (message(start="INVITE sip:b@h SIP/2.0 "), 400),
        (message(start="IN,VITE sip:b@h SIP/2.0"), 400),
        (message(start="INVITE sip:b@h?x=y SIP/2.0"), 400),
        (message(start="OPTIONS sip:b@h SIP/2.0"), 400),
        (message("To: <sip:c@h>"), 400),
        (message("t: <sip:c@h>"), 400),
        (message("Content-Length: 1", "l: 2", body="abc"), 400),
        (message("Content-Length: -1", body="abc"), 400),
        (message("Content-Length: 4", body="abc"), 400),
        (message("Content-Length: 0x1", body="abc"), 400),
        (message("Max-Forwards: 256"), 400),
        (message("Max-Forwards: x"), 400),
        (message("x: y").replace(b"Call-ID: one@h.example", b"Call-ID:"), 400),
        (message("x: y").replace(b"Call-ID: one@h.example", b"Call-ID: a b"), 400),
        (message("x: y").replace(b"Via: ", b"X-Via: "), 400),
    ],
)
def test_what_is_answered_with_a_refusal(data: bytes, hint: int) -> None:
    with pytest.raises(SipError) as fault:
        parse(data)
    assert fault.value.status_hint == hint


def test_a_datagram_ends_with_its_content_length() -> None:
    assert request("Content-Length: 3", body="abcdef").body == b"abc"
    assert request(body="abcdef").body == b"abcdef"


def test_numbers_may_have_parameters() -> None:
    """RFC 4028 section 5: Min-SE is a number and whatever comes to be defined beside it."""
    assert request("Min-SE: 120 ;later=x").number("Min-SE") == 120
    assert request("Min-SE: 120").number("Min-SE") == 120
    for text in ("", "x", "-1", "1 2", "120;;", "1.5", "99999999999"):
        with pytest.raises(SipError):
            request(f"Min-SE: {text}").number("Min-SE")


def test_a_large_number_of_lines_or_octets_costs_no_time_beyond_its_length() -> None:
    """Worst cases for patterns that backtrack; the test ends."""
    for value in ("(" * 4000, '"\\' * 2000, "<" * 4000, ";a" * 2000, "a " * 2000, "%41" * 1300):
        for name in ("Via", "To", "Contact", "Record-Route", "Call-ID", "CSeq"):
            try:
                parsed = parse(message(f"{name}: {value}"))
                _ = parsed.contacts
            except SipError:
                continue


# ---------------------------------------------------------------------- writing

HOSTILE = ["a\r\nEvil: 1", "a\rb", "a\nb", "a\0b", "\r\n\r\nbody", "a\r\n b", "x\x0by", "a\ud800b"]

WRITERS: list[Callable[[str], object]] = [
    lambda text: Headers([("Subject", text)]),
    lambda text: Headers([(text, "x")]),
    lambda text: Headers().set("Subject", text),
    lambda text: Headers().set_first("Subject", text),
    lambda text: str(NameAddr(Uri("sip", host="h"), text)),
    lambda text: str(NameAddr(Uri("sip", host="h"), "", {"x": text})),
    lambda text: str(NameAddr(Uri("sip", host="h"), "", {text: None})),
    lambda text: Uri.sip(text, "h.example"),
    lambda text: Uri.sip("u", text),
    lambda text: Uri.sip("u", "h.example", None, {"x": text}),
    lambda text: Uri.sip("u", "h.example", None, {text: None}),
    lambda text: str(Reason("SIP", 200, text)),
    lambda text: str(Reason(text, 200)),
    lambda text: str(Via("UDP", "h", None, {"branch": text})),
    lambda text: Body(text, b""),
    lambda text: Request("INVITE", Uri("sip", user=text, host="h")).encode(),
    lambda text: Request("INVITE", Uri("sip", host=text)).encode(),
    lambda text: Request("INVITE", Uri("urn", opaque=text)).encode(),
    lambda text: Request(text, Uri("sip", host="h")).encode(),
    lambda text: Response(200, text).encode() if "\x0b" not in text else Headers([("a", text)]),
    lambda text: Request(
        "A", Uri("sip", host="h"), Headers.received([("X", f"{text}\n")])
    ).encode(),
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("write", WRITERS)
def test_no_line_end_can_be_written(write: Callable[[str], object], text: str) -> None:
    with pytest.raises(FieldError):
        write(text)
    assert issubclass(FieldError, LocalProtocolError)


@pytest.mark.parametrize("user", ["a@b", "a b", "a>b", "a;b=c?d", '"', "\u00e9", "a:b", "%41"])
def test_what_a_user_part_holds_is_escaped_and_comes_back(user: str) -> None:
    uri = Uri.parse(str(Uri.sip(user, "h.example")))
    assert uri.user_text == user and uri.host == "h.example"


@pytest.mark.parametrize("uri", ["sip:a b@h", "sip:<a@h>"])
def test_a_request_line_is_checked_whole(uri: str) -> None:
    with pytest.raises(FieldError):
        Request("INVITE", Uri("sip", user=uri, host="h")).encode()


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_written_reads_back_as_one_message(name: str, value: str) -> None:
    """No text, however made, adds a line to a message."""
    made = request()
    try:
        made.headers.add("Subject", value)
        made.headers.add("Contact", str(NameAddr(Uri.sip(name, "h.example"), value)))
        data = made.encode()
    except FieldError:
        return
    again = parse(data)
    assert [n for n, _ in again.headers] == [n for n, _ in made.headers] + ["Content-Length"]
    assert again.contacts[0].uri.user_text == name


@given(st.binary(max_size=300))
def test_only_the_protocol_error_escapes_from_the_parser(data: bytes) -> None:
    for candidate in (data, message() + data, message().replace(b"one@h", data)):
        try:
            parsed = parse(candidate)
            _ = parsed.contacts, parsed.encode()
        except (SipError, FieldError):
            continue


def test_a_response_repeats_what_identifies_the_request() -> None:
    made = request("Via: SIP/2.0/TCP far.example;branch=z9hG4bKy", "Subject: no")
    response = respond(made, 486, "tag")
    assert response.headers.get_all("Via") == made.headers.get_all("Via")
    assert response.to.tag == "tag" and response.headers.get("Subject") is None
    assert response.encode().startswith(b"SIP/2.0 486 Busy Here\r\n")


# ---------------------------------------------------------------------- streams

TWO = message("Content-Length: 3", body="abc") + message("l : 0")


@pytest.mark.parametrize("size", [1, 2, 7, 100, 10_000])
def test_a_stream_is_cut_into_messages_in_any_pieces(size: int) -> None:
    framer = StreamFramer()
    found = []
    for start in range(0, len(TWO), size):
        found += framer.receive_data(TWO[start : start + size])
    assert found == [message("Content-Length: 3", body="abc"), message("l : 0")]


def test_keep_alives_stand_between_messages() -> None:
    """RFC 5626 section 4.4.1: a double CRLF asks, a single one answers."""
    framer = StreamFramer()
    one = message("l: 0")
    found = framer.receive_data(b"\r\n\r\n" + one + b"\r\n" + one + b"\r\n\r\n")
    assert found == [KeepAlive.PING, one, KeepAlive.PONG, one, KeepAlive.PING]
    assert framer.receive_data(b"\r\n") == [KeepAlive.PONG]


@pytest.mark.parametrize(
    "data",
    [
        message("Subject: x"),
        message("l: 1", "Content-Length: 1", body="a"),
        message("Content-Length: x"),
        message("Content-Length: 99999"),
        b"INVITE " + b"x" * 20_000,
        b"\rx",
        message("l: 1", "l\t: 2", body="a"),
    ],
)
def test_a_stream_without_sure_framing_is_given_up(data: bytes) -> None:
    with pytest.raises(SipError):
        StreamFramer().receive_data(data)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_only_the_protocol_error_escapes_from_the_framing(pieces: list[bytes]) -> None:
    framer = StreamFramer(Limits(message_bytes=200))
    try:
        for piece in pieces:
            framer.receive_data(piece + b"\r\n")
    except SipError:
        return
