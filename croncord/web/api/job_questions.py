"""`/api/v1/jobs/{job}/…`: questions about a job's ticks, and running past ones."""

from datetime import datetime

from aiohttp import web

from croncord.model import Value
from croncord.service.backfills import BackfillView
from croncord.web.api.answers import BackfillList, WhyAnswer
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, ReadQuery, json_answer
from croncord.web.api.jobs import JOB


class WhyQuery(ReadQuery, frozen=True, kw_only=True):
    """Which tick."""

    at: str = ""
    """An instant; without an offset a time on the clock of the job's zone. Empty for now."""


class BackfillBody(Value, frozen=True, kw_only=True):
    """Which past ticks to run."""

    since: datetime
    until: datetime
    """Exclusive."""
    max_parallel: int = 1
    fire_dependents: bool = False
    """Whether jobs that run after this one do so for these runs too."""
    idempotency_key: str = ""


class CancelQuery(Value, frozen=True, kw_only=True):
    """How to cancel."""

    kill: bool = False
    """Also end what runs."""


async def backfill(call: Call[NoQuery]) -> web.Response:
    """POST /jobs/{job}/backfill."""
    body = await call.body(BackfillBody)
    key = body.idempotency_key or call.request.headers.get("Idempotency-Key", "")
    made = await call.desk.backfills.start(
        call.who,
        call.part("job"),
        since=body.since,
        until=body.until,
        max_parallel=body.max_parallel,
        fire_dependents=body.fire_dependents,
        idempotency_key=key,
    )
    return json_answer(made, status=202)


async def list_backfills(call: Call[ReadQuery]) -> web.Response:
    """GET /jobs/{job}/backfill."""
    stale = bool(call.query.stale)
    found = await call.desk.backfills.list(call.who, call.part("job"), stale=stale)
    return json_answer({"items": found})


async def cancel_backfill(call: Call[CancelQuery]) -> web.Response:
    """DELETE /jobs/{job}/backfill/{backfill}."""
    left = await call.desk.backfills.cancel(
        call.who, call.part("job"), call.part("backfill"), kill=call.query.kill
    )
    return json_answer(left, status=202)


async def why(call: Call[WhyQuery]) -> web.Response:
    """GET /jobs/{job}/why."""
    query = call.query
    stale = bool(query.stale)
    return json_answer(await call.desk.why.tell(call.who, call.part("job"), query.at, stale=stale))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=JOB + "/backfill",
        handler=backfill,
        summary="Run the job for past ticks, a few at a time",
        role="operator",
        body=BackfillBody,
        answer=BackfillView,
        status=202,
    ),
    Endpoint(
        method="GET",
        path=JOB + "/backfill",
        handler=list_backfills,
        summary="List the backfills of a job that are not over",
        query=ReadQuery,
        answer=BackfillList,
    ),
    Endpoint(
        method="DELETE",
        path=JOB + "/backfill/{backfill}",
        handler=cancel_backfill,
        summary="End what waits of a backfill",
        role="operator",
        query=CancelQuery,
        answer=BackfillView,
        status=202,
    ),
    Endpoint(
        method="GET",
        path=JOB + "/why",
        handler=why,
        summary="What became of the tick nearest to a time, and by which decisions",
        query=WhyQuery,
        answer=WhyAnswer,
    ),
)
