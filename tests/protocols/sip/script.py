"""A peer that does exactly what its test says, with messages written by hand."""

from __future__ import annotations

from protocols.sip.flow import Transport
from protocols.sip.message import Request
from tests.protocols.sip.network import Network, Packet


class Script:
    """Receives packets, answers nothing by itself."""

    def __init__(self, net: Network, host: str = "p.example") -> None:
        self.net = net
        self.host = host
        self.packets: list[Packet] = []
        self._branches = 0
        net.peers[host] = self.packets.append

    def names(self) -> list[str]:
        return [packet.name for packet in self.packets]

    def last(self, name: str) -> Packet:
        return [packet for packet in self.packets if packet.name == name][-1]

    def request(self, name: str) -> Request:
        message = self.last(name).message
        assert isinstance(message, Request)
        return message

    def reply(
        self,
        name: str,
        code: int,
        *lines: str,
        tag: str = "peer",
        body: str = "",
        contact: str | None = None,
    ) -> None:
        """Answer the last request of a name."""
        packet = self.last(name)
        request = self.request(name)
        text = f"SIP/2.0 {code} Said\r\n"
        for header in ("Via", "From", "Call-ID", "CSeq"):
            for value in request.headers.get_all(header):
                text += f"{header}: {value}\r\n"
        to = request.headers.get("To") or ""
        text += f"To: {to}" + (f";tag={tag}" if tag and ";tag=" not in to else "") + "\r\n"
        contact = contact or f"<sip:peer@{self.host}>"
        text += f"Contact: {contact}\r\n" if code > 100 else ""
        self.send(text, lines, body, packet.source)

    def ask(
        self,
        method: str,
        target: str,
        *lines: str,
        cseq: int = 1,
        to_tag: str = "",
        from_tag: str = "peer",
        call_id: str = "script",
        body: str = "",
        branch: str = "",
        uri: str = "",
    ) -> None:
        """Send a request."""
        self._branches += 1
        branch = branch or f"z9hG4bKs{self._branches}"
        to = f";tag={to_tag}" if to_tag else ""
        text = (
            f"{method} {uri or f'sip:gateway@{target}'} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.host};branch={branch}\r\n"
            f"From: <sip:peer@{self.host}>;tag={from_tag}\r\nTo: <sip:gateway@{target}>{to}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:peer@{self.host}>\r\n"
        )
        self.send(text, lines, body, target)

    def send(self, text: str, lines: tuple[str, ...], body: str, target: str) -> None:
        for line in lines:
            text += f"{line}\r\n"
        if body:
            text += "Content-Type: application/sdp\r\n"
        text += f"Content-Length: {len(body)}\r\n\r\n{body}"
        self.net.send(text.encode(), self.host, target, Transport.UDP)
        self.net.run(0.05)
