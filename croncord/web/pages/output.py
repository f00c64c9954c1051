"""A run's output as a stream: finished lines of HTML, after those that the page holds."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

import msgspec
from aiohttp import web

from croncord.ports import LogChunk
from croncord.web import auth
from croncord.web.output import Output
from croncord.web.pages.frame import Frame
from croncord.web.pages.lines import Line, OutputLines, html_of
from croncord.web.stream import Event, send_events

EVENT_LINES: Final = 500
BURST_SECONDS: Final = 0.1
BURST_CHUNKS: Final = 64


class OutputStream:
    """`GET /runs/{run}/output`: server-sent events with lines as HTML."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the stream."""
        return [web.get("/runs/{run}/output", self.stream)]

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send lines until the attempt has ended; a browser that comes back goes on after them.

        Events: `lines` with `{lines, count, unfinished, progress}`, and `end`. With `?once` it
        closes after what there is now, for browsers that have no connection to spare.
        """
        output = await Output.find(
            self._frame.desk,
            auth.who(request),
            request.match_info["run"],
            attempt=wanted_attempt(request),
        )
        place = request.headers.get("Last-Event-ID") or request.query.get("from", "")
        return await send_events(
            request, _events(output, OutputLines(place), follow="once" not in request.query)
        )


def wanted_attempt(request: web.Request) -> int | None:
    """Return the number of the address's `attempt`, None for the last one."""
    text = request.query.get("attempt", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


async def _events(
    output: Output, reader: OutputLines, *, follow: bool
) -> AsyncGenerator[Event, None]:
    """Turn chunks into events of at most 500 lines, in bursts ten times a second at most."""
    chunks = output.chunks(reader.offset, follow=follow, system=True)
    async with aclosing(_bursts(chunks)) as bursts:
        async for burst in bursts:
            lines: list[Line] = []
            for chunk in burst:
                reader.feed(chunk)
                while taken := reader.take(EVENT_LINES - len(lines)):
                    lines += taken
                    if len(lines) == EVENT_LINES:
                        yield _lines(reader, lines)
                        lines = []
            if lines or reader.unfinished():
                yield _lines(reader, lines)
    if follow or not output.is_open:
        yield Event("{}", "end")


def _lines(reader: OutputLines, lines: list[Line]) -> Event:
    unfinished = reader.unfinished()
    progress = [it for it in (line.progress for line in (*lines, *unfinished)) if it is not None]
    body = {
        "lines": html_of(lines),
        "count": len(lines),
        "unfinished": html_of(unfinished),
        "progress": progress[-1] if progress else None,
    }
    return Event(msgspec.json.encode(body).decode(), "lines", reader.place)


async def _bursts(
    chunks: AsyncGenerator[LogChunk, None],
) -> AsyncGenerator[list[LogChunk], None]:
    """Gather what comes within a tenth of a second after the first."""
    upcoming: asyncio.Task[LogChunk | None] | None = None
    try:
        while True:
            first = await anext(chunks, None) if upcoming is None else await upcoming
            upcoming = None
            if first is None:
                return
            burst = [first]
            due = asyncio.get_running_loop().time() + BURST_SECONDS
            while len(burst) < BURST_CHUNKS:
                upcoming = upcoming or asyncio.create_task(_next(chunks))
                left = due - asyncio.get_running_loop().time()
                done, _ = await asyncio.wait({upcoming}, timeout=max(0.0, left))
                if not done:
                    break
                chunk, upcoming = upcoming.result(), None
                if chunk is None:
                    yield burst
                    return
                burst.append(chunk)
            yield burst
    finally:
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.wait({upcoming})
        await chunks.aclose()


async def _next(chunks: AsyncIterator[LogChunk]) -> LogChunk | None:
    return await anext(chunks, None)
