"""An output while it is written: its last bytes in memory.

Used on the event loop's thread only, so it needs no lock; what is handed to the writer's thread is
immutable. Everything kept is whole frames: the beginning of a frame waits in `_partial`, is not
readable and does not count as held.

Positions come in two counts. *Offsets* are those of the stored stream. The *source* count is that
of whoever feeds it; the two differ once output had to be dropped, because a gap frame stands for
what was left out.
"""

import asyncio
from collections.abc import Sequence

from croncord.errors import Conflict
from croncord.frames import END, SYSTEM, Frame, decode_frames, encode_frame, encode_gap
from croncord.logs.chunks import CHUNK_BYTES, Chunk, Position, from_frame, merge
from croncord.logs.keys import LogRow
from croncord.logs.tally import Tally, output_bytes


class LiveLog:
    """The end of one output. `tail` is what is not in blocks yet; older bytes are on disk only."""

    def __init__(self, raw_key: bytes, row: LogRow, held: Position, tally: Tally) -> None:
        self.raw_key = raw_key
        self.row = row
        self.tally = tally
        self.blocks_end = held
        """Where the blocks on disk end."""
        self.tail: list[Chunk] = []
        self.end = held.offset
        self.handed_over = held.offset
        """Bytes before it were given to the writer."""
        self.first_entry: int | None = None
        """The oldest journal entry that the tail needs after a crash."""
        self.tail_since: float | None = None
        """When the oldest byte of the tail came, on the loop's clock."""
        self.finished = False
        """Nothing more will come: it is sealed, or about to be."""
        self.resting = False
        """Nobody feeds it at present: it leaves memory with the next commit."""
        self.behind = False
        """Its run is over and other nodes have more of it."""
        self.is_own = False
        """A process of this node writes it."""
        self.is_fenced = False
        """Its writer was declared lost: nothing is taken from there any more."""
        self.durable_bytes = held.bytes
        """Output that a crash of this node cannot take away."""
        self._source = held.source
        self._partial = b""
        self.dropped_bytes = 0
        """All output that was left out, for want of room."""
        self._untold_bytes = 0
        self._changed = asyncio.Event()

    @property
    def taken(self) -> int:
        """Where the feeder goes on, in its own count."""
        return self._source + len(self._partial)

    @property
    def is_ending(self) -> bool:
        """Whether it leaves memory with the next commit."""
        return self.finished or self.resting

    @property
    def source_end(self) -> int:
        """The end of what is held, in the feeder's count."""
        return self._source

    def feed(self, source: int, data: bytes, *, drop: str = "") -> int:
        """Take bytes that stand at `source` in the feeder's count; what is known is ignored.

        With `drop`, a reason, output is counted and left out; a remark tells where that begins and
        a gap how much it was. The end frame is always kept. Returns the bytes added. Raises Conflict when bytes before these are missing.
        """
        known = self.taken - source
        if known < 0:
            hint = f"Go on at {self.taken}."
            raise Conflict(f"bytes {self.taken} to {source} of this output are missing", hint=hint)
        if known >= len(data):
            return 0
        if self.finished:
            raise Conflict("this output is sealed", hint="Nothing can be added to it.")
        if self.is_fenced:
            raise Conflict("this output is fenced: the node that writes it was declared lost")
        waiting = self._partial + data[known:]
        frames, consumed = decode_frames(waiting)
        self._partial = waiting[consumed:]
        before = self.end
        if drop:
            self._drop(frames, drop)
        else:
            self._keep(frames, waiting)
        if self.end > before:
            self.announce()
        return self.end - before

    def _keep(self, frames: Sequence[Frame], data: bytes) -> None:
        if frames and self._untold_bytes:
            self._note_gap(frames[0].milliseconds)
        batch: list[Frame] = []
        start = end = 0
        for frame in frames:
            batch.append(frame)
            end += frame.size
            if end - start >= CHUNK_BYTES:
                self._add(batch, data[start:end], end - start)
                batch, start = [], end
        if batch:
            self._add(batch, data[start:end], end - start)

    def _add(self, frames: Sequence[Frame], data: bytes, source_bytes: int) -> None:
        self._source += source_bytes
        output, lines = self.tally.add(frames)
        self.tail.append(Chunk(self.end, data, self._source, output, lines))
        self.end += len(data)

    def _drop(self, frames: Sequence[Frame], reason: str) -> None:
        for frame in frames:
            if frame.stream == END:
                self._keep([frame], encode_frame(END, frame.payload, frame.milliseconds))
                continue
            size = len(output_bytes([frame]))
            if size and not self._untold_bytes:
                self._remark(f"output is dropped here: {reason}", frame.milliseconds)
            self._source += frame.size
            self._untold_bytes += size
            self.dropped_bytes += size

    def _remark(self, text: str, milliseconds: int) -> None:
        remark = encode_frame(SYSTEM, text.encode(), milliseconds)
        self._add(decode_frames(remark)[0], remark, 0)

    def _note_gap(self, milliseconds: int) -> None:
        gap = encode_gap(self._untold_bytes, milliseconds)
        self._untold_bytes = 0
        frames, _ = decode_frames(gap)
        self._add(frames, gap, 0)

    def finish(self) -> None:
        """Nothing more will be fed: write down what was dropped last."""
        if self._untold_bytes:
            self._note_gap(0)
        self._partial = b""
        self.finished = True
        self.announce()

    def read(self, offset: int, limit: int) -> bytes:
        """Return up to about `limit` framed bytes from an offset in the tail.

        Raises Invalid when no frame begins there.
        """
        pieces: list[bytes] = []
        size = 0
        for chunk in self.tail[self._chunk_at(offset) :]:
            skip = max(0, offset - chunk.offset)
            pieces.append(from_frame(chunk.data, skip) if skip else chunk.data)
            size += len(pieces[-1])
            if size >= limit:
                break
        return b"".join(pieces)

    def _chunk_at(self, offset: int) -> int:
        """Index of the chunk that holds the offset; readers are near the end, so from there."""
        index = len(self.tail)
        while index and self.tail[index - 1].end > offset:
            index -= 1
        return index

    def hand_over(self) -> list[Chunk]:
        """Return what the writer has not seen, and make one chunk of the small ones."""
        first = len(self.tail)
        while first and self.tail[first - 1].offset >= self.handed_over:
            first -= 1
        self.tail[first:] = merge(self.tail[first:])
        self.handed_over = self.end
        return self.tail[first:]

    def forget_before(self, position: Position) -> None:
        """Blocks up to there are on disk: free the memory."""
        self.blocks_end = position
        self.tail = [chunk for chunk in self.tail if chunk.offset >= position.offset]

    def announce(self) -> None:
        """Wake who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Return when bytes were added, or it was sealed or let go."""
        await self._changed.wait()
