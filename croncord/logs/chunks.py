"""Whole frames in memory, and how they are cut into blocks. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from croncord.errors import FieldError, Invalid
from croncord.frames import decode_frames
from croncord.logs.blocks import BLOCK_BYTES, BlockHeader

CHUNK_BYTES: Final = 64 * 1024


class Position(NamedTuple):
    """A place in an output, and what was counted up to it."""

    offset: int = 0
    source: int = 0
    """The same place in the count of who feeds the output; see `croncord.logs.live`."""
    bytes: int = 0
    lines: int = 0


class Chunk(NamedTuple):
    """Some whole frames, as stored."""

    offset: int
    data: bytes
    source_end: int
    bytes: int
    """Bytes of output in it."""
    lines: int

    @property
    def end(self) -> int:
        """The offset after it."""
        return self.offset + len(self.data)


class Block(NamedTuple):
    """What is to become a block."""

    offset: int
    header: BlockHeader
    data: bytes


def cut_blocks(
    chunks: Sequence[Chunk], start: Position, *, everything: bool
) -> tuple[list[Block], Position]:
    """Cut chunks that begin at `start` into blocks; also returns where the last one ends.

    Without `everything` what does not fill a block is left for later.
    """
    blocks: list[Block] = []
    at = start
    group: list[Chunk] = []
    size = 0
    for index, chunk in enumerate(chunks):
        group.append(chunk)
        size += len(chunk.data)
        is_last = everything and index == len(chunks) - 1
        if size < BLOCK_BYTES and not is_last:
            continue
        one = join(group)
        header = BlockHeader(size, one.source_end, at.bytes, at.lines, one.bytes, one.lines)
        blocks.append(Block(at.offset, header, one.data))
        at = Position(one.end, one.source_end, at.bytes + one.bytes, at.lines + one.lines)
        group, size = [], 0
    return blocks, at


def merge(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Join small neighbours, up to `CHUNK_BYTES` each."""
    merged: list[Chunk] = []
    group: list[Chunk] = []
    size = 0
    for chunk in chunks:
        if group and size + len(chunk.data) > CHUNK_BYTES:
            merged.append(join(group))
            group, size = [], 0
        group.append(chunk)
        size += len(chunk.data)
    if group:
        merged.append(join(group))
    return merged


def join(group: Sequence[Chunk]) -> Chunk:
    """Return neighbours, at least one, as one."""
    if len(group) == 1:
        return group[0]
    return Chunk(
        group[0].offset,
        b"".join([chunk.data for chunk in group]),
        group[-1].source_end,
        sum(chunk.bytes for chunk in group),
        sum(chunk.lines for chunk in group),
    )


def from_frame(data: bytes, skip: int) -> bytes:
    """Return whole frames without the first `skip` bytes. Raises Invalid if none begins there."""
    _, consumed = decode_frames(data[:skip])
    if consumed != skip:
        raise Invalid(
            [FieldError("offset", "is not a position in this output")],
            hint="Use the next_offset of a piece that was read, or 0.",
        )
    return data[skip:]
