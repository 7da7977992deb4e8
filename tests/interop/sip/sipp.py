"""SIPp as a process: scenarios made of steps, and what it saw."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from itertools import count
from pathlib import Path

from tests.interop.programs import STOP_S, find
from tests.interop.sip.ports import free_port, is_bound

HOST = "127.0.0.1"
GIVE_UP_S = 25
TAG = "[pid]-[call_number]"
_HERE = "SIP/2.0/[transport] [local_ip]:[local_port];rport"
CONTACT = "Contact: <sip:sipp@[local_ip]:[contact_port];transport=[transport]>"
_NUMBERS = count(1)


def audio(
    formats: Sequence[str] = ("0 PCMU/8000",), *, direction: str = "", version: int = 1,
    dtmf: int = 101, address: str = "[media_ip]",
) -> str:  # fmt: skip
    """A session description with one audio stream."""
    types = [each.split() for each in (*formats, f"{dtmf} telephone-event/8000")]
    lines = [
        "v=0", f"o=sipp 1 {version} IN IP4 [local_ip]", "s=-", f"c=IN IP4 {address}", "t=0 0",
        f"m=audio [media_port] RTP/AVP {' '.join(number for number, _ in types)}",
        *(f"a=rtpmap:{number} {name}" for number, name in types),
        f"a=fmtp:{dtmf} 0-16", "a=ptime:20",
    ]  # fmt: skip
    if direction:
        lines.append(f"a={direction}")
    return "\n".join(lines)


def message(
    first: str, headers: Iterable[str], body: str = "", content: str = "application/sdp"
) -> str:
    """Lines of a message; Content-Length is added."""
    fields = [*headers]
    if body:
        fields.append(f"Content-Type: {content}")
    fields.append(f"Content-Length: {'[len]' if body else '0'}")
    text = "\n".join([first, *fields, "", body])
    return f"<![CDATA[\n\n{text}\n\n]]>"


def answer(
    code: int, *headers: str, body: str = "", is_repeated: bool = False, is_new: bool = True,
    is_to_invite: bool = False,
) -> str:  # fmt: skip
    """A response to what came last. `is_new`: it gives the dialog its tag. `is_to_invite`: to what
    INVITED took, whatever came since."""
    if is_to_invite:
        fields = ["Via:[$5]", "From:[$1]", f"To:[$2];tag={TAG}", "Call-ID: [call_id]", "CSeq:[$4]"]
    else:
        tag = f";tag={TAG}" if is_new else ""
        fields = ["[last_Via:]", "[last_From:]", f"[last_To:]{tag}", "[last_Call-ID:]"]
        fields.append("[last_CSeq:]")
    fields.append("[last_Record-Route:]")
    retrans = ' retrans="200"' if is_repeated else ""
    line = f"SIP/2.0 {code} Said by SIPp"
    return f"<send{retrans}>{message(line, [*fields, CONTACT, *headers], body)}</send>"


def recv(what: str | int, *actions: str, **attributes: str | bool) -> str:
    """Waits for a request, or a response with this code."""
    kind = "response" if str(what).isdigit() else "request"
    named = {kind: str(what)}
    for name, value in attributes.items():
        named[name] = str(value).lower() if isinstance(value, bool) else value
    text = " ".join(f'{name}="{escape(value)}"' for name, value in named.items())
    inside = f"<action>{''.join(actions)}</action>" if actions else ""
    return f"<recv {text}>{inside}</recv>"


def keep(header: str, variable: str, pattern: str = ".*", occurrence: int = 1) -> str:
    """An action that keeps (part of) a header."""
    return (
        f'<ereg regexp="{escape(pattern)}" search_in="hdr" header="{header}:" '
        f'occurrence="{occurrence}" '
        f'check_it="true" assign_to="{variable}"/>'
    )


def pause(milliseconds: int) -> str:
    """Does nothing for a while, but take what is repeated."""
    return f'<pause milliseconds="{milliseconds}"/>'


def run(command: str) -> str:
    """An action of SIPp's own, such as `rtp_stream="file"`."""
    return f"<nop><action><exec {command}/></action></nop>"


INVITED = recv(
    "INVITE", keep("From", "1"), keep("To", "2"), keep("Contact", "3", "sip:[^>]*"),
    keep("CSeq", "4"), keep("Via", "5"),
)  # fmt: skip
"""Takes a call, and notes what requests of SIPp within it will need."""


def request(
    method: str, number: int, *headers: str, body: str = "", content: str = "application/sdp"
) -> str:
    """A request of the called SIPp within the dialog that INVITED began."""
    fields = [
        "Via: SIP/2.0/[transport] [local_ip]:[contact_port];branch=[branch]",
        f"From:[$2];tag={TAG}", "To:[$1]", "Call-ID: [call_id]",
        f"CSeq: {number} {method}", "Max-Forwards: 70", CONTACT, *headers,
    ]  # fmt: skip
    retrans = "" if method == "ACK" else ' retrans="500"'
    text = message(f"{method} [$3] SIP/2.0", fields, body, content)
    return f"<send{retrans}>{text}</send>"


def _branch(method: str, number: int) -> str:
    return f"z9hG4bK-[pid]-[call_number]-{method}-{number}"


def asks(
    method: str, number: int, *headers: str, body: str = "", content: str = "application/sdp",
    is_first: bool = False,
) -> str:  # fmt: skip
    """A request of the calling SIPp: outside of a dialog, or within it."""
    target = "sip:[service]@[remote_ip]:[remote_port];transport=[transport]"
    to = f"To: <sip:[service]@[remote_ip]:[remote_port]>{'' if is_first else '[peer_tag_param]'}"
    line = f"{method} {target if is_first else '[next_url]'} SIP/2.0"
    fields = [
        f"Via: {_HERE};branch={_branch(method, number)}",
        f"From: <sip:+12125550155@example.com>;tag={TAG}", to, "Call-ID: [call_id]",
        f"CSeq: {number} {method}", "Max-Forwards: 70", CONTACT, *headers,
    ]  # fmt: skip
    if not is_first:
        fields.insert(1, "[routes]")
    retrans = "" if method == "ACK" else ' retrans="500"'
    return f"<send{retrans}>{message(line, fields, body, content)}</send>"


def asks_about_invite(method: str, number: int = 1) -> str:
    """The ACK of the calling SIPp for a refusal, or its CANCEL: the same branch, no route, and for
    the ACK the tag of the refusal."""
    tag = "[peer_tag_param]" if method == "ACK" else ""
    fields = [
        f"Via: {_HERE};branch={_branch('INVITE', number)}",
        f"From: <sip:+12125550155@example.com>;tag={TAG}",
        f"To: <sip:[service]@[remote_ip]:[remote_port]>{tag}", "Call-ID: [call_id]",
        f"CSeq: {number} {method}", "Max-Forwards: 70",
    ]  # fmt: skip
    target = "sip:[service]@[remote_ip]:[remote_port];transport=[transport]"
    return f"<send>{message(f'{method} {target} SIP/2.0', fields)}</send>"


ANSWERED = answer(200, body=audio(), is_repeated=True, is_to_invite=True)
BYE_TAKEN = recv("BYE") + answer(200, is_new=False) + '<timewait milliseconds="100"/>'


@dataclass(frozen=True)
class Said:
    """A message as SIPp wrote it down."""

    is_received: bool
    text: str

    @property
    def line(self) -> str:
        return self.text.partition("\r\n")[0].partition("\n")[0]

    @property
    def name(self) -> str:
        """`INVITE`, or `200 INVITE`."""
        words = self.line.split()
        if words[0] == "SIP/2.0":
            return f"{words[1]} {self.header('CSeq').split()[1]}"
        return words[0]

    def header(self, name: str) -> str:
        """The value of a header that must be there once at least."""
        return self.headers(name)[0]

    def headers(self, name: str) -> list[str]:
        """All values of a header."""
        pattern = rf"(?im)^{re.escape(name)}[ \t]*:[ \t]*(.*?)\r?$"
        return [str(each) for each in re.findall(pattern, self.text.partition("\n\n")[0])]

    @property
    def body(self) -> str:
        return self.text.replace("\r\n", "\n").partition("\n\n")[2]


_ENTRY = re.compile(
    r"-{20,} [^\n]*\n(?:UDP|TCP) message (received|sent)[^\n]*\n\n?(.*?)(?=\n-{20,} |\Z)", re.S
)


class Sipp:
    """A SIPp that runs a scenario."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, stem: Path) -> None:
        self._process = process
        self.port = port
        self._stem = stem

    @property
    def messages(self) -> list[Said]:
        """What it sent and received, in order."""
        file = self._stem.with_suffix(".messages")
        text = file.read_text(errors="replace") if file.exists() else ""
        return [
            Said(direction == "received", body.lstrip("\n").replace("\r\n", "\n"))
            for direction, body in _ENTRY.findall(text.replace("\r\n", "\n"))
        ]

    def got(self, name: str) -> list[Said]:
        """What it received under a name."""
        return [each for each in self.messages if each.is_received and each.name == name]

    def sent(self, name: str) -> list[Said]:
        """What it sent under a name."""
        return [each for each in self.messages if not each.is_received and each.name == name]

    async def until(self, name: str, count: int = 1) -> None:
        """Until it has received, or sent, so many of a name."""
        async with asyncio.timeout(GIVE_UP_S):
            # A file tells of no change.
            while [each.name for each in self.messages].count(name) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def finish(self, timeout_s: float = GIVE_UP_S + 5.0) -> None:
        """All calls went as the scenario says: SIPp says so itself."""
        code = await asyncio.wait_for(self._process.wait(), timeout_s)
        assert code == 0, f"SIPp ended with {code}\n{self.complaints()}"

    def complaints(self) -> str:
        """What it did not expect."""
        texts = [
            self._stem.with_suffix(suffix).read_text(errors="replace")[:4000]
            for suffix in (".errors", ".out")
            if self._stem.with_suffix(suffix).exists()
        ]
        saw = [f"{'<' if each.is_received else '>'} {each.text}" for each in self.messages[-30:]]
        return "\n".join([*texts, *saw])

    @property
    def statistics(self) -> dict[str, str]:
        """The last line of its statistics."""
        lines = self._stem.with_suffix(".csv").read_text().splitlines()
        return dict(zip(lines[0].split(";"), lines[-1].split(";"), strict=False))


@asynccontextmanager
async def sipp(
    folder: Path,
    *steps: str,
    target: int = 0,
    port: int = 0,
    contact_port: int = 0,
    calls: int = 1,
    transport: str = "u1",
    media_port: int = 0,
    options: Sequence[str] = (),
    is_traced: bool = True,
    give_up_s: float = GIVE_UP_S,
) -> AsyncIterator[Sipp]:
    """SIPp, listening, or calling `target`. `contact_port`: where it says that it is."""
    stem = folder / f"sipp-{next(_NUMBERS)}"
    # SIPp refuses a variable that is set and never used, unless it is told so.
    named = sorted(set(re.findall(r'assign_to="(\d)"', "".join(steps))))
    unused = f'<Reference variables="{",".join(named)}"/>' if named else ""
    scenario = f'<scenario name="interop">{"".join(steps)}{unused}</scenario>'
    file = stem.with_suffix(".xml")
    file.write_text('<?xml version="1.0" encoding="ISO-8859-1" ?>\n' + scenario)
    port = port or free_port()
    command = [
        find("sipp", "sip-tester"), *([f"{HOST}:{target}"] if target else []),
        "-sf", str(file), "-i", HOST, "-p", str(port), "-m", str(calls), "-nostdin",
        "-t", transport, "-key", "contact_port", str(contact_port or port),
        "-timeout", f"{give_up_s:.0f}s", "-timeout_error",
        "-trace_err", "-error_file", str(stem.with_suffix(".errors")), "-trace_stat",
        "-stf", str(stem.with_suffix(".csv")), "-fd", "1",
        "-mp", str(media_port or free_port()), *options,
    ]  # fmt: skip
    if is_traced:
        command += ["-trace_msg", "-message_file", str(stem.with_suffix(".messages"))]
    with stem.with_suffix(".out").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder
        )
    made = Sipp(process, port, stem)
    try:
        while not is_bound(port, "udp" if transport.startswith("u") else "tcp"):
            if target or process.returncode is not None:
                break
            await asyncio.sleep(0.01)
        yield made
    except BaseException:
        print(made.complaints())
        raise
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
