"""`/api/v1/secrets`: names and what they are for; values go in and never out."""

from aiohttp import web

from croncord.model import Value
from croncord.service.resealing import ResealReport
from croncord.service.secrets import SecretBody, SecretView
from croncord.service.views import View
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, json_answer, no_content

SECRETS = "/api/v1/secrets"
SECRET = SECRETS + "/{secret}"


class SecretList(View, frozen=True, kw_only=True):
    """All secrets, by name."""

    items: list[SecretView]


class DeleteSecretQuery(Value, frozen=True, kw_only=True):
    """How to delete."""

    force: bool = False
    """Also while jobs name it; their runs then fail to start."""


async def list_secrets(call: Call[NoQuery]) -> web.Response:
    """GET /secrets."""
    return json_answer({"items": await call.desk.secrets.list(call.who)})


async def put(call: Call[NoQuery]) -> web.Response:
    """PUT /secrets/{secret}."""
    name, fields = call.part("secret"), await call.fields()
    return json_answer(await call.desk.secrets.put(call.who, name, fields))


async def reseal(call: Call[NoQuery]) -> web.Response:
    """POST /secrets:reseal."""
    return json_answer(await call.desk.secrets.reseal(call.who))


async def delete(call: Call[DeleteSecretQuery]) -> web.Response:
    """DELETE /secrets/{secret}."""
    await call.desk.secrets.delete(call.who, call.part("secret"), force=call.query.force)
    return no_content()


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=SECRETS,
        handler=list_secrets,
        summary="List the secrets by name; values are never told",
        role="operator",
        answer=SecretList,
    ),
    Endpoint(
        method="PUT",
        path=SECRET,
        handler=put,
        summary="Set a secret, or replace it",
        role="admin",
        body=SecretBody,
        answer=SecretView,
    ),
    Endpoint(
        method="POST",
        path=SECRETS + ":reseal",
        handler=reseal,
        summary="Seal all secrets with the cluster secret that this node uses now",
        role="admin",
        answer=ResealReport,
    ),
    Endpoint(
        method="DELETE",
        path=SECRET,
        handler=delete,
        summary="Delete a secret that no job names",
        role="admin",
        query=DeleteSecretQuery,
        status=204,
    ),
)
