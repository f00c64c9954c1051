"""Gets results agreed: many at once, and as often as it takes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from croncord.clock import Clock
from croncord.errors import CronCordError
from croncord.raft.commands import FinishRuns, RunResult
from croncord.raft.port import Replica

log = logging.getLogger(__name__)

BATCH: Final = 100
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0


class ResultDesk:
    """Holds results until the cluster has agreed on them. Repeating one is harmless."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        clock: Clock,
        leader_now: Callable[[], datetime],
        on_agreed: Callable[[Sequence[RunResult]], Awaitable[None]],
    ) -> None:
        """`on_agreed` is told which results need not be kept any longer."""
        self._name = name
        self._replica = replica
        self._clock = clock
        self._leader_now = leader_now
        self._on_agreed = on_agreed
        self._results: list[RunResult] = []
        self._arrived = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether everything handed in is agreed."""
        return not self._results

    def hand_in(self, result: RunResult) -> None:
        """Take a result."""
        self._results.append(result)
        self._arrived.set()

    async def run(self) -> None:
        """Get results agreed for ever; cancel to stop."""
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            await self._arrived.wait()
            batch = tuple(self._results[:BATCH])
            command = FinishRuns(
                at=self._leader_now(), by=f"node:{self._name}", node=self._name, results=batch
            )
            try:
                outcome = await self._replica.propose(command)
            except CronCordError as error:
                # Kept, and said again: the state machine ignores what it knows already.
                log.warning("%d results are not agreed yet: %s", len(self._results), error)
                await self._clock.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
                continue
            if outcome.refusal is not None:
                log.error("the cluster refused %d results: %s", len(batch), outcome.refusal.message)
            pause_seconds = FIRST_PAUSE_SECONDS
            await self._on_agreed(batch)
            del self._results[: len(batch)]
            if not self._results:
                self._arrived.clear()
