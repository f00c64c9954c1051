"""The leader's hands: reads the clock, asks the planner, proposes what it decided, sleeps.

It trusts nothing about being the leader: each decision carries the term, and the state machine
refuses those of an older one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import timedelta

from croncord.clock import Clock
from croncord.errors import CronCordError, NoLeader
from croncord.node.planner import Facts, Limits, plan
from croncord.node.sightings import SightingBook
from croncord.raft.command import LeaderCommand
from croncord.raft.commands import AnyCommand
from croncord.raft.port import Replica, ReplicaStatus
from croncord.raft.state import Outcome

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.2
FIRST_REPORTS_SECONDS = 0.25
"""A new leader waits at most that long for the reports of half of the others."""


class Dispatcher:
    """Runs on every node and decides while its node leads."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        clock: Clock,
        sightings: SightingBook,
        limits: Limits | None = None,
    ) -> None:
        self._name = name
        self._replica = replica
        self._clock = clock
        self._sightings = sightings
        self._limits = limits or Limits()
        self._news = asyncio.Event()
        self._elected_at: tuple[int, float] = (0, 0.0)

    async def run(self) -> None:
        """Decide for ever; cancel to stop."""
        unsubscribe = self._replica.subscribe(self._on_applied)
        unwatch = self._replica.on_status_change(lambda _: self._news.set())
        try:
            while True:
                await self._round()
        finally:
            unsubscribe()
            unwatch()

    def report_arrived(self) -> None:
        """Look again: a node that was thought silent has reported."""
        self._news.set()

    async def _round(self) -> None:
        self._news.clear()
        status = self._replica.status()
        if status.role != "leader":
            await self._news.wait()
            return
        try:
            wait_seconds = await self._decide(status)
        except CronCordError as error:
            # No quorum, or an unknown outcome: nothing is lost, the next round plans from the state.
            log.warning("could not decide: %s", error, extra={"action": "decide_failed"})
            wait_seconds = RETRY_SECONDS
        with contextlib.suppress(TimeoutError):
            # Not wait_for: before Python 3.12 it loses a cancellation that comes with the news.
            async with asyncio.timeout(max(0.0, wait_seconds)):
                await self._news.wait()

    async def _decide(self, status: ReplicaStatus) -> float:
        """Propose everything that can be decided now; returns seconds until the next look."""
        if self._elected_at[0] != status.term:
            elected_at = self._clock.monotonic()
            await self._replica.barrier()
            await self._hear_others(elected_at)
            self._elected_at = (status.term, elected_at)
        state = self._replica.state
        names = sorted({*state.nodes, *state.nodes_with_runs()})
        silent = self._sightings.silent_seconds(names, since=self._elected_at[1])
        now = self._clock.now()
        decided = plan(
            state,
            Facts(
                now=now,
                term=status.term,
                leader=self._name,
                silent_seconds=silent,
                quiet=self._quiet(names, since=self._elected_at[1]),
                offsets_ms=self._sightings.offsets_ms(),
                pressed=self._sightings.pressed(),
                holding_cpu=self._sightings.holding_cpu(),
                led_since=now - timedelta(seconds=self._clock.monotonic() - self._elected_at[1]),
            ),
            self._limits,
        )
        for command in decided.commands:
            outcome = await self._replica.propose(command)
            if outcome.refusal is not None and outcome.refusal.code == "stale_term":
                raise NoLeader(outcome.refusal.message)
        if decided.commands:
            return 0.0
        return (decided.wake_at - self._clock.now()).total_seconds()

    async def _hear_others(self, elected_at: float) -> None:
        """Wait a moment for reports: the old leader may be dead, and is not to get the first runs."""
        others = self._replica.state.nodes.keys() - {self._name}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_REPORTS_SECONDS):
                while len(self._quiet(sorted(others), since=elected_at)) > len(others) // 2:
                    self._news.clear()
                    await self._news.wait()

    def _quiet(self, names: Sequence[str], *, since: float) -> frozenset[str]:
        return self._sightings.quiet(names, since=since, after=self._limits.quiet_after_seconds)

    def _on_applied(self, _index: int, command: AnyCommand, _outcome: Outcome) -> None:
        if not isinstance(command, LeaderCommand):
            self._news.set()
