"""Reading the settings again, for operators."""

from __future__ import annotations

from aiohttp import web

from config.changes import Changes
from config.faults import Fault as SettingsFault
from config.faults import SettingsError
from gateway.api.auth import Caller
from gateway.api.context import ApiContext
from gateway.api.endpoints import Endpoint, json_answer
from gateway.errors import Fault, Refusal


async def reload(context: ApiContext, _caller: Caller, _request: web.Request) -> web.Response:
    """Take over what changed in the settings; with a fault everything stays as it is."""
    try:
        return json_answer(await context.reload())
    except SettingsError as error:
        faults = tuple(
            Fault(fault.where, fault.problem, _hint(fault))
            for fault in error.faults
        )
        detail = "The settings have faults: nothing was changed."
        raise Refusal("invalid-request", detail, faults) from None


def _hint(fault: SettingsFault) -> str:
    place = "" if fault.line is None else f"line {fault.line}"
    return "; ".join(part for part in (place, fault.hint) if part)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/reload",
        reload,
        "Read the settings again and take over what changed",
        answer=Changes,
        is_admin=True,
        problems=("invalid-request", "not-found", "not-available", "unavailable"),
    ),
)
