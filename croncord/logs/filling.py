"""What this node lacks is asked of every other node, until each has answered; and again now and then.

Who did not answer may be the one that has what is lacking: it is asked until it does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from croncord.clock import Clock
from croncord.errors import CronCordError

FIRST_PAUSE_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class Filling:
    """Asks in rounds; a round begins after a while, and when something is known to be lacking."""

    def __init__(
        self,
        what: str,
        fill_from: Callable[[str], Awaitable[int]],
        *,
        lacks: asyncio.Event,
        clock: Clock,
        addresses: Callable[[], Mapping[str, str]],
        pause_seconds: float,
        on_filled: Callable[[], None] = lambda: None,
    ) -> None:
        """`fill_from` takes what is lacking from an address and returns how much that was.

        `addresses` gives the other members by name; `on_filled` is told that something came.
        """
        self._what = what
        self._fill_from = fill_from
        self._lacks = lacks
        self._clock = clock
        self._addresses = addresses
        self._pause_seconds = pause_seconds
        self._on_filled = on_filled

    async def run(self) -> None:
        """Ask for ever; cancel to stop."""
        await self._clock.sleep(FIRST_PAUSE_SECONDS)
        answered: set[str] = set()
        begun = self._clock.monotonic()
        while True:
            if self._lacks.is_set() or self._clock.monotonic() > begun + self._pause_seconds:
                self._lacks.clear()
                answered, begun = set(), self._clock.monotonic()
            answered |= await self.ask(answered)
            await self._clock.sleep(RETRY_SECONDS)

    async def ask(self, known: Collection[str] = ()) -> set[str]:
        """Ask every member once, but for those in `known`; returns who answered."""
        answered = set()
        for name, address in self._addresses().items():
            if name in known:
                continue
            try:
                count = await self._fill_from(address)
            except CronCordError as error:
                _log.info("no %s from %s: %s", self._what, name, error)
                continue
            answered.add(name)
            if count:
                _log.info("took %d %s from %s", count, self._what, name)
                self._on_filled()
        return answered
