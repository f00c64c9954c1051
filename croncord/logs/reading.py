"""Reading an output that this node holds: as frames, as text by stream, from the last lines on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

from croncord.errors import NotFound, Unreachable
from croncord.frames import STDERR, STDOUT, SYSTEM, Frame, decode_frames, shown
from croncord.logs.local import LocalLogs
from croncord.logs.stored import READ_BYTES
from croncord.logs.tally import output_bytes
from croncord.ports import LogChunk, LogKey

COALESCE_SECONDS: Final = 0.002
"""A follower waits this long for more before it passes on a few bytes."""

Stream = Literal["stdout", "stderr", "system"]
_STREAMS: dict[int, Stream] = {STDOUT: "stdout", STDERR: "stderr", SYSTEM: "system"}
_CHUNK_BYTES = 64 * 1024


async def local_frames(
    logs: LocalLogs, key: LogKey, *, offset: int, follow: bool
) -> AsyncIterator[bytes]:
    """Yield whole frames of this node's copy from `offset` on; with `follow` until it is sealed.

    No transaction is open while the caller is busy, and a slow caller holds one piece.
    Raises NotFound when nothing is held; Unreachable when following a copy that nobody feeds here;
    Invalid when no frame begins at `offset`.
    """
    while True:
        data = await logs.piece(key, offset)
        if data:
            offset += len(data)
            yield data
            continue
        live = logs.live(key)
        if live is None:
            if _resting_size(logs, key, follow=follow) <= offset:
                return
            continue
        if live.end > offset:
            continue
        if live.finished or not follow:
            return
        await live.change()
        if logs.closing:
            raise Unreachable("this node is stopping")
        if live.end - offset < READ_BYTES:
            await asyncio.sleep(COALESCE_SECONDS)


def _resting_size(logs: LocalLogs, key: LogKey, *, follow: bool) -> int:
    """Return how long an output is that nobody feeds here; raises as `local_frames`."""
    status = logs.status(key)
    if status is None:
        raise NotFound(f"this node has no output of run {key.run_id}")
    if follow and not status.complete:
        raise Unreachable(f"this node's output of run {key.run_id} is not being continued")
    return status.size


@asynccontextmanager
async def closing(stream: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Close what is read from, a connection perhaps, when its reader leaves early."""
    try:
        yield stream
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


async def local_tail_offset(logs: LocalLogs, key: LogKey, lines: int) -> int:
    """Return the offset of the last frame from which at least `lines` lines follow, or 0.

    Raises NotFound when nothing is held.
    """
    status = logs.status(key)
    if status is None:
        raise NotFound(f"this node has no output of run {key.run_id}")
    if lines <= 0:
        return status.size
    live = logs.live(key)
    in_memory = sum(chunk.lines for chunk in live.tail) if live is not None else 0
    start = 0
    if live is not None and in_memory >= lines:
        start = live.blocks_end.offset
    elif live is not None or status.size:
        start = await logs.blocks_with_lines(key, lines - in_memory)
    counts: list[tuple[int, int]] = []
    async for data in local_frames(logs, key, offset=start, follow=False):
        for frame in decode_frames(data)[0]:
            counts.append((start, output_bytes([frame]).count(b"\n")))
            start += frame.size
    for at, count in reversed(counts):
        lines -= count
        if lines <= 0:
            return at
    return counts[0][0] if counts else 0


class ChunkDecoder:
    """Turns framed bytes, in pieces of any size, into chunks; frames may be split between pieces."""

    def __init__(self, offset: int, stream: Stream | None) -> None:
        """Begin at an offset; with `stream` everything else is left out."""
        self.offset = offset
        """Everything before it was returned."""
        self._stream = stream
        self._partial = b""

    def feed(self, data: bytes) -> list[LogChunk]:
        """Take more bytes; neighbours of one stream and millisecond come as one chunk."""
        waiting = self._partial + data
        frames, consumed = decode_frames(waiting)
        self._partial = waiting[consumed:]
        chunks: list[LogChunk] = []
        group: list[Frame] = []
        size = 0
        for frame in frames:
            if group and not (_alike(group[-1], frame) and size + frame.size <= _CHUNK_BYTES):
                self._finish(group, chunks)
                group, size = [], 0
            group.append(frame)
            size += frame.size
        if group:
            self._finish(group, chunks)
        return chunks

    def _finish(self, group: list[Frame], chunks: list[LogChunk]) -> None:
        start = self.offset
        self.offset += sum(frame.size for frame in group)
        name = _STREAMS.get(group[0].stream)
        if name is None or self._stream not in {None, name}:
            return
        data = b"".join([shown(frame) for frame in group])
        chunks.append(LogChunk(name, data, start, self.offset, group[0].milliseconds))

    def drop_partial(self) -> None:
        """Forget the beginning of a frame whose source broke off."""
        self._partial = b""


def _alike(one: Frame, other: Frame) -> bool:
    return one.stream == other.stream and one.milliseconds == other.milliseconds
