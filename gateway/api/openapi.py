"""/openapi.json, made from the route table: whoever adds an endpoint adds it there as well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from gateway import __version__
from gateway.api.context import ApiContext
from gateway.api.endpoints import Endpoint, OpenEndpoint
from gateway.api.problems import TITLES
from gateway.errors import STATUS_CODES

_REF = "#/components/schemas/{name}"


class FieldError(msgspec.Struct, kw_only=True):
    """One faulty field: where, what is wrong, what to do."""

    field: str
    problem: str
    hint: str = ""


class Problem(msgspec.Struct, kw_only=True):
    """A problem document (RFC 9457).

    `type` is relative to the gateway; docs/api.md explains each.
    """

    type: str
    title: str
    status: int
    detail: str
    hint: str = ""
    errors: list[FieldError] = []


def endpoints(
    keyed: Sequence[Endpoint], opened: Sequence[OpenEndpoint]
) -> tuple[OpenEndpoint, ...]:
    """The endpoints that describe the API, for the route table of the API itself."""
    encoded: list[bytes] = []

    async def show(_context: ApiContext, _request: web.Request) -> web.Response:
        if not encoded:
            encoded.append(msgspec.json.encode(describe(keyed, (*opened, *described))))
        return web.Response(body=encoded[0], content_type="application/json")

    described = (OpenEndpoint("/openapi.json", show, "This description of the API", is_ops=False),)
    return described


def describe(keyed: Sequence[Endpoint], opened: Sequence[OpenEndpoint]) -> dict[str, Any]:
    """The API as an OpenAPI 3.1 document."""
    types = [Problem, *(t for e in keyed for t in (e.body, e.query, e.answer) if t is not None)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in keyed:
        operation = _operation(endpoint, by_type, components)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    for each in opened:
        content: dict[str, Any] = {each.content_type: {}}
        answers = {"200": {"description": "Done", "content": content}}
        answers |= _refusals(each.problems, by_type)
        operation = {"summary": each.summary, "security": [], "responses": answers}
        if parameters := _path_parameters(each.path):
            operation["parameters"] = parameters
        paths.setdefault(each.path, {})["get"] = operation
    key = {"type": "http", "scheme": "bearer", "description": "A key: `gateway key create`"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "SMS Voice gateway", "version": __version__},
        "security": [{"key": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": key}},
    }


def _operation(
    endpoint: Endpoint, schemas: dict[Any, Any], components: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": endpoint.summary, "responses": {}}
    parameters = _parameters(endpoint, components)
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas[endpoint.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    answer: dict[str, Any] = {"description": "Done"}
    if endpoint.answer is not None:
        answer["content"] = {"application/json": {"schema": schemas[endpoint.answer]}}
    operation["responses"][str(endpoint.status)] = answer
    operation["responses"] |= _refusals(("unauthorized", *endpoint.problems), schemas)
    return operation


def _refusals(problems: Sequence[str], schemas: dict[Any, Any]) -> dict[str, Any]:
    """What can go wrong, by HTTP status."""
    found: dict[int, list[str]] = {}
    for type_ in problems:
        found.setdefault(STATUS_CODES[type_], []).append(f"{type_}: {TITLES[type_]}")
    content = {"application/problem+json": {"schema": schemas[Problem]}}
    return {
        str(status): {"description": "; ".join(titles), "content": content}
        for status, titles in found.items()
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    """What stands in braces in a path."""
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _parameters(endpoint: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    found = _path_parameters(endpoint.path)
    if endpoint.query is not None:
        properties = components[endpoint.query.__name__]["properties"]
        found += [{"name": n, "in": "query", "schema": s} for n, s in properties.items()]
    if endpoint.method == "POST" and "key-reused" in endpoint.problems:
        schema = {"type": "string", "maxLength": 128}
        found.append({"name": "Idempotency-Key", "in": "header", "schema": schema})
    return found
