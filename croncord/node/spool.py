"""Reads the frames that a shim writes, from the daemon's side."""

import os
from pathlib import Path
from typing import Final

from croncord.frames import (
    END,
    HEADER_BYTES,
    STDERR,
    STDOUT,
    SYSTEM,
    Frame,
    decode_frames,
    encode_frame,
)
from croncord.node import rundir

READ_BYTES: Final = 256 * 1024

_STREAMS = frozenset({STDOUT, STDERR, SYSTEM, END})


class Spool:
    """The spool of one attempt.

    It stays open: whoever removes the directory does not take the output with it. Offsets are those
    of the output in the store, because the store holds the same frames.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / rundir.SPOOL
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        self.result: bytes | None = None
        """Payload of the end frame, once that was read."""
        self.frames: list[Frame] = []
        """What the last `read` returned, decoded."""

    def read(self, offset: int) -> bytes:
        """Return the next whole frames, empty when there are none yet or what follows is damaged."""
        data = os.pread(self._descriptor, READ_BYTES, offset)
        self.frames, _ = decode_frames(data)
        sound = 0
        for count, frame in enumerate(self.frames):
            if frame.stream not in _STREAMS:  # zeros, after the machine lost power
                del self.frames[count:]
                break
            sound += frame.size
            if frame.stream == END:
                self.result = frame.payload
                del self.frames[count + 1 :]
                break
        return data[:sound]

    def ends_at(self, offset: int, result: bytes) -> bool:
        """Whether the end frame with that payload lies just before the offset."""
        begin = offset - HEADER_BYTES - len(result)
        if begin < 0:
            return False
        frames, _ = decode_frames(os.pread(self._descriptor, offset - begin, begin))
        return len(frames) == 1 and frames[0].stream == END and frames[0].payload == result

    def complete(self, offset: int, result: bytes) -> None:
        """Write the end frame that the shim could not write; what is torn there goes.

        The store may hold more than the disk kept of the spool. Then a hole fills the difference,
        which nobody reads: the store already has those bytes.
        """
        os.ftruncate(self._descriptor, offset)
        os.pwrite(self._descriptor, encode_frame(END, result, 0), offset)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
