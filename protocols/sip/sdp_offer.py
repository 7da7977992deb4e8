"""Offer and answer for the one audio stream of a call (RFC 3264, RFC 4568).

A `Negotiation` belongs to one dialog. It keeps what both sides said last, since every further
offer has to show as many media in the same order, and since o= counts its changes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Final

from protocols.audio.g711 import Law
from protocols.errors import LocalProtocolError
from protocols.rtp.parameters import Direction, MediaParameters, SrtpKeys
from protocols.rtp.srtp import KEY_BYTES
from protocols.sip.sdp import Attribute, Description, Media, Origin, SdpError, build, parse
from protocols.sip.sdp_audio import (
    AVP,
    NAMES,
    SAVP,
    TELEPHONE_EVENT,
    AudioPolicy,
    AudioStream,
    MediaSecurity,
    NotAcceptableError,
    read_stream,
)
from protocols.sip.sdp_crypto import SUITES, Crypto
from protocols.sip.sdp_crypto import build as build_crypto

_USERNAME: Final = "-"
_EVENTS: Final = "0-15"


@dataclass(frozen=True, slots=True)
class _Offer:
    """What an answer has to fit to."""

    media: tuple[Media, ...]
    index: int
    laws: dict[int, Law]
    dtmf: int | None
    direction: Direction
    cryptos: tuple[Crypto, ...]
    has_rtcp_mux: bool


class Negotiation:
    """What one dialog said and heard. `address` and `port` are where we listen; `session_id` is the
    id in o=, one for all the dialog."""

    def __init__(
        self,
        policy: AudioPolicy,
        *,
        address: str,
        port: int,
        session_id: int,
        key_source: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.parameters: MediaParameters | None = None
        """What holds now; None before the first agreement and while there is no audio."""
        self._policy = policy
        self._address = address
        self._port = port
        self._session_id = session_id
        self._key_source = key_source
        self._version = 0
        self._said: Description | None = None
        self._media: tuple[Media, ...] = ()
        self._index = 0
        self._offer: _Offer | None = None
        self._dtmf = policy.dtmf_payload_type

    @property
    def is_offer_pending(self) -> bool:
        """Whether an offer of ours waits for its answer."""
        return self._offer is not None

    def fork(self) -> Negotiation:
        """A copy for another early dialog that answers the same offer."""
        return copy(self)

    # ------------------------------------------------------------------ our offers

    def offer(self, direction: Direction = Direction.SENDRECV) -> bytes:
        """An offer: the first, or for a re-INVITE (hold, resume, the same again)."""
        is_secure = self._is_secure()
        cryptos = self._own_cryptos() if is_secure else ()
        laws = {law.payload_type: law for law in self._policy.laws}
        dtmf = self._dtmf if self._policy.has_dtmf else None
        has_mux = self._policy.offers_rtcp_mux or bool(
            self.parameters and self.parameters.is_rtcp_mux
        )
        audio = self._audio(
            SAVP if is_secure else AVP, list(laws.items()), dtmf, direction, cryptos, has_mux
        )
        media = list(self._media) or [audio]
        media[self._index] = audio
        media = [each if n == self._index else _refused(each) for n, each in enumerate(media)]
        self._offer = _Offer(tuple(media), self._index, laws, dtmf, direction, cryptos, has_mux)
        return self._say(tuple(media))

    def take_answer(self, body: bytes) -> MediaParameters | None:
        """Agree on what the peer answered; None when it refused audio. The same offer may be
        answered again, as 183 and 200 do. Raises LocalProtocolError without an offer, SdpError,
        NotAcceptableError, MediaAddressError; nothing changed then."""
        offer = self._offer
        if offer is None:
            raise LocalProtocolError("an answer without an offer")
        description = parse(body)
        if len(description.media) != len(offer.media):
            raise SdpError("the answer has not as many media as the offer")
        if description.media[offer.index].port == 0:
            self._media, self.parameters = offer.media, None
            return None
        stream = read_stream(description, offer.index, self._policy)
        if (stream.media.protocol == SAVP) is not bool(offer.cryptos):
            raise NotAcceptableError("the answer has another profile than the offer")
        keys = self._answered_keys(offer, stream)
        direction = _common_direction(offer.direction, stream.direction)
        is_mux = stream.is_rtcp_mux and offer.has_rtcp_mux
        law = next(each for each in stream.laws.values() if each in offer.laws.values())
        self._media = offer.media
        self.parameters = _agreed(stream, law, offer.laws, offer.dtmf, direction, is_mux, keys)
        return self.parameters

    def confirm(self) -> None:
        """The answer is final (a 2xx or its ACK): no further one is waited for."""
        self._offer = None

    def withdraw(self) -> None:
        """Our offer was rejected: what held before holds."""
        self._offer = None

    # ------------------------------------------------------------------ the peer's offers

    def answer(
        self, body: bytes, direction: Direction = Direction.SENDRECV
    ) -> tuple[bytes, MediaParameters | None]:
        """Answer an offer with what we are willing to; None when it takes its audio away. Raises
        SdpError, NotAcceptableError, MediaAddressError; nothing changed then and the offer is to be
        rejected."""
        if self._offer is not None:
            raise LocalProtocolError("an offer of ours is not answered yet")
        description = parse(body)
        index, stream = self._choose(description)
        media = [_refused(each) for each in description.media]
        if stream is None:
            self._media, self._index, self.parameters = tuple(media), index, None
            return self._say(tuple(media)), None
        laws = self._common(stream)
        dtmf = stream.dtmf[0] if stream.dtmf else None
        if dtmf is not None:
            self._dtmf = dtmf
        agreed = _common_direction(direction, stream.direction)
        chosen, keys = self._choose_keys(stream)
        is_mux = stream.is_rtcp_mux
        media[index] = self._audio(stream.media.protocol, laws, dtmf, agreed, chosen, is_mux)
        self.parameters = _agreed(stream, laws[0][1], dict(laws), dtmf, agreed, is_mux, keys)
        self._media, self._index = tuple(media), index
        return self._say(tuple(media)), self.parameters

    def _choose(self, description: Description) -> tuple[int, AudioStream | None]:
        """The first audio of the offer that fits, or the error of the first; of the first audio
        None when all has port 0."""
        error: NotAcceptableError | None = None
        audio = [n for n, each in enumerate(description.media) if each.kind == "audio"]
        for index in audio:
            if description.media[index].port == 0:
                continue
            try:
                stream = read_stream(description, index, self._policy)
                if stream.is_secure and not stream.cryptos:
                    raise NotAcceptableError("no key and suite that we can use")
                return index, stream
            except NotAcceptableError as refused:
                error = error or refused
        if error is not None:
            raise error
        if not audio or not self._media:
            raise NotAcceptableError("the offer has no audio")
        return audio[0], None

    def _common(self, stream: AudioStream) -> list[tuple[int, Law]]:
        """The peer's payload types that we take, one a codec, the one to use first."""
        order = list(dict.fromkeys(stream.laws.values()))
        if self._policy.prefers_own_order:
            order.sort(key=self._policy.laws.index)
        return [(_number_of(stream, law), law) for law in order]

    # ------------------------------------------------------------------ keys

    def _is_secure(self) -> bool:
        if self.parameters is not None:
            return self.parameters.keys is not None
        return self._policy.security is not MediaSecurity.PLAIN

    def _own_cryptos(self) -> tuple[Crypto, ...]:
        """What we offer: every suite at first, later the one in use."""
        keys = self.parameters.keys if self.parameters else None
        suites = (keys.suite,) if keys is not None else SUITES
        return tuple(Crypto(n, each, self._suite_key(each)) for n, each in enumerate(suites, 1))

    def _suite_key(self, suite: str) -> bytes:
        """The key in use: it never changes within a dialog, so that no packet is lost at a
        re-INVITE. Before there is one, each suite that is offered gets its own."""
        keys = self.parameters.keys if self.parameters else None
        if keys is not None and keys.suite == suite:
            return keys.send
        return self._key_source(KEY_BYTES)

    def _answered_keys(self, offer: _Offer, stream: AudioStream) -> SrtpKeys | None:
        if not offer.cryptos:
            return None
        for theirs in stream.cryptos:
            for ours in offer.cryptos:
                if theirs.tag == ours.tag and theirs.suite == ours.suite:
                    return SrtpKeys(ours.suite, send=ours.key, receive=theirs.key)
        raise NotAcceptableError("the answer chose no suite of the offer")

    def _choose_keys(self, stream: AudioStream) -> tuple[tuple[Crypto, ...], SrtpKeys | None]:
        if not stream.is_secure:
            return (), None
        theirs = stream.cryptos[0]
        ours = Crypto(theirs.tag, theirs.suite, self._suite_key(theirs.suite))
        return (ours,), SrtpKeys(theirs.suite, send=ours.key, receive=theirs.key)

    # ------------------------------------------------------------------ writing

    def _audio(
        self, protocol: str, laws: list[tuple[int, Law]], dtmf: int | None,
        direction: Direction, cryptos: tuple[Crypto, ...], has_rtcp_mux: bool,
    ) -> Media:  # fmt: skip
        """Our m= line; the port of RTCP is the next one and needs no word."""
        attributes = [Attribute("rtpmap", f"{number} {NAMES[law]}/8000") for number, law in laws]
        formats = [str(number) for number, _ in laws]
        if dtmf is not None:
            formats.append(str(dtmf))
            attributes.append(Attribute("rtpmap", f"{dtmf} {TELEPHONE_EVENT}/8000"))
            attributes.append(Attribute("fmtp", f"{dtmf} {_EVENTS}"))
        attributes += [Attribute("crypto", build_crypto(each)) for each in cryptos]
        attributes.append(Attribute("ptime", str(self._policy.ptime_ms)))
        if has_rtcp_mux:
            attributes.append(Attribute("rtcp-mux"))
        attributes.append(Attribute(direction.value))
        return Media("audio", self._port, protocol, tuple(formats), None, tuple(attributes))

    def _say(self, media: tuple[Media, ...]) -> bytes:
        """Write it, with the next version if anything changed."""
        origin = Origin(_USERNAME, self._session_id, self._version, self._address)
        description = Description(origin, self._address, media)
        if self._said is not None and description != self._said:
            self._version += 1
            origin = replace(origin, version=self._version)
            description = replace(description, origin=origin)
        self._said = description
        return build(description)


def _refused(media: Media) -> Media:
    """The same m= line with port 0."""
    return Media(media.kind, 0, media.protocol, media.formats[:1])


def _number_of(stream: AudioStream, law: Law) -> int:
    """The peer's payload type of a codec."""
    return next(number for number, each in stream.laws.items() if each is law)


def _common_direction(ours: Direction, theirs: Direction) -> Direction:
    """What is left when each side has said what it is willing to."""
    return Direction.of(
        ours.is_sending and theirs.is_receiving, ours.is_receiving and theirs.is_sending
    )


def _agreed(
    stream: AudioStream, law: Law, ours: dict[int, Law], dtmf: int | None, direction: Direction,
    is_rtcp_mux: bool, keys: SrtpKeys | None,
) -> MediaParameters:  # fmt: skip
    """What both take. Packets with the peer's own number for a codec are taken as well: not every
    telephone uses ours."""
    taken = {number: each for number, each in stream.laws.items() if number != dtmf} | ours
    events = {dtmf, *stream.dtmf} if dtmf is not None else set()
    return MediaParameters(
        remote=stream.remote,
        law=law,
        payload_type=_number_of(stream, law),
        receive_types=taken,
        rtcp=None if is_rtcp_mux else stream.rtcp,
        dtmf_payload_type=stream.dtmf[0] if stream.dtmf and dtmf is not None else None,
        dtmf_receive_types=frozenset(n for n in events if n is not None and n not in taken),
        ptime_ms=stream.ptime_ms,
        direction=direction,
        is_rtcp_mux=is_rtcp_mux,
        keys=keys,
    )
