"""What the shim writes down of a script's output, within a limit and whatever the disk does.

Imported by the shim: standard library and `croncord.frames` only.
"""

import os
import time

from croncord.frames import END, STDERR, STDOUT, SYSTEM, encode_frame, encode_gap

__all__ = ["STDERR", "STDOUT", "Capture"]


class Capture:
    """Appends frames to a spool.

    The first `limit_bytes` of output are kept. What comes later, and what the disk refuses, is
    counted and marked by a gap frame where it is missing. Nothing here raises for a full disk: a
    script must not suffer from it.
    """

    def __init__(self, spool: int, limit_bytes: int) -> None:
        self._spool = spool
        self._room = limit_bytes
        self._limit_bytes = limit_bytes
        self._started = time.monotonic()
        self._size = 0
        self._missing = 0
        self.dropped_bytes = 0
        """All output that is missing from the spool."""

    @property
    def milliseconds(self) -> int:
        """Whole milliseconds since the start."""
        return int((time.monotonic() - self._started) * 1000)

    def take(self, stream: int, data: bytes) -> None:
        """Keep what was read from one of the script's pipes."""
        kept = data[: self._room]
        if kept and self._fill_gap() and self._write(stream, kept):
            self._room -= len(kept)
        else:
            kept = b""
        cut = len(data) - len(kept)
        if not cut:
            return
        if not self._missing and self._room == 0:
            said = f"the output limit of {self._limit_bytes} bytes is reached; the rest is dropped"
            self._write(SYSTEM, said.encode())
        self._missing += cut
        self.dropped_bytes += cut

    def end(self, result: bytes) -> None:
        """Write what is missing, then the end frame."""
        self._fill_gap()
        self._write(END, result)

    def _fill_gap(self) -> bool:
        if self._missing and self._append(encode_gap(self._missing, self.milliseconds)):
            self._missing = 0
        return not self._missing

    def _write(self, stream: int, payload: bytes) -> bool:
        return self._append(encode_frame(stream, payload, self.milliseconds))

    def _append(self, frame: bytes) -> bool:
        written = 0
        try:
            while written < len(frame):
                written += os.write(self._spool, frame[written:])
        except OSError:  # no room, most likely: take back the half frame and count it as missing
            os.ftruncate(self._spool, self._size)
            return False
        self._size += len(frame)
        return True
