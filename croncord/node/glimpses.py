"""What a script prints while its output is not being kept, shown a little at a time.

Beyond its first part an output is only counted until its end, and who follows it would see nothing for
hours. So now and then the newest lines are written down as a remark: everybody sees the same ones, live
and later, and they are no part of the output. The longer that lasts the rarer they get, each 64th part of
the time that has passed: some 500 in a day, 650 in a month.

Imported by the shim: standard library only.
"""

from typing import Final

GLIMPSE_BYTES: Final = 1000
GLIMPSE_LINES: Final = 5
PAUSE_SECONDS: Final = 1.0
RARER: Final = 64


class Glimpses:
    """Says when a glimpse is due and what is in it. Times are seconds of a clock that only grows."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._due = 0.0
        self._newest = b""
        self._bytes = 0

    @property
    def due_at(self) -> float | None:
        """When to ask for one; None while there is nothing new."""
        return self._due if self._newest else None

    def note(self, data: bytes, now: float) -> None:
        """Something was printed that is not kept in its place."""
        if self._began is None:
            self._began, self._due = now, now + PAUSE_SECONDS
        self._newest = (self._newest + data[-GLIMPSE_BYTES:])[-GLIMPSE_BYTES:]
        self._bytes += len(data)

    def take(self, now: float) -> bytes:
        """Return the glimpse that is due, empty when none is."""
        if self._began is None or not self._newest or now < self._due:
            return b""
        lines = self._newest.rstrip(b"\n").split(b"\n")
        if len(lines) > 1 and len(self._newest) == GLIMPSE_BYTES:
            del lines[0]  # most likely its beginning is missing
        told = b"\n".join(lines[-GLIMPSE_LINES:])
        self._newest = b""
        self._due = now + max(PAUSE_SECONDS, (now - self._began) / RARER)
        return b"%d bytes further on, not all of them kept:\n%b" % (self._bytes, told)
