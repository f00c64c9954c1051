"""`/api/v1/runs/{run}/log`: raw bytes, or server-sent events."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from croncord.errors import FieldError, Invalid, Malformed
from croncord.ports import LogChunk
from croncord.service.views import Json
from croncord.web.api.endpoint import Call, Endpoint, ReadQuery
from croncord.web.output import Output, count_lines, without_first_lines
from croncord.web.stream import Event, send_bytes, send_events

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_DIGITS_MAX = 16


class LogQuery(ReadQuery, frozen=True, kw_only=True):
    """Which output, and which part of it."""

    stream: Literal["", "stdout", "stderr"] = ""
    offset: Count = 0
    """Bytes of the answer to leave out; in a stream of events the id of the last one seen."""
    limit: Count | None = None
    tail: Count | None = None
    """Only so many last lines."""
    attempt: Count | None = None
    follow: bool = False
    """Stay until the run has ended."""


async def log(call: Call[LogQuery]) -> web.StreamResponse:
    """GET and HEAD /runs/{run}/log."""
    query = call.query
    if query.tail is not None and query.offset:
        raise Invalid([FieldError("tail", "cannot be combined with offset")])
    output = await Output.find(
        call.desk,
        call.who,
        call.part("run"),
        attempt=query.attempt,
        stream=query.stream or None,
        stale=bool(query.stale),
    )
    if "text/event-stream" in call.request.headers.get("Accept", ""):
        return await _events(call, output)
    return await _raw(call, output)


async def _raw(call: Call[LogQuery], output: Output) -> web.StreamResponse:
    query = call.query
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Croncord-Log-Complete": str(output.is_complete).lower(),
            "Croncord-Log-Truncated-Bytes": str(output.truncated_bytes),
            "Croncord-Log-Attempt": str(output.key.attempt),
        }
    )
    if call.request.method == "HEAD":
        response.content_length = await output.size()
        await response.prepare(call.request)
        return response
    if query.tail is not None:
        chunks = await _tail(output, query.tail, follow=query.follow)
    else:
        chunks = output.chunks(follow=query.follow)
    async with aclosing(_cut(chunks, query.offset, query.limit)) as pieces:
        if query.follow:
            return await send_bytes(call.request, response, pieces)
        return await send_bytes(call.request, response, await _begun(pieces))


async def _tail(output: Output, lines: int, *, follow: bool) -> AsyncGenerator[LogChunk, None]:
    offset = await output.tail_offset(lines)
    extra = await count_lines(output.chunks(offset)) - lines
    return without_first_lines(output.chunks(offset, follow=follow), extra)


async def _cut(
    chunks: AsyncGenerator[LogChunk, None], offset: int, limit: int | None
) -> AsyncGenerator[bytes, None]:
    """Leave out `offset` bytes, then give at most `limit`."""
    async with aclosing(chunks):
        async for chunk in chunks:
            data = chunk.data[offset:]
            offset = max(0, offset - len(chunk.data))
            if limit is not None:
                data = data[:limit]
                limit -= len(data)
            if data:
                yield data
            if limit == 0:
                return


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Wait for the first piece: what goes wrong before it still gets a proper answer."""
    first = await anext(pieces, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_them()


async def _events(call: Call[LogQuery], output: Output) -> web.StreamResponse:
    start = call.query.offset
    seen = call.request.headers.get("Last-Event-ID")
    if seen:
        if not seen.isascii() or not seen.isdigit() or len(seen) > _DIGITS_MAX:
            raise Malformed(f"Last-Event-ID: {seen[:64]!r} is not an id of this stream")
        start = int(seen)
    elif call.query.tail is not None:
        start = await output.tail_offset(call.query.tail)
    return await send_events(call.request, _output_events(output, start, follow=call.query.follow))


async def _output_events(output: Output, offset: int, *, follow: bool) -> AsyncIterator[Event]:
    async with aclosing(output.chunks(offset, follow=follow, system=True)) as chunks:
        async for chunk in chunks:
            offset = chunk.next_offset
            yield Event(msgspec.json.encode(_chunk(chunk)).decode(), "output", str(offset))
    end = {
        "complete": output.is_complete,
        "state": output.run["state"],
        "attempt": output.key.attempt,
        "offset": offset,
    }
    yield Event(msgspec.json.encode(end).decode(), "end", str(offset))


def _chunk(chunk: LogChunk) -> Json:
    """Return a chunk as an event: text, or Base64 where it is not UTF-8 by itself."""
    event: Json = {"stream": chunk.stream, "ms": chunk.milliseconds}
    try:
        return event | {"text": chunk.data.decode()}
    except UnicodeDecodeError:
        return event | {"base64": base64.b64encode(chunk.data).decode()}


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/runs/{run}/log",
        handler=log,
        summary="Read a run's output byte for byte, or as events; HEAD gives its size",
        query=LogQuery,
        answer=bytes,
    ),
)
