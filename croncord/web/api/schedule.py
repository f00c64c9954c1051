"""`/api/v1/schedule`."""

from datetime import datetime

from aiohttp import web

from croncord.model import DstPolicy, Value
from croncord.preview import Preview
from croncord.web.api.endpoint import Call, Endpoint, json_answer


class PreviewQuery(Value, frozen=True, kw_only=True):
    """Which schedule, and from when on."""

    expr: str
    tz: str = "UTC"
    after: datetime | None = None
    n: int = 10
    dst: DstPolicy = "cron"


async def preview(call: Call[PreviewQuery]) -> web.Response:
    """GET /schedule/preview."""
    query = call.query
    told = call.desk.jobs.preview(query.expr, query.tz, after=query.after, n=query.n, dst=query.dst)
    return json_answer(told)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/schedule/preview",
        handler=preview,
        summary="The next times of a schedule, in English and with notes",
        query=PreviewQuery,
        answer=Preview,
    ),
)
