"""`/api/v1/runs`."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from croncord.model import Value
from croncord.service.views import RunView
from croncord.web.api.answers import RunPage
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, ReadQuery, json_answer

RUNS = "/api/v1/runs"
RUN = RUNS + "/{run}"


class RunsQuery(ReadQuery, frozen=True, kw_only=True):
    """Which rows of the ledger."""

    job: str = ""
    """Name or id."""
    state: str = ""
    reason: str = ""
    node: str = ""
    trigger: str = ""
    since: datetime | None = None
    """Nominal time, inclusive."""
    until: datetime | None = None
    """Nominal time, exclusive."""
    limit: int = 100
    cursor: str = ""


class KillBody(Value, frozen=True, kw_only=True):
    """How to end a run."""

    grace_seconds: Annotated[int, msgspec.Meta(ge=0, le=3600)] | None = None
    """Between TERM and KILL; the job's own if left out."""


class ResolveBody(Value, frozen=True, kw_only=True):
    """How a lost run ended, as somebody found out."""

    state: Literal["succeeded", "failed"]
    note: Annotated[str, msgspec.Meta(max_length=1000)] = ""


async def list_runs(call: Call[RunsQuery]) -> web.Response:
    """GET /runs."""
    query = call.query
    page = await call.desk.runs.list(
        call.who,
        job=query.job,
        state=query.state,
        reason=query.reason,
        node=query.node,
        trigger=query.trigger,
        since=query.since,
        until=query.until,
        limit=query.limit,
        cursor=query.cursor,
        stale=bool(query.stale),
    )
    return json_answer(page)


async def get(call: Call[ReadQuery]) -> web.Response:
    """GET /runs/{run}."""
    stale = bool(call.query.stale)
    return json_answer(await call.desk.runs.get(call.who, call.part("run"), stale=stale))


async def kill(call: Call[NoQuery]) -> web.Response:
    """POST /runs/{run}/kill."""
    wanted = await call.body(KillBody, optional=True)
    run = await call.desk.runs.kill(call.who, call.part("run"), grace_seconds=wanted.grace_seconds)
    return json_answer(run, status=202)


async def rerun(call: Call[NoQuery]) -> web.Response:
    """POST /runs/{run}/rerun."""
    run = await call.desk.runs.rerun(call.who, call.part("run"))
    return json_answer(run, status=202, headers={"Location": f"{RUNS}/{run['id']}"})


async def resolve(call: Call[NoQuery]) -> web.Response:
    """POST /runs/{run}/resolve."""
    wanted = await call.body(ResolveBody)
    run = await call.desk.runs.resolve(
        call.who, call.part("run"), state=wanted.state, note=wanted.note
    )
    return json_answer(run)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=RUNS,
        handler=list_runs,
        summary="List runs, open and final, newest nominal time first",
        query=RunsQuery,
        answer=RunPage,
    ),
    Endpoint(
        method="GET",
        path=RUN,
        handler=get,
        summary="Show a run and which nodes hold its output",
        query=ReadQuery,
        answer=RunView,
    ),
    Endpoint(
        method="POST",
        path=RUN + "/kill",
        handler=kill,
        summary="Ask for the end of a run; asking again changes nothing",
        role="operator",
        body=KillBody,
        answer=RunView,
        status=202,
    ),
    Endpoint(
        method="POST",
        path=RUN + "/rerun",
        handler=rerun,
        summary="Start the run's job again",
        role="operator",
        answer=RunView,
        status=202,
    ),
    Endpoint(
        method="POST",
        path=RUN + "/resolve",
        handler=resolve,
        summary="Close a lost run by hand",
        role="operator",
        body=ResolveBody,
        answer=RunView,
    ),
)
