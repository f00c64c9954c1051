"""`/api/v1/openapi.json`: this interface, made from the endpoints' table and our own types."""

import re
import typing
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from croncord import __version__
from croncord.fields import field_types
from croncord.job_schema import one_or_many
from croncord.model import JobSpec
from croncord.service.views import JobFacts, Json
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, json_answer
from croncord.web.errors import Problem

_REF = "#/components/schemas/{name}"


def openapi_endpoint(others: Sequence[Endpoint]) -> Endpoint:
    """Return the endpoint that publishes the others and itself."""

    async def openapi(call: Call[NoQuery]) -> web.Response:  # noqa: ARG001  # as all handlers
        return json_answer(published())

    @cache
    def published() -> Json:
        return describe((*others, endpoint))

    endpoint = Endpoint(
        method="GET",
        path="/api/v1/openapi.json",
        handler=openapi,
        summary="This interface",
        answer=dict[str, Any],
    )
    return endpoint


def describe(endpoints: Sequence[Endpoint]) -> Json:
    """Return the OpenAPI document."""
    types = _types(endpoints)
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    components = dict(components)
    fields = components["JobSpec"]["properties"]
    fields["schedule"] = one_or_many(fields["schedule"])
    spec, facts = components["JobSpec"], components.pop("JobFacts")
    required = [*spec["required"], *facts["required"]]
    components["JobAnswer"] = {
        "title": "Job",
        "description": "Lists leave out the script.",
        "type": "object",
        "properties": spec["properties"] | facts["properties"],
        "required": [name for name in required if name != "script"],
    }
    paths: Json = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "CronCord", "version": __version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types(endpoints: Iterable[Endpoint]) -> list[Any]:
    found: list[Any] = [Problem, JobSpec, JobFacts]
    for endpoint in endpoints:
        for kind in (endpoint.body, endpoint.answer):
            if kind not in (None, bytes) and kind not in found:
                found.append(kind)
    return found


def _operation(endpoint: Endpoint) -> Json:
    operation: Json = {
        "summary": endpoint.summary,
        "operationId": _operation_id(endpoint),
        "parameters": [*_path_parameters(endpoint.path), *_query_parameters(endpoint)],
        "responses": {
            str(endpoint.status): _answer(endpoint),
            **({str(endpoint.other_status): _answer(endpoint)} if endpoint.other_status else {}),
            "default": {
                "description": "Why it was not done",
                "content": {"application/problem+json": {"schema": _schema(Problem)}},
            },
        },
    }
    if endpoint.role is None:
        operation["security"] = []
    else:
        operation["description"] = f"Needs the role {endpoint.role}."
    if endpoint.body is bytes:
        operation["requestBody"] = {"content": {"application/octet-stream": {}}, "required": True}
    elif endpoint.body is not None:
        media = "application/merge-patch+json" if endpoint.method == "PATCH" else "application/json"
        operation["requestBody"] = {"content": {media: {"schema": _schema(endpoint.body)}}}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"[a-z]+", endpoint.path.removeprefix("/api/v1"))
    return "_".join((endpoint.method.lower(), *words))


def _path_parameters(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[Json]:
    required = {f.name for f in msgspec.structs.fields(endpoint.query) if f.required}
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": msgspec.json.schema(annotation),
        }
        for name, annotation in field_types(endpoint.query).items()
    ]


def _answer(endpoint: Endpoint) -> Json:
    if endpoint.answer is None:
        return {"description": "Done"}
    if endpoint.answer is bytes:
        return {"description": "Bytes", "content": {"*/*": {}}}
    return {
        "description": "Done",
        "content": {
            "application/json": {"schema": _schema(endpoint.answer)},
            **{media: {} for media in endpoint.also},
        },
    }


def _schema(kind: Any) -> Json:
    if typing.get_origin(kind) is list:
        return {"type": "array", "items": _schema(typing.get_args(kind)[0])}
    if typing.get_origin(kind) is dict:
        return {"type": "object"}
    return {"$ref": _REF.format(name=kind.__name__)}
