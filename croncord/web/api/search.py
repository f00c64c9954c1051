"""`/api/v1/logs/search`: lines of output that match, over many runs."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Literal

import msgspec
from aiohttp import web

from croncord.service.views import Json, Time, View
from croncord.web.api.endpoint import Call, Endpoint, ReadQuery, json_answer
from croncord.web.stream import send_bytes

NDJSON = "application/x-ndjson"


class SearchQuery(ReadQuery, frozen=True, kw_only=True):
    """What to look for, and in which runs."""

    q: str = ""
    """Text that the line holds; with `regex` an expression that matches in it."""
    regex: bool = False
    job: str = ""
    """Name or id."""
    run: str = ""
    node: str = ""
    """The node that ran it."""
    stream: Literal["", "stdout", "stderr"] = ""
    since: datetime | None = None
    """Nominal time, inclusive."""
    until: datetime | None = None
    """Nominal time, exclusive."""
    limit: int = 100
    cursor: str = ""


class Hit(View, frozen=True, kw_only=True):
    """A line of output that matches."""

    run: str
    job: str
    attempt: int
    node: str | None
    nominal_time: Time
    offset: int
    """Bytes of output before it, as `GET …/log?offset=` counts them."""
    line: int
    text: str
    """The first 500 bytes of the line."""
    before: list[str]
    """The first 160 bytes of each of the two lines before it, oldest first; fewer at the beginning."""
    after: list[str]
    """Likewise of the two lines after it."""


class Found(View, frozen=True, kw_only=True):
    """Hits of the newest runs first, and how complete the answer is."""

    items: list[Hit]
    next_cursor: str | None
    runs_searched: int
    runs_not_searched: int
    """Outputs that no node could search: all that hold them are away, or their copies are damaged."""
    nodes_not_answering: list[str]


async def search(call: Call[SearchQuery]) -> web.StreamResponse:
    """GET /logs/search: a page of JSON, or with `Accept: application/x-ndjson` a line per hit."""
    query = call.query
    hits = call.desk.search.search(
        call.who,
        pattern=query.q,
        regex=query.regex,
        job=query.job,
        node=query.node,
        run=query.run,
        stream=query.stream,
        since=query.since,
        until=query.until,
        limit=query.limit,
        cursor=query.cursor,
        stale=bool(query.stale),
    )
    async with aclosing(hits):
        first = await anext(hits)  # what is wrong with the query gets a proper answer
        if NDJSON in call.request.headers.get("Accept", ""):
            response = web.StreamResponse(headers={"Content-Type": NDJSON})
            return await send_bytes(call.request, response, _lines(first, hits))
        found = [first, *[hit async for hit in hits]]
    return json_answer({"items": found[:-1], **found[-1]})


async def _lines(first: Json, hits: AsyncGenerator[Json, None]) -> AsyncGenerator[bytes, None]:
    """Yield each hit as a line; the last line is the summary."""
    yield msgspec.json.encode(first) + b"\n"
    async for hit in hits:
        yield msgspec.json.encode(hit) + b"\n"


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/logs/search",
        handler=search,
        summary="Find lines in the output of many runs, newest first",
        query=SearchQuery,
        answer=Found,
        also=(NDJSON,),
    ),
)
