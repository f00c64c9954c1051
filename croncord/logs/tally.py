"""Counts of an output as it grows: what becomes its `LogInfo`."""

import hashlib
from collections.abc import Sequence

from croncord.frames import END, Frame, gap_bytes
from croncord.model import LogInfo


def output_bytes(frames: Sequence[Frame]) -> bytes:
    """Return what the process wrote, stdout and stderr as stored, without headers."""
    return b"".join([frame.payload for frame in frames if frame.is_output])


def is_same_output(held: LogInfo, agreed: LogInfo) -> bool:
    """Whether nothing is missing: the digest does not cover the end frame."""
    is_equal = held.sha256 == agreed.sha256 and bool(agreed.sha256)
    return is_equal and held.complete == agreed.complete


class Tally:
    """Feed it every frame in order; it never needs them again."""

    def __init__(self) -> None:
        self.bytes = 0
        self.lines = 0
        self.truncated_bytes = 0
        self.ended = False
        self._digest = hashlib.sha256()

    def add(self, frames: Sequence[Frame]) -> tuple[int, int]:
        """Count them; returns the bytes and lines of output among them."""
        output = output_bytes(frames)
        lines = output.count(b"\n")
        self._digest.update(output)
        self.bytes += len(output)
        self.lines += lines
        for frame in frames:
            self.truncated_bytes += gap_bytes(frame)
            self.ended = self.ended or frame.stream == END
        return len(output), lines

    @property
    def sha256(self) -> str:
        """Digest of the output so far."""
        return self._digest.hexdigest()

    def growing(self) -> LogInfo:
        """Return the counts of an output that is not sealed: no digest."""
        return LogInfo(bytes=self.bytes, lines=self.lines, truncated_bytes=self.truncated_bytes)

    def final(self) -> LogInfo:
        """Return what there is to know once nothing more will come."""
        return LogInfo(
            bytes=self.bytes,
            lines=self.lines,
            truncated_bytes=self.truncated_bytes,
            sha256=self.sha256,
            complete=self.ended,
        )
