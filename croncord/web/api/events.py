"""`/api/v1/events`: what happens in the cluster, as server-sent events.

Nothing is kept for those who were away: a stream begins with `hello`, which says "look for
yourself"; and so does a stream that was cut off because its reader was slow.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from croncord.service import Desk, Who
from croncord.service.events import Event as Change
from croncord.web.api.endpoint import Call, Endpoint, NoQuery
from croncord.web.stream import Event, send_events

WAITING_MAX = 1000
"""Events that may wait for a reader before it is cut off."""


async def events(call: Call[NoQuery]) -> web.StreamResponse:
    """GET /events."""
    return await send_events(call.request, _events(call.desk, call.who))


async def _events(desk: Desk, who: Who) -> AsyncIterator[Event]:
    waiting: asyncio.Queue[Change | None] = asyncio.Queue(WAITING_MAX + 1)

    def note(change: Change) -> None:
        if waiting.qsize() < WAITING_MAX:
            waiting.put_nowait(change)
        elif not waiting.full():
            waiting.put_nowait(None)

    stop = desk.watch_as(who, note)
    try:
        status = desk.replica.status()
        freshness = desk.cluster.freshness()
        hello = {
            "index": status.applied_index,
            "node": freshness["node"],
            "leader": freshness["leader"],
        }
        yield Event(msgspec.json.encode(hello).decode(), "hello", str(status.applied_index))
        while (change := await waiting.get()) is not None:
            data = {name: value for name, value in change.items() if name != "kind"}
            text = msgspec.json.encode(data).decode()
            yield Event(text, str(change["kind"]), str(change["index"]))
    finally:
        stop()


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/events",
        handler=events,
        summary="Server-sent events: job, run, node and cluster changes",
        answer=bytes,
    ),
)
