"""`/api/v1/timeline/…`: what was launched lately and what is planned, by time."""

from aiohttp import web

from croncord.web.api.answers import AheadAnswer, PastAnswer
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, json_answer


async def past(call: Call[NoQuery]) -> web.Response:
    """GET /timeline/past."""
    return json_answer(await call.desk.timeline.past(call.who))


async def ahead(call: Call[NoQuery]) -> web.Response:
    """GET /timeline/ahead."""
    return json_answer(await call.desk.timeline.ahead(call.who))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/timeline/past",
        handler=past,
        summary="Count the final rows of the last twelve hours by state",
        answer=PastAnswer,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/timeline/ahead",
        handler=ahead,
        summary="Count the planned launches of the next day, minute by minute",
        answer=AheadAnswer,
    ),
)
