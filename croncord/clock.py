"""Where time comes from: a port, the real clock, and one that tests move by hand."""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits. Instants are aware UTC with millisecond resolution."""

    def now(self) -> datetime:
        """Wall-clock time; may step when the machine's clock is corrected."""

    def monotonic(self) -> float:
        """Seconds that only grow; for measuring how long something took."""

    async def sleep(self, seconds: float) -> None:
        """Wait for that long; at once when zero or negative."""


def to_milliseconds(instant: datetime) -> datetime:
    """Cut below the millisecond: the resolution of every agreed instant."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's idea of now."""
        return to_milliseconds(datetime.now(UTC))

    def monotonic(self) -> float:
        """Return seconds since some fixed point in the past."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that stands still until `advance` moves it and wakes the sleepers in order."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._elapsed_seconds = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the instant the clock was last moved to."""
        return to_milliseconds(self._now)

    def monotonic(self) -> float:
        """Return the sum of all advances in seconds."""
        return self._elapsed_seconds

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has passed that many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        wake_at = self._elapsed_seconds + seconds
        heapq.heappush(self._sleepers, (wake_at, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move time forward, waking each sleeper at its own instant."""
        end = self._elapsed_seconds + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            wake_at, _, woken = heapq.heappop(self._sleepers)
            self._move_to(wake_at)
            if not woken.done():
                woken.set_result(None)
            for _ in range(3):
                await asyncio.sleep(0)
        self._move_to(end)

    def step(self, seconds: float) -> None:
        """Jump the wall clock only, as a correction of the machine's clock does."""
        self._now += timedelta(seconds=seconds)

    def _move_to(self, elapsed_seconds: float) -> None:
        self._now += timedelta(seconds=elapsed_seconds - self._elapsed_seconds)
        self._elapsed_seconds = elapsed_seconds
