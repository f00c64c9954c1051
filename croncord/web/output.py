"""The output of an attempt as a door reads it: waiting for it to begin, through to its end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Literal

import msgspec

from croncord.errors import NotFound, Unreachable
from croncord.ports import LogChunk, LogKey
from croncord.service import Desk, Who
from croncord.service.runs import open_log
from croncord.service.views import Json

LOOK_AGAIN_SECONDS = 1.0
"""How often a follower looks when no event tells it to."""
BEGIN_SECONDS = 0.1
"""How often it looks for the output of a run that was claimed a moment ago."""

Stream = Literal["stdout", "stderr"]


class Output:
    """One attempt of one run, found by `find`."""

    def __init__(
        self, desk: Desk, who: Who, found: tuple[LogKey, list[str], Json], stream: Stream | None
    ) -> None:
        self._desk = desk
        self._who = who
        self.key, self._holders, self.run = found
        self._stream = stream

    @classmethod
    async def find(
        cls,
        desk: Desk,
        who: Who,
        run_id: str,
        *,
        attempt: int | None = None,
        stream: Stream | None = None,
        stale: bool = False,
    ) -> "Output":
        """Find the attempt, the last one if none is named. Raises NotFound."""
        found = await desk.runs.log(who, run_id, attempt=attempt, stale=stale)
        return cls(desk, who, found, stream)

    @property
    def is_open(self) -> bool:
        """Whether more may come."""
        return open_log(self.run, self.key)

    @property
    def is_complete(self) -> bool:
        """Whether all of it was stored and sealed."""
        return not self.is_open and bool(self.run["log"]["complete"])

    @property
    def truncated_bytes(self) -> int:
        """How much was left out because of the job's limit."""
        return int(self.run["log"]["truncated_bytes"])

    async def size(self) -> int:
        """Return the bytes that reading from the start would give now."""
        if self._stream is None and self.is_complete:
            return int(self.run["log"]["bytes"])
        total = 0
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                total += len(chunk.data)
        return total

    async def tail_offset(self, lines: int) -> int:
        """Return the offset from which about that many last lines follow; 0 when there are none."""
        try:
            return await self._desk.logs.tail_offset(self.key, lines, holders=self._holders)
        except NotFound:
            return 0

    async def chunks(
        self, offset: int = 0, *, follow: bool = False, system: bool = False
    ) -> AsyncGenerator[LogChunk, None]:
        """Yield what the process wrote; with `follow` until the run has ended.

        `system` adds the remarks about what was left out. Raises NotFound when there should be
        output and nobody has it, Unreachable, StoreError, Invalid for a wrong offset.
        """
        if follow and self.is_open:
            async with aclosing(self._followed(offset, system=system)) as chunks:
                async for chunk in chunks:
                    offset = chunk.next_offset
                    yield chunk
        try:
            async with aclosing(self._stored(offset, system=system)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except NotFound:
            if not self.is_open and self.run["log"]["bytes"]:
                raise

    async def _followed(self, offset: int, *, system: bool) -> AsyncGenerator[LogChunk, None]:
        changed = asyncio.Event()

        def note(event: Json) -> None:
            if event.get("id") == self.key.run_id:
                changed.set()

        stop = self._desk.watch(note)
        try:
            while self.is_open:
                changed.clear()
                patience = LOOK_AGAIN_SECONDS
                if self.run["state"] == "running":
                    try:
                        stored = self._stored(offset, system=system, follow=True)
                        async with aclosing(stored) as chunks:
                            async for chunk in chunks:
                                offset = chunk.next_offset
                                yield chunk
                    except NotFound:
                        patience = BEGIN_SECONDS
                    except Unreachable:
                        pass  # its node is away: the run ends as lost, or the node comes back
                await self._look_again(changed, patience)
        finally:
            stop()

    async def _look_again(self, changed: asyncio.Event, patience: float) -> None:
        """Wait for an event about the run, not longer than `patience` seconds, and read it anew."""
        try:
            async with asyncio.timeout(patience):
                await changed.wait()
        except TimeoutError:
            pass  # nothing told us; the run is read anew all the same
        self.key, self._holders, self.run = await self._desk.runs.log(
            self._who, self.key.run_id, attempt=self.key.attempt, stale=True
        )

    async def _stored(
        self, offset: int, *, system: bool, follow: bool = False
    ) -> AsyncGenerator[LogChunk, None]:
        source = self._desk.logs.read(
            self.key, holders=self._holders, offset=offset, stream=self._stream, follow=follow
        )
        try:
            async for chunk in source:
                if system or chunk.stream != "system":
                    yield chunk
        finally:
            await _close(source)


async def _close(source: AsyncIterator[LogChunk]) -> None:
    if isinstance(source, AsyncGenerator):
        await source.aclose()


async def without_first_lines(
    chunks: AsyncGenerator[LogChunk, None], lines: int
) -> AsyncGenerator[LogChunk, None]:
    """Leave out that many lines at the beginning."""
    async with aclosing(chunks):
        async for chunk in chunks:
            data = chunk.data
            while lines > 0 and data:
                _, end, data = data.partition(b"\n")
                lines -= bool(end)
            if data:
                yield msgspec.structs.replace(chunk, data=data)


async def count_lines(chunks: AsyncGenerator[LogChunk, None]) -> int:
    """Count the lines; an unfinished one at the end counts too."""
    lines, last = 0, b"\n"
    async with aclosing(chunks):
        async for chunk in chunks:
            lines += chunk.data.count(b"\n")
            last = chunk.data[-1:] or last
    return lines + (last != b"\n")
