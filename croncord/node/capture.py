"""What the shim writes down of a script's output, within a limit and whatever the disk does.

Imported by the shim: standard library and `croncord.frames` only.
"""

import os
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from croncord.frames import END, HEADER_BYTES, STDERR, STDOUT, SYSTEM, encode_frame, encode_gap
from croncord.node.glimpses import Glimpses
from croncord.node.mask import Mask
from croncord.node.tail import Tail

__all__ = ["STDERR", "STDOUT", "Capture"]


class Capture:
    """Appends frames to a spool.

    The first `head_bytes` of output are kept as they come. Of what follows the last `tail_bytes`
    are kept aside and appended at the end. What lies between, and what the disk refuses, is counted
    and marked by a gap frame where it is missing. Nothing here raises for a full disk: a script
    must not suffer from it. Meanwhile remarks give glimpses of what is printed.
    """

    def __init__(
        self,
        spool: int,
        head_bytes: int,
        tail_bytes: int = 0,
        masks: Mapping[int, Mask] = MappingProxyType({}),
    ) -> None:
        """Take the open spool, how much is kept, and what takes secrets out of each stream."""
        self._masks = masks
        self._spool = spool
        self._room = self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._tail = Tail(tail_bytes)
        self._beyond_bytes = 0
        self._started = time.monotonic()
        self._size = 0
        self._missing = 0
        self._glimpses = Glimpses()
        self.dropped_bytes = 0
        """All output that is missing from the spool."""

    @property
    def milliseconds(self) -> int:
        """Whole milliseconds since the start."""
        return int((time.monotonic() - self._started) * 1000)

    @property
    def is_over_limit(self) -> bool:
        """Whether more was written than is kept."""
        return self._beyond_bytes > self._tail_bytes

    def take(self, stream: int, data: bytes) -> None:
        """Keep what was read from one of the script's pipes, without the secrets in it."""
        mask = self._masks.get(stream)
        self._keep(stream, mask.feed(data) if mask else data)

    def _keep(self, stream: int, data: bytes) -> None:
        head, rest = data[: self._room], data[self._room :]
        if head:
            if self._fill_gap() and self._write(stream, head):
                self._room -= len(head)
            else:
                self._miss(len(head))
        if rest:
            self._take_rest(stream, rest)

    @property
    def glimpse_at(self) -> float | None:
        """When `glimpse` has something to do, on the monotonic clock."""
        return self._glimpses.due_at

    def glimpse(self) -> bool:
        """Write a glimpse of what is not kept, if one is due; returns whether it was."""
        told = self._glimpses.take(time.monotonic())
        return bool(told) and self._write(SYSTEM, told)

    def end(self, result: bytes) -> None:
        """Write what is held back or missing, the tail, then the end frame."""
        for stream, mask in self._masks.items():
            self._keep(stream, mask.end())
        for frame in self._tail_frames():
            if not self._fill_gap() or not self._append(frame):
                self._miss(len(frame) - HEADER_BYTES)
        self._fill_gap()
        self._write(END, result)

    def _take_rest(self, stream: int, rest: bytes) -> None:
        if not self._beyond_bytes:
            self._write(SYSTEM, self._limit_told().encode())
        self._beyond_bytes += len(rest)
        if not self._tail_bytes:
            self._miss(len(rest))
            return
        self._glimpses.note(rest, time.monotonic())
        before = self._tail.cut_bytes
        try:
            self._tail.push(encode_frame(stream, rest, self.milliseconds))
        except OSError:  # no room, or no directory any more
            self._miss(len(rest))
        self._miss(self._tail.cut_bytes - before)

    def _limit_told(self) -> str:
        if not self._tail_bytes:
            return f"the output limit of {self._head_bytes} bytes is reached; the rest is dropped"
        return (
            f"the first {self._head_bytes} bytes of output are kept; "
            f"the last {self._tail_bytes} of what follows are shown here when the run has ended, "
            "glimpses of it until then"
        )

    def _tail_frames(self) -> Iterator[bytes]:
        try:
            yield from self._tail.frames()
        except OSError:  # a disk that does not even read: the result still gets its end frame
            return

    def _miss(self, count: int) -> None:
        self._missing += count
        self.dropped_bytes += count

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
