"""`/api/v1/cluster`."""

from aiohttp import web

from croncord.model import Value
from croncord.service.backup import BackupOrder
from croncord.service.cluster import ClusterView
from croncord.service.membership import NewJoinToken
from croncord.web.api.answers import JoinTokenAnswer, Leader, Paused
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, ReadQuery, json_answer
from croncord.web.stream import send_bytes

CLUSTER = "/api/v1/cluster"


async def show(call: Call[ReadQuery]) -> web.Response:
    """GET /cluster."""
    return json_answer(await call.desk.cluster.show(call.who, stale=bool(call.query.stale)))


async def pause(call: Call[NoQuery]) -> web.Response:
    """POST /cluster/pause."""
    return json_answer(await call.desk.cluster.pause(call.who))


async def resume(call: Call[NoQuery]) -> web.Response:
    """POST /cluster/resume."""
    return json_answer(await call.desk.cluster.resume(call.who))


async def transfer_leader(call: Call[NoQuery]) -> web.Response:
    """POST /cluster/transfer-leader."""
    return json_answer(await call.desk.cluster.transfer_leader(call.who))


async def join_token(call: Call[NoQuery]) -> web.Response:
    """POST /cluster/join-token."""
    wanted = await call.fields(optional=True)
    made = await call.desk.membership.create_join_token(call.who, wanted)
    return json_answer(made, status=201)


async def backup(call: Call[NoQuery]) -> web.StreamResponse:
    """POST /cluster/backup."""
    order = await call.body(BackupOrder, optional=True)
    pieces = await call.desk.backup.begin(call.who, order)
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": 'attachment; filename="croncord.backup"',
    }
    return await send_bytes(call.request, web.StreamResponse(headers=headers), pieces)


class LabelLimits(Value, frozen=True, kw_only=True):
    """How many runs all nodes with a label may have at once, by `key=value`."""

    limits: dict[str, int]


async def label_limits(call: Call[ReadQuery]) -> web.Response:
    """GET /cluster/label-limits."""
    stale = bool(call.query.stale)
    return json_answer(await call.desk.cluster.label_limits(call.who, stale=stale))


async def set_label_limits(call: Call[NoQuery]) -> web.Response:
    """PUT /cluster/label-limits."""
    body = await call.body(LabelLimits)
    return json_answer(await call.desk.cluster.set_label_limits(call.who, body.limits))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=CLUSTER,
        handler=show,
        summary="Who leads, how far each node is, all machines",
        query=ReadQuery,
        answer=ClusterView,
    ),
    Endpoint(
        method="GET",
        path=CLUSTER + "/label-limits",
        handler=label_limits,
        summary="How many runs all nodes with a label may have at once",
        query=ReadQuery,
        answer=LabelLimits,
    ),
    Endpoint(
        method="PUT",
        path=CLUSTER + "/label-limits",
        handler=set_label_limits,
        summary="Replace the limits on runs per label",
        role="admin",
        body=LabelLimits,
        answer=LabelLimits,
    ),
    Endpoint(
        method="POST",
        path=CLUSTER + "/pause",
        handler=pause,
        summary="Launch nothing until resumed",
        role="admin",
        answer=Paused,
    ),
    Endpoint(
        method="POST",
        path=CLUSTER + "/resume",
        handler=resume,
        summary="Launch again",
        role="admin",
        answer=Paused,
    ),
    Endpoint(
        method="POST",
        path=CLUSTER + "/transfer-leader",
        handler=transfer_leader,
        summary="Let another node lead; asked of the leader",
        role="admin",
        answer=Leader,
    ),
    Endpoint(
        method="POST",
        path=CLUSTER + "/backup",
        handler=backup,
        summary="The agreed state as one file, by choice with history and output",
        role="admin",
        body=BackupOrder,
        answer=bytes,
    ),
    Endpoint(
        method="POST",
        path=CLUSTER + "/join-token",
        handler=join_token,
        summary="Make a token with which a machine can join; it is in this answer only",
        role="admin",
        body=NewJoinToken,
        answer=JoinTokenAnswer,
        status=201,
    ),
)
