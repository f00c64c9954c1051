"""The last bytes of an output of unknown length, kept in two files that take turns.

Imported by the shim: standard library and `croncord.frames` only.
"""

# Plain paths: this is loaded for every shim, where pathlib costs memory and buys nothing.
# ruff: noqa: PTH108

import os
from collections.abc import Iterator
from typing import Final

from croncord.frames import HEADER_BYTES, Frame, decode_frames, encode_frame

_PIECE_BYTES: Final = 256 * 1024


class Tail:
    """Keeps frames that together hold at least the last `size` bytes of payload, if there are any.

    The files lose their names at once, so nothing is left behind whatever happens; they are made
    when the first frame comes, because most outputs never need them.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._files: list[int] = []
        self._held = [0, 0]
        """Payload bytes in the older and the newer file."""
        self._let_go_bytes = 0

    def push(self, frame: bytes) -> None:
        """Add a frame. Raises OSError and keeps what it held when the disk cannot take it."""
        if not self._files:
            self._files = [_nameless(".tail-a"), _nameless(".tail-b")]
        if self._held[1] >= self._size:
            self._files.reverse()
            self._let_go_bytes += self._held[0]
            self._held = [self._held[1], 0]
            os.ftruncate(self._files[1], 0)
        file = self._files[1]
        end = os.lseek(file, 0, os.SEEK_END)
        try:
            written = 0
            while written < len(frame):
                written += os.write(file, frame[written:])
        except OSError:
            os.ftruncate(file, end)
            raise
        self._held[1] += len(frame) - HEADER_BYTES

    @property
    def cut_bytes(self) -> int:
        """How many of the bytes it was given come before the last ones."""
        return self._let_go_bytes + self._surplus_bytes

    @property
    def _surplus_bytes(self) -> int:
        return max(0, sum(self._held) - self._size)

    def frames(self) -> Iterator[bytes]:
        """Yield frames that hold exactly the last bytes."""
        skip = self._surplus_bytes
        for frame in self._read():
            if skip >= len(frame.payload):
                skip -= len(frame.payload)
                continue
            yield encode_frame(frame.stream, frame.payload[skip:], frame.milliseconds)
            skip = 0

    def _read(self) -> Iterator[Frame]:
        for file in self._files:
            at = 0
            while data := os.pread(file, _PIECE_BYTES, at):
                frames, consumed = decode_frames(data)
                at += consumed
                yield from frames


def _nameless(name: str) -> int:
    file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    os.unlink(name)
    return file
