"""Says once in a while that this node is alive, and how it is, to the service manager.

It runs on the event loop, so a loop that is stuck falls silent, and the service manager's watchdog
ends the process. It falls silent on purpose when the consensus thread is stuck or gone. A node that
has no leader, or waits to be let in, is alive: restarting it would help nobody.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from croncord.clock import Clock
from croncord.service_manager import ServiceManager

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
EXTEND_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 5.0
"""How long a start may wait for others before it counts as done."""
STUCK_SECONDS: Final = 60.0
"""A consensus thread that has not gone round for so long is stuck; it may wait for a slow disk."""


class Liveness:
    """One loop from the first step of the start to the last of the stop."""

    def __init__(self, manager: ServiceManager, clock: Clock) -> None:
        self._manager = manager
        self._clock = clock
        self._is_working: Callable[[], bool] = lambda: True
        self._describe: Callable[[], str] = lambda: "starting"
        self._waits_for, self._waits_since = "", 0.0
        self._was_working = True

    def watch(self, is_working: Callable[[], bool]) -> None:
        """Fall silent from now on while this says no."""
        self._is_working = is_working

    def serving(self, describe: Callable[[], str]) -> None:
        """End the start: the node serves its address. `describe` says how it is from now on."""
        self._describe = describe
        if not self._manager.was_told_ready:
            self._manager.ready()
        self._manager.status(describe())

    @contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """Within this the start may wait for others as long as they please.

        After a few seconds the service manager is told that the node has started: its own part is done.
        """
        self._waits_for, self._waits_since = for_what, self._clock.monotonic()
        try:
            yield
        finally:
            self._waits_for = ""

    def ending(self) -> None:
        """Begin the stop, in which the consensus thread ends too."""
        self._is_working = lambda: True
        self._describe = lambda: "stopping; runs go on"
        self._manager.stopping()
        self._manager.status(self._describe())

    async def run(self) -> None:
        """Tell for ever; cancel to stop."""
        period_seconds = LOOK_SECONDS
        if self._manager.watchdog_seconds:
            period_seconds = min(LOOK_SECONDS, self._manager.watchdog_seconds / 4)
        while self._manager.is_there:
            self._look()
            await self._clock.sleep(period_seconds)

    def _look(self) -> None:
        self._manager.settle()
        is_working = self._is_working()
        if is_working:
            self._manager.alive()
        elif self._was_working:
            log.critical("the consensus thread is stuck or gone; the watchdog is left to bark")
        self._was_working = is_working
        if self._manager.was_told_ready:
            self._manager.status(self._waits_for or self._describe())
        elif self._waits_for and self._clock.monotonic() - self._waits_since >= PATIENCE_SECONDS:
            self._manager.ready()
            self._manager.status(self._waits_for)
        else:
            self._manager.starting(EXTEND_SECONDS)
