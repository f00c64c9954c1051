"""`/healthz` and `/readyz`: for supervisors and load balancers, without authentication."""

from aiohttp import web

from croncord.web.api.answers import Alive, Ready
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, json_answer


async def healthz(call: Call[NoQuery]) -> web.Response:  # noqa: ARG001  # every handler takes a call
    """GET /healthz: the process answers."""
    return json_answer({"status": "ok"})


async def readyz(call: Call[NoQuery]) -> web.Response:
    """GET /readyz: 503 unless this node has a leader and has caught up."""
    reason = call.desk.cluster.not_ready()
    ready = {"ready": not reason, "reason": reason}
    headers = {"Retry-After": "1"} if reason else {}
    return json_answer(ready, status=503 if reason else 200, headers=headers)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/healthz",
        handler=healthz,
        summary="The process is alive",
        role=None,
        answer=Alive,
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        handler=readyz,
        summary="The node has a leader and has caught up; 503 otherwise",
        role=None,
        answer=Ready,
    ),
)
