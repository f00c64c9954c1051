"""Answers without an end: server-sent events, and raw bytes while they come.

A reader that takes nothing for 30 seconds is cut off; it may come back and go on where it was.
Streams end when the application shuts down.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from croncord.errors import CronCordError
from croncord.web.errors import problem_of

PING_SECONDS = 15.0
SLOW_SECONDS = 30.0
_BUFFER_BYTES = 64 * 1024
_PING = b": ping\n\n"
_log = logging.getLogger(__name__)

T = TypeVar("T")

_STREAMS: web.AppKey[set[asyncio.Task[Any]]] = web.AppKey("streams", set)


class Event(NamedTuple):
    """A server-sent event. `id` comes back as `Last-Event-ID` when the browser reconnects."""

    data: str
    kind: str = ""
    id: str = ""

    def encode(self) -> bytes:
        """Return the event as it is sent."""
        lines = [f"event: {self.kind}"] if self.kind else []
        lines += [f"id: {self.id}"] if self.id else []
        lines += [f"data: {line}" for line in self.data.split("\n")]
        return ("\n".join(lines) + "\n\n").encode()


async def send_events(request: web.Request, events: AsyncIterator[Event]) -> web.StreamResponse:
    """Answer with events as they come, and a comment every 15 s so that nobody thinks it is dead.

    An error ends the stream with an event `problem`.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    with _ended_by_reader(request, response):
        try:
            async with with_pings(events, PING_SECONDS) as source:
                async for event in source:
                    await _write(response, _PING if event is None else event.encode())
        except CronCordError as error:
            told = msgspec.json.encode(problem_of(error)).decode()
            await _write(response, Event(told, "problem").encode())
    return response


async def send_bytes(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Answer with bytes as they come. When they break off the connection is broken too.

    So a reader can tell a whole answer from a part of one.
    """
    await response.prepare(request)
    with _ended_by_reader(request, response):
        try:
            async for piece in pieces:
                await _write(response, piece)
        except CronCordError as error:
            _log.warning("an answer to %s broke off: %s", request.path, error.message)
            _cut_off(request)
    return response


@asynccontextmanager
async def with_pings(
    source: AsyncIterator[T], seconds: float
) -> AsyncIterator[AsyncIterator[T | None]]:
    """Iterate over the source, with None whenever nothing came for that long."""
    pending: asyncio.Future[T] | None = None

    async def items() -> AsyncGenerator[T | None, None]:
        nonlocal pending
        while True:
            if pending is None:
                pending = asyncio.ensure_future(anext(source))
            done, _ = await asyncio.wait({pending}, timeout=seconds)
            if not done:
                yield None
                continue
            finished, pending = pending, None
            try:
                item = finished.result()
            except StopAsyncIteration:
                return
            yield item

    upcoming = items()
    try:
        yield upcoming
    finally:
        await upcoming.aclose()
        if pending is not None:
            pending.cancel()
            await asyncio.wait({pending})
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def end_streams_on_shutdown(app: web.Application) -> None:
    """Have answers that are still being written end when the application shuts down.

    Any handler's stream counts, from the moment it sends its headers.
    """
    streams: set[asyncio.Task[Any]] = set()
    app[_STREAMS] = streams

    async def note(request: web.Request, response: web.StreamResponse) -> None:
        task = asyncio.current_task()
        if task is not None and not isinstance(response, web.Response) and request.app is app:
            streams.add(task)

    async def end(_app: web.Application) -> None:
        for task in streams:
            task.cancel()

    app.on_response_prepare.append(note)
    app.on_shutdown.append(end)


def stream_ended(request: web.Request) -> None:
    """Forget the stream of a request that is done: its connection may serve another one."""
    task = asyncio.current_task()
    if task is not None:
        request.app[_STREAMS].discard(task)


@contextmanager
def _ended_by_reader(request: web.Request, response: web.StreamResponse) -> Iterator[None]:
    """End quietly when the reader went away or takes nothing."""
    try:
        yield
    except (ConnectionError, TimeoutError):
        response.force_close()
        _cut_off(request)
    except BaseException:
        # Headers are sent: all that can still be said is that this is not the end.
        _cut_off(request)
        raise


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(SLOW_SECONDS):
        for start in range(0, len(data), _BUFFER_BYTES):
            await response.write(data[start : start + _BUFFER_BYTES])


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
