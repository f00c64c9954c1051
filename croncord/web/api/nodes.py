"""`/api/v1/nodes`."""

from aiohttp import web

from croncord.drills import Freeze
from croncord.model import Value
from croncord.service.cluster import NodeView, WantedLogLevel
from croncord.service.views import View
from croncord.web.api.answers import NodeList
from croncord.web.api.endpoint import (
    Call,
    Endpoint,
    NoQuery,
    ReadQuery,
    json_answer,
    no_content,
)

NODES = "/api/v1/nodes"
NODE = NODES + "/{name}"


async def list_nodes(call: Call[ReadQuery]) -> web.Response:
    """GET /nodes."""
    return json_answer({"items": await call.desk.cluster.nodes(stale=bool(call.query.stale))})


async def get(call: Call[ReadQuery]) -> web.Response:
    """GET /nodes/{name}."""
    stale = bool(call.query.stale)
    return json_answer(await call.desk.cluster.node(call.part("name"), stale=stale))


async def drain(call: Call[NoQuery]) -> web.Response:
    """POST /nodes/{name}/drain."""
    return json_answer(await call.desk.cluster.drain(call.who, call.part("name")))


async def undrain(call: Call[NoQuery]) -> web.Response:
    """POST /nodes/{name}/undrain."""
    return json_answer(await call.desk.cluster.undrain(call.who, call.part("name")))


async def set_log_level(call: Call[NoQuery]) -> web.Response:
    """PUT /nodes/{name}/log-level."""
    wanted = await call.body(WantedLogLevel)
    node = await call.desk.cluster.set_log_level(call.who, call.part("name"), wanted)
    return json_answer(node)


class Frozen(View, frozen=True, kw_only=True):
    """What will stand still half a second from now."""

    node: str
    seconds: int


async def freeze(call: Call[NoQuery]) -> web.Response:
    """POST /nodes/{name}/freeze."""
    fields = await call.fields(optional=True)
    return json_answer(
        await call.desk.drills.freeze(call.who, call.part("name"), fields), status=202
    )


class RemoveQuery(Value, frozen=True, kw_only=True):
    """How a machine is removed."""

    force: bool = False
    """Also when it has runs in hand: they are lost, or launched elsewhere as their jobs say."""


async def remove(call: Call[RemoveQuery]) -> web.Response:
    """DELETE /nodes/{name}."""
    await call.desk.membership.remove(call.who, call.part("name"), force=call.query.force)
    return no_content()


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=NODES,
        handler=list_nodes,
        summary="List the machines",
        query=ReadQuery,
        answer=NodeList,
    ),
    Endpoint(
        method="GET",
        path=NODE,
        handler=get,
        summary="Show a machine",
        query=ReadQuery,
        answer=NodeView,
    ),
    Endpoint(
        method="DELETE",
        path=NODE,
        handler=remove,
        summary="Take a machine out of the cluster for good; answers when it counts no more",
        query=RemoveQuery,
        role="admin",
        status=204,
    ),
    Endpoint(
        method="POST",
        path=NODE + "/drain",
        handler=drain,
        summary="Give a machine no new runs",
        role="admin",
        answer=NodeView,
    ),
    Endpoint(
        method="POST",
        path=NODE + "/undrain",
        handler=undrain,
        summary="Give a drained machine runs again",
        role="admin",
        answer=NodeView,
    ),
    Endpoint(
        method="PUT",
        path=NODE + "/log-level",
        handler=set_log_level,
        summary="Have a machine say more or less about itself, for a while",
        role="admin",
        body=WantedLogLevel,
        answer=NodeView,
    ),
    Endpoint(
        method="POST",
        path=NODE + "/freeze",
        handler=freeze,
        summary="Drill: have a machine's daemon stand still for some seconds; it comes back by itself",
        role="admin",
        body=Freeze,
        answer=Frozen,
        status=202,
    ),
)
