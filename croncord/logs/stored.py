"""One output as the blocks on disk hold it: from an offset on, and counted again."""

from typing import Final

from croncord.frames import decode_frames
from croncord.logs.blocks import DamagedError
from croncord.logs.chunks import Position, from_frame
from croncord.logs.disk import Disk
from croncord.logs.keys import unpack
from croncord.logs.tally import Tally

READ_BYTES: Final = 256 * 1024
"""A reader gets about so much at a time, and that much is in memory for it."""


def read_blocks(disk: Disk, raw_key: bytes, offset: int) -> bytes:
    """Return whole frames from an offset on, about `READ_BYTES`, nothing where blocks end.

    Raises Invalid when no frame begins there, DamagedError.
    """
    start, data = disk.read(raw_key, offset, READ_BYTES)
    skip = offset - start
    if skip >= len(data):
        return b""
    return from_frame(data, skip) if skip else data


def replay(disk: Disk, raw_key: bytes) -> tuple[Position, Tally]:
    """Count an output's blocks again: a running digest cannot be stored. Raises DamagedError."""
    end = disk.blocks_end(raw_key)
    tally = Tally()
    offset = 0
    while offset < end.offset:
        data = read_blocks(disk, raw_key, offset)
        frames, consumed = decode_frames(data)
        if not consumed:
            raise DamagedError(f"bytes {offset} to {end.offset} of {unpack(raw_key)} are gone")
        tally.add(frames)
        offset += consumed
    return end, tally
