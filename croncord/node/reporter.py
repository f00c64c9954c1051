"""Tells the leader about once a second how this node is doing, and learns how the others are.

A new leader is told at once: until it has heard of a node it gives it nothing to do.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from croncord.clock import Clock
from croncord.errors import CronCordError
from croncord.node.sightings import SightingBook
from croncord.ports import Peers, Vitals
from croncord.raft.port import Replica, ReplicaStatus

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
        self._told: str | None = None
        """The leader that was reported to last."""
        self._new_leader = asyncio.Event()
        self._patience: asyncio.Timeout | None = None
        """For the answer of the leader that is being reported to."""

    async def run(self) -> None:
        """Report for ever; cancel to stop."""
        unwatch = self._replica.on_status_change(self._on_status)
        try:
            while True:
                next_at = self._clock.monotonic() + PERIOD_SECONDS
                await self._report()
                while await self._leader_changes_before(next_at):
                    await self._report()
        finally:
            unwatch()

    def _on_status(self, status: ReplicaStatus) -> None:
        if status.leader not in (None, self._told):
            self._new_leader.set()
            if self._patience is not None and not self._patience.expired():
                self._patience.reschedule(0)  # the old one is not waited for

    async def _leader_changes_before(self, monotonic: float) -> bool:
        """Wait until then, or until there is another leader: nodes keep their turns."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, monotonic - self._clock.monotonic())):
                await self._new_leader.wait()
                return True
        return False

    async def _report(self) -> None:
        self._new_leader.clear()
        status = self._replica.status()
        self._told = status.leader
        state = self._replica.state
        vitals = self._measure(state.load_of(self._name), status.applied_index)
        if status.role == "leader":
            self._book.record(vitals)
            return
        leader = state.nodes.get(status.leader or "")
        if leader is None or self._peers is None:
            return
        try:
            async with asyncio.timeout(2 * PERIOD_SECONDS) as self._patience:
                self._book.adopt(await self._peers.send_vitals(leader.http, vitals))
        except (CronCordError, TimeoutError) as error:
            # The leader notices the silence by itself; the next report tries again.
            if self._reached_leader:
                log.warning("the leader %s did not take a report: %s", leader.name, error)
            self._reached_leader = False
        else:
            self._reached_leader = True
        finally:
            self._patience = None
