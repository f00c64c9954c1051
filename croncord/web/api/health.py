"""`/healthz` and `/readyz`: for supervisors and load balancers, without authentication."""

from aiohttp import web

from croncord.web.api.answers import Alive, Ready
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, json_answer

LAG_MAX = 1000
"""Commands a node may be behind and still count as caught up."""


async def healthz(call: Call[NoQuery]) -> web.Response:  # noqa: ARG001  # every handler takes a call
    """GET /healthz: the process answers."""
    return json_answer({"status": "ok"})


async def readyz(call: Call[NoQuery]) -> web.Response:
    """GET /readyz: 503 unless this node has a leader and has caught up."""
    status = call.desk.replica.status()
    reason = ""
    if not call.desk.cluster.freshness()["has_leader"]:
        reason = "no leader is known"
    elif status.commit_index - status.applied_index > LAG_MAX:
        reason = f"catching up: {status.applied_index} of {status.commit_index}"
    elif not status.is_settled:
        reason = "its disk was empty; it does not count as a voter yet"
    elif not call.desk.replica.state.cluster_id:
        reason = "the cluster is still being set up"
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
