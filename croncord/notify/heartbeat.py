"""Signs of life: the leader calls an address now and then, so that an outsider notices silence.

Only a leader that a majority answers calls. So the silence means: nothing is scheduled here any more.
"""

import logging
from collections.abc import Awaitable, Callable

from croncord.clock import Clock
from croncord.notify.undelivered import Undelivered
from croncord.raft.port import Replica
from croncord.raft.state import ClusterState

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class Heartbeat:
    """Runs on every node and calls while its node leads."""

    def __init__(
        self, *, replica: Replica, clock: Clock, beat: Callable[[ClusterState], Awaitable[None]]
    ) -> None:
        self._replica = replica
        self._clock = clock
        self._beat = beat
        self._next_at = 0.0
        self._trouble = ""

    async def run(self) -> None:
        """Call for ever; cancel to stop."""
        while True:
            state, status = self._replica.state, self._replica.status()
            settings = state.notify_rule.heartbeat
            leads = status.role == "leader" and status.has_quorum
            if settings.shown and leads and self._clock.monotonic() >= self._next_at:
                self._next_at = self._clock.monotonic() + settings.every_seconds
                await self._call(state)
            await self._clock.sleep(LOOK_SECONDS)

    async def _call(self, state: ClusterState) -> None:
        """Call once; a failure is logged when it is news, and the next call is made in time."""
        trouble = ""
        try:
            await self._beat(state)
        except Undelivered as failure:
            trouble = str(failure)
        if trouble != self._trouble:
            log.warning(
                "the heartbeat %s",
                f"fails: {trouble}" if trouble else "is taken again",
                extra={"action": "heartbeat"},
            )
        self._trouble = trouble
