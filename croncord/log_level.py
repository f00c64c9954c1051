"""How much this node says about itself: what its settings say, or what was agreed on for a while."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Final

from croncord.clock import Clock
from croncord.raft.port import Replica

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 60.0
"""The clock is looked at so often: it may be corrected meanwhile."""


class LevelInForce:
    """The level of the root logger, from both."""

    def __init__(self, settings_level: str, clock: Clock) -> None:
        """Begin with the level of the settings, which is in force already."""
        self._settings_level = settings_level
        self._clock = clock
        self._in_force = settings_level
        self._changed = asyncio.Event()

    def settings_say(self, level: str) -> None:
        """Note the level that the settings have put in force; an agreed one goes before it."""
        self._settings_level = self._in_force = level
        self._changed.set()

    async def follow(self, name: str, replica: Replica) -> None:
        """Do what is agreed for this node, until its time is over; cancel to stop."""
        stop = replica.subscribe(lambda *_applied: self._note(name, replica))
        try:
            while True:
                self._changed.clear()
                left = self._look(name, replica)
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._changed.wait()
        finally:
            stop()

    def _note(self, name: str, replica: Replica) -> None:
        node = replica.state.nodes.get(name)
        if node is not None and (node.log_level or self._in_force != self._settings_level):
            self._changed.set()

    def _look(self, name: str, replica: Replica) -> float | None:
        """Put the right level in force; returns after how many seconds to look again."""
        node = replica.state.nodes.get(name)
        until = node.log_level_until if node else None
        left = None if until is None else until - self._clock.now()
        over = left is not None and left <= timedelta()
        agreed = "" if node is None or over else node.log_level
        level = agreed or self._settings_level
        if level != self._in_force:
            self._in_force = level
            logging.getLogger().setLevel(level.upper())
            why = "as was asked" if agreed else "as in the settings"
            log.log(
                max(logging.INFO, logging.getLogger().level), "the log level is %s, %s", level, why
            )
        if not agreed or left is None:
            return None
        return min(LOOK_SECONDS, left.total_seconds())
