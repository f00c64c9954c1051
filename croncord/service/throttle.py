"""Slowing down who guesses passwords. In memory, on each node for itself."""

import math
from collections import OrderedDict
from typing import ClassVar

from croncord.clock import Clock
from croncord.errors import CronCordError

FREE_FAILURES = 5
LONGEST_SECONDS = 300.0
KEYS_MAX = 10_000


class Throttled(CronCordError):
    """Too many failed attempts; says how long to wait."""

    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many attempts"
    exit_code: ClassVar[int] = 4

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(
            "too many failed attempts to sign in",
            hint=f"Wait {retry_after_seconds} seconds, then try again.",
        )
        self.retry_after_seconds = retry_after_seconds


class Throttle:
    """Counts failures per key; after five, each further one doubles the wait up to 5 minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def attempt(self, *keys: str) -> None:
        """Count an attempt as failed until `succeeded` says otherwise. Raises Throttled.

        Counting first keeps parallel attempts from slipping past the limit.
        """
        now = self._clock.monotonic()
        wait = max(self._failures.get(key, (0, now))[1] - now for key in keys)
        if wait > 0:
            raise Throttled(math.ceil(wait))
        for key in keys:
            count = self._failures.pop(key, (0, now))[0] + 1
            delay = 0.0
            if count >= FREE_FAILURES:
                delay = min(LONGEST_SECONDS, 2.0 ** min(count - FREE_FAILURES, 16))
            self._failures[key] = (count, now + delay)
        while len(self._failures) > KEYS_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        """Forget the failures of these keys."""
        for key in keys:
            self._failures.pop(key, None)
