"""The torture test messages of RFC 4475, written anew from its descriptions: each has the traits
that its section names, with other addresses. Names and sections are the RFC's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SDP: Final = (
    b"v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\n"
    b"t=0 0\r\nm=audio 49217 RTP/AVP 0 12\r\n"
)


@dataclass(frozen=True, slots=True)
class Torture:
    """One message and what becomes of it."""

    name: str
    section: str
    about: str
    rfc: str
    """What RFC 4475 says: `valid` or what to answer."""
    data: bytes
    code: int
    """What we answer; 0: nothing (a response, or dropped)."""
    is_read: bool
    """Whether the parser takes it."""
    why: str = ""
    """Why we differ, where the RFC leaves a choice or we take one."""


def head(
    start: str,
    *lines: str,
    body: bytes = b"",
    length: bool = True,
    via: str = "SIP/2.0/UDP t.example.com;branch=z9hG4bKkdjuw",
    to: str = "sip:user@example.com",
    from_: str = "sip:caller@example.net;tag=323",
    call_id: str = "torture.0ha0isndaksdj@192.0.2.1",
    cseq: str = "",
    max_forwards: str = "70",
) -> bytes:
    """A message with the usual headers, then `lines`."""
    method = start.split(" ")[0]
    usual = [
        start,
        f"Via: {via}",
        f"To: {to}",
        f"From: {from_}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq or f'8 {method}'}",
        f"Max-Forwards: {max_forwards}",
        *lines,
    ]
    if length:
        usual.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*usual, "", ""]).encode() + body


CONTACT: Final = "Contact: <sip:caller@host5.example.net>"
TYPE: Final = "Content-Type: application/sdp"
INVITE: Final = "INVITE sip:user@example.com SIP/2.0"
OPTIONS: Final = "OPTIONS sip:user@example.com SIP/2.0"
REGISTER: Final = "REGISTER sip:example.com SIP/2.0"
ODD_METHOD: Final = "!interesting-Method0123456789_*+`.%indeed'~"
ODD_URI: Final = (
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    ":&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com"
)

WSINV: Final = (
    b"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    b"TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
    b'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    b"MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\n"
    b"Content-Length   : %d\r\ncseq: 0009\r\n  INVITE\r\n"
    b"Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
    b"NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    b"UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\n"
    b"Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
    b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
    b" SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    b'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n'
    b"  secondparam ; q = 0.33\r\n\r\n%s" % (len(SDP), SDP)
)

INTMETH: Final = (
    f"{ODD_METHOD} {ODD_URI} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\r\n"
    f'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <{ODD_URI}>\r\n'
    "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;"
    "fromParam''~+*_!.-%=\"\u0440\u0430\u0431\u043e\u0442\u0430\";tag=_token~1'+`*%!-.\r\n"
    "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\n"
    f"CSeq: 139122385 {ODD_METHOD}\r\nMax-Forwards: 255\r\n"
    "extensionHeader-!.%*+_`'~: \ufeff\u5927\u505c\u96fb\r\nContent-Length: 0\r\n\r\n"
).encode()

LONGREQ: Final = head(
    INVITE,
    *(f"Via: SIP/2.0/TCP host{i}.example.com;branch=z9hG4bKlong{i}" for i in range(34)),
    "Contact: <sip:amazinglylongcallername@host5.example.net>;" + "unknown" * 30 + "=value",
    "Unknown-" + "long" * 30 + "-Name: unknown-" + "long" * 60 + "-value; unknown",
    TYPE,
    to='"I have a user name of extreme proportion" '
    "<sip:user@example.com:6000;unknownparam1=very"
    + "long" * 30
    + "value;longparam"
    + "name" * 30
    + "=shortvalue>",
    from_="sip:" + "amazinglylongcallername" * 6 + "@example.net;tag=12" + "9820394" * 20,
    call_id="longreq.one" + "really" * 30 + "longcallid",
    body=SDP,
)

MULTIPART: Final = (
    b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"Hello\r\n--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n\x00\x82\xff"
    b"\r\n\r\n\xfe\r\n--7a9cbec02ceef655--\r\n"
)

OK: Final = "SIP/2.0 200 OK"


def response(start: str, *lines: str, cseq: str = "9 INVITE", via: str = "") -> bytes:
    return head(start, *lines, cseq=cseq, to="<sip:user@example.com>;tag=2229", via=via or VIA)


VIA: Final = "SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923"
SECOND: Final = head(INVITE, CONTACT, TYPE, body=SDP)

MESSAGES: Final = (
    Torture("wsinv", "3.1.1.1", "a short tortuous INVITE", "valid", WSINV, 481, True,
            "its To has a tag: no dialog of ours"),
    Torture("intmeth", "3.1.1.2", "wide range of valid characters", "valid", INTMETH, 405, True,
            "escaped control characters become spaces"),
    Torture("esc01", "3.1.1.3", "escaped characters in a URI", "valid",
            head("INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
                 "Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>", TYPE,
                 to="sip:%75se%72@example.com",
                 from_="<sip:I%20have%20spaces@example.net>;tag=938", body=SDP), 180, True),
    Torture("escnull", "3.1.1.4", "escaped nulls in URIs", "valid",
            head(REGISTER, "Contact: <sip:%00@host5.example.com>",
                 "Contact: <sip:%00%00@host5.example.com>",
                 to="sip:null-%00-null@example.com",
                 from_="sip:null-%00-null@example.com;tag=839923423"), 405, True,
            "we are no registrar"),
    Torture("esc02", "3.1.1.5", "percent signs that are no escapes", "valid",
            head("RE%47IST%45R sip:registrar.example.com SIP/2.0",
                 "Contact: <sip:alias1@host1.example.com>",
                 "Contact: <sip:alias2@host2.example.com>;expires=5",
                 to='"%Z%45" <sip:resource@example.com>',
                 from_='"%Z%45" <sip:resource@example.com>;tag=f232jadfj23'), 405, True),
    Torture("lwsdisp", "3.1.1.6", "no space between display name and <", "valid",
            head(OPTIONS, from_="caller<sip:caller@example.com>;tag=323"), 200, True),
    Torture("longreq", "3.1.1.7", "long values in headers", "valid", LONGREQ, 180, True),
    Torture("dblreq", "3.1.1.8", "more octets than Content-Length in a datagram", "valid",
            head(REGISTER) + SECOND, 405, True, "only the first request counts"),
    Torture("semiuri", "3.1.1.9", "semicolon parameters in the user part", "valid",
            head("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0"), 200, True),
    Torture("transports", "3.1.1.10", "varied and unknown transports in Via", "valid",
            head(OPTIONS, "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf",
                 "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj",
                 "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en",
                 "Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee"), 200, True),
    Torture("mpart01", "3.1.1.11", "multipart MESSAGE with binary parts", "valid",
            head("MESSAGE sip:user@example.com SIP/2.0",
                 "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655", body=MULTIPART),
            405, True),
    Torture("unreason", "3.1.1.12", "unusual reason phrase", "valid",
            response("SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e - "
                     "\u043f\u0440\u043e\u0441\u0442\u043e\u0435", CONTACT), 0, True),
    Torture("noreason", "3.1.1.13", "empty reason phrase", "valid",
            response("SIP/2.0 100 ", CONTACT), 0, True),
    Torture("badinv01", "3.1.2.1", "extraneous header field separators", "400",
            head(INVITE, 'Contact: "Joe" <sip:joe@example.org>;;;;', TYPE,
                 via="SIP/2.0/UDP 192.0.2.15;;,;,,", body=SDP), 0, False,
            "no answer: the Via cannot be read"),
    Torture("clerr", "3.1.2.2", "Content-Length larger than the message", "400",
            head(INVITE, CONTACT, TYPE, "Content-Length: 9999", length=False, body=SDP),
            400, False),
    Torture("ncl", "3.1.2.3", "negative Content-Length", "400",
            head(INVITE, CONTACT, TYPE, "Content-Length: -999", length=False, body=SDP),
            400, False),
    Torture("scalar02", "3.1.2.4", "request scalar fields with overlarge values", "400",
            head(REGISTER, "Expires: 1" + "0" * 60,
                 "Contact: <sip:user@host129.example.com>;expires=280297596632815",
                 cseq="36893488147419103232 REGISTER", max_forwards="300"), 400, False),
    Torture("scalarlg", "3.1.2.5", "response scalar fields with overlarge values", "discard",
            response("SIP/2.0 503 Service Unavailable", "Retry-After: 949302838503028349304023988",
                     "Warning: 1812 overture \"In Progress\"",
                     cseq="9292394834772304023312 OPTIONS"), 0, False),
    Torture("quotbal", "3.1.2.6", "unterminated quoted string in a display name", "400",
            head(INVITE, CONTACT, TYPE, to='"Mr. J. User <sip:j.user@example.com>', body=SDP),
            400, False),
    Torture("ltgtruri", "3.1.2.7", "<> enclosing the Request-URI", "400",
            head("INVITE <sip:user@example.com> SIP/2.0", CONTACT, TYPE, body=SDP), 400, False),
    Torture("lwsruri", "3.1.2.8", "white space within the Request-URI", "400",
            head("INVITE sip:user@example.com; lr SIP/2.0", CONTACT, TYPE, body=SDP), 400, False),
    Torture("lwsstart", "3.1.2.9", "multiple spaces in the request line", "400",
            head("INVITE  sip:user@example.com  SIP/2.0", CONTACT, TYPE, body=SDP), 400, False),
    Torture("trws", "3.1.2.10", "spaces at the end of the request line", "400",
            head("OPTIONS sip:remote-target@example.com SIP/2.0  "), 400, False),
    Torture("escruri", "3.1.2.11", "escaped headers in the Request-URI", "400",
            head("INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0", CONTACT, TYPE,
                 body=SDP), 400, False),
    Torture("baddate", "3.1.2.12", "Date in a time zone other than GMT", "400 or ignore",
            head(INVITE, CONTACT, TYPE, "Date: Fri, 01 Jan 2010 16:00:00 EST", body=SDP), 180, True,
            "Date is of no interest to us"),
    Torture("regbadct", "3.1.2.13", "URI with a ? outside of <> in Contact", "400",
            head(REGISTER, "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"),
            405, True, "we are no registrar; reading the Contact fails"),
    Torture("badaspec", "3.1.2.14", "spaces within an addr-spec", "400 or lenient",
            head(OPTIONS, to='"Watson, Thomas" < sip:t.watson@example.org >'), 400, False),
    Torture("baddn", "3.1.2.15", "non-token characters in an unquoted display name",
            "400 or lenient",
            head(OPTIONS, from_="Bell, Alexander <sip:a.g.bell@example.com>;tag=43"), 400, False),
    Torture("badvers", "3.1.2.16", "unknown protocol version", "505",
            head("OPTIONS sip:t.watson@example.org SIP/7.0",
                 via="SIP/2.0/UDP c.example.com;branch=z9hG4bKkdjuw"), 505, False),
    Torture("mismatch01", "3.1.2.17", "CSeq method differs from the request's", "400",
            head(OPTIONS, cseq="8 INVITE"), 400, False),
    Torture("mismatch02", "3.1.2.18", "unknown method, CSeq method differs", "501 or 400",
            head("NEWMETHOD sip:user@example.com SIP/2.0", cseq="8 INVITE"), 400, False),
    Torture("bigcode", "3.1.2.19", "overlarge response code", "discard",
            response("SIP/2.0 4294967301 better not break the receiver", CONTACT), 0, False),
    Torture("badbranch", "3.2.1", "branch that is the magic cookie alone", "valid",
            head(OPTIONS, via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"), 200, True,
            "matched as RFC 2543 does"),
    Torture("insuf", "3.3.1", "missing required headers", "400",
            b"INVITE sip:user@example.com SIP/2.0\r\nCSeq: 193942 INVITE\r\n"
            b"Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\r\n"
            b"Content-Type: application/sdp\r\n\r\n" + SDP, 0, False,
            "no answer: there is nobody to name in it"),
    Torture("unkscm", "3.3.2", "Request-URI with an unknown scheme", "416",
            head("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0"), 416, True),
    Torture("novelsc", "3.3.3", "Request-URI with a known but atypical scheme", "416",
            head("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0"), 416, True),
    Torture("unksm2", "3.3.4", "unknown URI schemes in headers", "valid for others than Contact",
            head(REGISTER, "Contact: <name:John_Smith>", to="isbn:2983792873",
                 from_="<http://www.example.com>;tag=3234233"), 405, True),
    Torture("bext01", "3.3.5", "Require with unknown extensions", "420",
            head(OPTIONS, "Require: nothingSupportsThis, nothingSupportsThisEither",
                 "Proxy-Require: noProxiesSupportThis"), 420, True),
    Torture("invut", "3.3.6", "unknown Content-Type", "415",
            head(INVITE, CONTACT, "Content-Type: application/unknownformat",
                 body=b"<audio>\r\n <pcmu port=\"443\"/>\r\n</audio>\r\n"), 415, True),
    Torture("regaut01", "3.3.7", "unknown authorization scheme", "ignore or challenge",
            head(REGISTER, "Authorization: NoOneKnowsThisScheme opaque-data=here"), 405, True),
    Torture("multi01", "3.3.8", "several values in single-value headers", "400",
            head(INVITE, CONTACT, TYPE, "CSeq: 59 INVITE", "Call-ID: second@example.com",
                 "From: sip:other@example.net;tag=3413415", "To: sip:other@example.net",
                 "Max-Forwards: 5", body=SDP), 400, False),
    Torture("mcl01", "3.3.9", "several Content-Length values", "400",
            head(OPTIONS, "Content-Length: 13", "Content-Length: 5", length=False,
                 body=b"There's no way to know how many octets are supposed to be here.\r\n"),
            400, False),
    Torture("bcast", "3.3.10", "200 with a broadcast address in Via", "discard",
            response(OK, CONTACT, "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23"),
            0, True),
    Torture("zeromf", "3.3.11", "Max-Forwards of zero", "valid for a user agent",
            head(OPTIONS, max_forwards="0"), 200, True),
    Torture("cparam01", "3.3.12", "REGISTER with a contact parameter", "valid",
            head(REGISTER, "Contact: sip:+12125550123@gw1.example.net;unknownparam"), 405, True),
    Torture("cparam02", "3.3.13", "REGISTER with a URI parameter in <>", "valid",
            head(REGISTER, "Contact: <sip:+12125550123@gw1.example.net;unknownparam>"), 405, True),
    Torture("regescrt", "3.3.14", "REGISTER with URI-escaped headers in <>", "valid",
            head(REGISTER, "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>"),
            405, True),
    Torture("sdp01", "3.3.15", "Accept without session descriptions", "406",
            head(INVITE, CONTACT, TYPE, "Accept: text/nobodyKnowsThis", body=SDP), 406, True),
    Torture("inv2543", "3.4.1", "INVITE of RFC 2543", "valid",
            b"INVITE sip:UserB@example.com SIP/2.0\r\nVia: SIP/2.0/UDP iftgw.example.com\r\n"
            b"From: <sip:+12125550111@ift.client.example.net;user=phone>\r\n"
            b"Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>\r\n"
            b"To: sip:+12125550122@ss1.example.net;user=phone\r\nCall-ID: inv2543.1@ift.example\r\n"
            b"CSeq: 56 INVITE\r\nContent-Type: application/sdp\r\n"
            b"Contact: <sip:+12125550111@ift.client.example.net;user=phone>\r\n\r\n" + SDP,
            180, True),
)  # fmt: skip


def table() -> str:
    """The allowance table of docs/sip-torture.md."""
    rows = ["| message | section | what it is | RFC 4475 | we answer | remark |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for each in MESSAGES:
        answer = str(each.code) if each.code else "nothing"
        answer = "taken (180)" if each.code == 180 else answer
        rows.append(
            f"| {each.name} | {each.section} | {each.about} | {each.rfc} | {answer} | {each.why} |"
        )
    return "\n".join(rows) + "\n"
