"""Tells the leader about once a second how this node is doing, and learns how the others are."""

import asyncio
import logging
from collections.abc import Callable

from croncord.clock import Clock
from croncord.errors import CronCordError
from croncord.node.sightings import SightingBook
from croncord.ports import Peers, Vitals
from croncord.raft.port import Replica

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0


class Reporter:
    """One loop per node; on the leader it only records its own vitals."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        clock: Clock,
        book: SightingBook,
        peers: Peers | None,
        measure: Callable[[int, int], Vitals],
    ) -> None:
        """`measure` takes the runs in hand and the applied index; `peers` is None when alone."""
        self._name = name
        self._replica = replica
        self._clock = clock
        self._book = book
        self._peers = peers
        self._measure = measure
        self._reached_leader = True

    async def run(self) -> None:
        """Report for ever; cancel to stop."""
        while True:
            started_at = self._clock.monotonic()
            await self._report()
            spent_seconds = self._clock.monotonic() - started_at
            await self._clock.sleep(PERIOD_SECONDS - spent_seconds)

    async def _report(self) -> None:
        status = self._replica.status()
        state = self._replica.state
        vitals = self._measure(state.load_of(self._name), status.applied_index)
        if status.role == "leader":
            self._book.record(vitals)
            return
        leader = state.nodes.get(status.leader or "")
        if leader is None or self._peers is None:
            return
        try:
            async with asyncio.timeout(2 * PERIOD_SECONDS):
                self._book.adopt(await self._peers.send_vitals(leader.http, vitals))
        except (CronCordError, TimeoutError) as error:
            # The leader notices the silence by itself; the next report tries again.
            if self._reached_leader:
                log.warning("the leader %s did not take a report: %s", leader.name, error)
            self._reached_leader = False
        else:
            self._reached_leader = True
