"""A run's output for people: the last lines in the page, and a stream of finished lines after them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from croncord.errors import NotFound, StoreError, Unreachable
from croncord.ports import LogChunk
from croncord.web import auth
from croncord.web.output import Output
from croncord.web.pages.frame import Frame
from croncord.web.pages.lines import OutputLines
from croncord.web.stream import Event, send_events

TAIL_LINES: Final = 2000
EVENT_LINES: Final = 500
BURST_SECONDS: Final = 0.1
BURST_CHUNKS: Final = 64


class Tail(NamedTuple):
    """A part of an output, as far as it is known now."""

    html: str
    unfinished: str
    place: str
    """Where the stream goes on."""
    is_all: bool
    trouble: str
    """Why it cannot be read now; empty when it could."""


async def read_tail(output: Output, *, from_start: bool) -> Tail:
    """Return the last lines, or the first ones."""
    lines: list[str] = []
    reader = OutputLines()
    trouble = ""
    cut = False
    try:
        if not from_start:
            reader = OutputLines(str(await output.tail_offset(TAIL_LINES)))
            cut = reader.offset > 0
        async with aclosing(output.chunks(reader.offset, system=True)) as chunks:
            async for chunk in chunks:
                reader.feed(chunk)
                while taken := reader.take(EVENT_LINES):
                    lines += taken
                if from_start and len(lines) >= TAIL_LINES:
                    cut = True
                    break
    except (NotFound, Unreachable, StoreError) as error:
        trouble = error.message
    shown = lines[:TAIL_LINES] if from_start else lines[-TAIL_LINES:]
    return Tail(
        html="".join(shown),
        unfinished="" if cut and from_start else "".join(reader.unfinished()),
        place=reader.place,
        is_all=not cut and len(shown) == len(lines),
        trouble=trouble,
    )


class OutputStream:
    """`GET /runs/{run}/output`: server-sent events with lines as HTML."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the stream."""
        return [web.get("/runs/{run}/output", self.stream)]

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send lines until the attempt has ended; a browser that comes back goes on after them.

        Events: `lines` with `{lines, count, unfinished}`, and `end`.
        """
        output = await Output.find(
            self._frame.desk,
            auth.who(request),
            request.match_info["run"],
            attempt=wanted_attempt(request),
        )
        place = request.headers.get("Last-Event-ID") or request.query.get("from", "")
        return await send_events(request, _events(output, OutputLines(place)))


def wanted_attempt(request: web.Request) -> int | None:
    """Return the number of the address's `attempt`, None for the last one."""
    text = request.query.get("attempt", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


async def _events(output: Output, reader: OutputLines) -> AsyncGenerator[Event, None]:
    """Turn chunks into events of at most 500 lines, in bursts ten times a second at most."""
    chunks = output.chunks(reader.offset, follow=True, system=True)
    async with aclosing(_bursts(chunks)) as bursts:
        async for burst in bursts:
            lines: list[str] = []
            for chunk in burst:
                reader.feed(chunk)
                while taken := reader.take(EVENT_LINES - len(lines)):
                    lines += taken
                    if len(lines) == EVENT_LINES:
                        yield _lines(reader, lines)
                        lines = []
            if lines or reader.unfinished():
                yield _lines(reader, lines)
    yield Event("{}", "end")


def _lines(reader: OutputLines, lines: list[str]) -> Event:
    body = {
        "lines": "".join(lines),
        "count": len(lines),
        "unfinished": "".join(reader.unfinished()),
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
