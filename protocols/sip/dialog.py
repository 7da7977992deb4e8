"""Dialogs (RFC 3261 section 12)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING

from protocols.sip.errors import SipError
from protocols.sip.fields import MAX_CSEQ, Body, NameAddr, clean, parse_addresses
from protocols.sip.flow import Hop, hop_of
from protocols.sip.message import Request, Response
from protocols.sip.uri import Uri

if TYPE_CHECKING:
    from protocols.sip.core import Core


class Offer(Enum):
    """Where the exchange of offer and answer stands (RFC 3264)."""

    NONE = "neither side waits for an answer"
    LOCAL = "our offer waits for an answer"
    REMOTE = "the peer's offer waits for our answer"


class Dialog:
    """One dialog: who talks with whom, over which route, and the numbers of the requests."""

    __slots__ = (
        "_core",
        "_hop",
        "call_id",
        "is_negotiated",
        "local",
        "local_seq",
        "offer",
        "remote",
        "remote_seq",
        "routes",
        "target",
    )

    def __init__(
        self,
        core: Core,
        *,
        call_id: str,
        local: NameAddr,
        remote: NameAddr,
        local_seq: int,
        remote_seq: int | None,
        target: Uri,
        routes: list[NameAddr],
        hop: Hop,
    ) -> None:
        self._core = core
        self._hop = hop
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.local_seq = local_seq
        self.remote_seq = remote_seq
        self.target = target
        """Where the peer wants requests: its last Contact."""
        self.routes = routes
        self.offer = Offer.NONE
        self.is_negotiated = False
        """Whether a first offer was answered."""

    @classmethod
    def as_uac(cls, core: Core, request: Request, response: Response, hop: Hop) -> Dialog:
        """From a response with a tag to a request of ours (section 12.1.2). What cannot be read
        in it is left out: the peer has the dialog already, and has to be told of its end."""
        return cls(
            core,
            call_id=request.call_id,
            local=request.from_,
            remote=_readable(response.to),
            local_seq=request.cseq.number,
            remote_seq=None,
            target=_target(response) or request.uri,
            routes=_readable_routes(response),
            hop=hop,
        )

    @classmethod
    def as_uas(cls, core: Core, request: Request, tag: str, source: Hop) -> Dialog:
        """From a request that we answer (section 12.1.1). Raises SipError for a Contact or
        Record-Route that cannot be read, and without a Contact."""
        target = _target(request)
        if target is None:
            raise SipError("the request has no single SIP URI in Contact")
        return cls(
            core,
            call_id=request.call_id,
            local=_readable(request.to).with_tag(tag),
            remote=_readable(request.from_),
            local_seq=core.rng.below(2**16) + 1,
            remote_seq=request.cseq.number,
            target=target,
            routes=_routes(request),
            hop=source,
        )

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.call_id, self.local.tag, self.remote.tag)

    def next_seq(self) -> int:
        if self.local_seq >= MAX_CSEQ:
            self.local_seq = 0  # a dialog of two thousand million requests: the peer will refuse
        self.local_seq += 1
        return self.local_seq

    def request(
        self, method: str, *, cseq: int | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> tuple[Request, Hop]:
        """A request in this dialog and where it goes (section 12.2.1.1). ACK takes the `cseq` of
        its INVITE. Raises LocalProtocolError."""
        uri, routes = self.target, list(self.routes)
        if routes and not routes[0].uri.is_loose_router:
            # A strict router: it takes the Request-URI's place, the target ends the route.
            uri = routes.pop(0).uri
            routes.append(NameAddr(self.target))
        hop = self._next_hop(routes[0].uri if routes and uri is self.target else uri)
        request = self._core.request(
            method,
            uri,
            hop,
            from_=self.local,
            to=self.remote,
            call_id=self.call_id,
            cseq=self.next_seq() if cseq is None else cseq,
            routes=[str(route) for route in routes],
            headers=headers,
        )
        return request, hop

    def acknowledge(self, invite: Request, answer: Body | None) -> tuple[bytes, Hop]:
        """The ACK of a 2xx to an INVITE of ours, with the credentials that the INVITE had: an ACK
        cannot be challenged (sections 13.2.2.4 and 22.1). Raises LocalProtocolError."""
        credentials = [
            item for item in invite.headers if item[0] in ("Authorization", "Proxy-Authorization")
        ]
        request, hop = self.request("ACK", cseq=invite.cseq.number, headers=credentials)
        request.set_body(answer)
        return request.encode(), hop

    def accepts(self, request: Request) -> bool:
        """Whether a request of the peer is in order, and note its number (section 12.2.2)."""
        number = request.cseq.number
        if self.remote_seq is not None and number <= self.remote_seq:
            return False
        self.remote_seq = number
        return True

    def refresh(self, message: Request | Response) -> None:
        """Take the target that a target refresh request or its 2xx names (section 12.2). One that
        cannot be read changes nothing."""
        self.target = _target(message) or self.target

    def confirm(self, response: Response) -> None:
        """The 2xx of an early dialog decides about route and target (section 13.2.2.4)."""
        self.routes = _readable_routes(response)
        self.refresh(response)

    def _next_hop(self, uri: Uri) -> Hop:
        if self._core.config.is_pinned:
            return self._hop
        try:
            hop = hop_of(uri, self._hop.transport)
        except SipError:  # a transport that we have not: better tried here than never sent
            return self._hop
        same = (hop.transport, hop.host, hop.port or hop.transport.default_port)
        known = self._hop
        if same == (known.transport, known.host, known.port or known.transport.default_port):
            return known  # with its connection
        return hop


def _readable(address: NameAddr) -> NameAddr:
    """Without characters in the name that we would not send."""
    return NameAddr(address.uri, clean(address.name), {"tag": address.tag} if address.tag else {})


def _target(message: Request | Response) -> Uri | None:
    try:
        contacts = message.contacts
    except SipError:
        return None
    return contacts[0].uri if len(contacts) == 1 and contacts[0].uri.is_sip else None


def _routes(message: Request | Response) -> list[NameAddr]:
    routes = parse_addresses(message.headers.get_all("Record-Route"))
    if not all(route.uri.is_sip for route in routes):
        raise SipError("a recorded route is no SIP URI")
    return routes


def _readable_routes(response: Response) -> list[NameAddr]:
    try:
        return _routes(response)[::-1]
    except SipError:
        return []
