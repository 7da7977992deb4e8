"""Receipts whose addresses a carrier writes in its own way, at a whole node."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.smpp import encode_submit_body
from tests.dispatch.test_two_carriers import NUMBER, installation
from tests.postgres import ConnectParameters

PHONE = "+12125550111"
"""A phone for which the simulated carrier sends no receipt by itself."""
RECEIPT = "id:{} sub:001 dlvrd:001 submit date:2601011200 done date:2601011201 stat:DELIVRD err:000"
IS_RECEIPT = 0x04
"""SMPP v3.4 section 5.2.12: esm_class of a delivery receipt."""


@pytest.mark.parametrize(
    ("source", "dest"),
    [
        (PHONE, NUMBER),
        (NUMBER, PHONE),
        (NUMBER.removeprefix("+"), PHONE.removeprefix("+")),
    ],
    ids=["from the phone", "as in the text", "as in the text, without plus sign"],
)
async def test_a_receipt_settles_its_text_whichever_way_its_addresses_stand(
    database: ConnectParameters, tmp_path: Path, source: str, dest: str
) -> None:
    """From the phone to the shop's number, as the standard has it, or as they were in the text."""
    async with installation(database, tmp_path) as one:
        posted = {"to": PHONE, "text": "Your gown is ready."}
        id_ = str((await one.call("POST", "/v1/messages", posted))["id"])
        shown = await one.becomes(id_, "submitted")
        text = RECEIPT.format(shown["parts"][0]["carrier_id"])
        body = encode_submit_body(source, dest, text.encode(), esm_class=IS_RECEIPT)
        assert await one.first.deliver_body(body) == 0
        await one.becomes(id_, "delivered")
