"""The corpus of receipts in data/receipts, as PDUs that arrived."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from protocols.smpp import Message, Tag, commands, decode, encode
from protocols.sms.receipts import Receipt, parse

CORPUS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[2] / "data" / "receipts" / "corpus.toml").read_text("utf-8")
)["receipt"]


def read(entry: dict[str, Any], command: int) -> Receipt | None:
    """Send an entry of the corpus as a PDU and parse what arrives; a data_sm has its text in
    message_payload."""
    body = bytes.fromhex(entry.get("prefix", "")) + entry["text"].encode(
        entry.get("charset", "latin-1")
    )
    tlvs = [(tag, bytes.fromhex(value)) for tag, value in entry.get("tlvs", [])]
    if command == commands.DATA_SM and body:
        tlvs.append((Tag.MESSAGE_PAYLOAD, body))
        body = b""
    sent = Message(command, esm_class=entry.get("esm_class", 4), payload=body, tlvs=tlvs)
    received = decode(encode(sent))
    assert isinstance(received, Message)
    return parse(received.payload, received.esm_class, received.tlvs)
