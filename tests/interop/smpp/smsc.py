"""node-smpp as the carrier at the far end of our links, and what it brings from phones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.interop.smpp.node import UDH_INDICATOR, Node, Session, Told, text_of

RECEIPT = 4
"""esm_class of a receipt (SMPP v3.4 section 5.2.12)."""


@dataclass(frozen=True)
class Smsc:
    """The carrier, and its ports."""

    node: Node
    port: int
    tls_port: int

    def session(self, link: str, kind: str = "transceiver") -> Session:
        """The session by which the gateway's link bound to it first."""
        return self.node.bound(link, kind)

    @contextmanager
    def arriving(self, number: str, count: int = 1) -> Iterator[list[Told]]:
        """What comes from a shop's number because of the block: filled when that has come."""
        after = len(self.node.events)
        found: list[Told] = []
        yield found
        pdus = self.node.events.until(
            lambda each: (
                each.get("event") == "pdu"
                and each["pdu"]["command"] == "submit_sm"
                and each["pdu"]["source_addr"] == number.removeprefix("+")
            ),
            f"{count} submit_sm from {number[-4:]}",
            after=after,
            count=count,
        )
        found += [each["pdu"] for each in pdus]

    def report(self, pdu: Told, stat: str, state: int, error: int = 0, link: str = "node") -> None:
        """Send the receipt of a message that came."""
        session = self.session(link)
        told = session.send(
            "deliver_sm", **receipt(self.node.taken(session, pdu), stat, state, error)
        )
        assert told["command_status"] == 0, told

    def text(self, number: str, text: str, link: str = "node") -> None:
        """A phone sends a shop's number a text, in as many parts as it takes."""
        for part in parts_for(text):
            told = self.session(link).send("deliver_sm", **from_phone(number), **part)
            assert told["command_status"] == 0, told

    def texts(self, pdus: list[Told]) -> list[str]:
        """As it decoded them."""
        return [text_of(pdu) for pdu in pdus]


def parts_for(text: str) -> list[dict[str, Any]]:
    """Fields of the messages that bring a text in UCS-2: whole, or in message_payload."""
    if len(text.encode("utf-16-be")) <= 140:
        return [{"data_coding": 8, "short_message": text}]
    return [{"data_coding": 8, "message_payload": text}]


def from_phone(number: str) -> dict[str, Any]:
    """Addresses of a text from a phone to a number of a shop."""
    return {
        "source_addr_ton": 1, "source_addr_npi": 1, "source_addr": "12125550100",
        "dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": number.removeprefix("+"),
    }  # fmt: skip


def in_spanish(text: str) -> dict[str, Any]:
    """Fields of a text that node-smpp encodes by Spanish's single shift table (3GPP TS 23.038)."""
    header = {"hex": bytes((3, 0x24, 1, 2)).hex()}
    return {"esm_class": UDH_INDICATOR, "short_message": {"udh": header, "message": text}}


def receipt(message_id: str, stat: str, state: int, error: int = 0) -> dict[str, Any]:
    """Fields of a receipt: esm_class, the text of Appendix B, and parameters."""
    text = (
        f"id:{message_id} sub:001 dlvrd:{int(state == 2):03} submit date:3001010900 "
        f"done date:3001010901 stat:{stat} err:{error:03} text:Your gown"
    )
    return {
        "esm_class": RECEIPT,
        "data_coding": 0,
        "short_message": text,
        "receipted_message_id": message_id,
        "message_state": state,
    }
