"""The leader's voice: raises alarms, hands notices to their channels, confirms what was taken.

It runs beside the dispatcher and is not waited for by anything that launches. What it knows besides
the agreed state it can forget: a new leader tries every delivery that is not confirmed, so each
arrives at least once; one that was handed over and not confirmed arrives twice, with the same id.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from croncord.clock import Clock
from croncord.errors import CronCordError, NoLeader
from croncord.notification import Channel, Delivery
from croncord.notify.alarms import alarms
from croncord.notify.undelivered import Undelivered
from croncord.notify_rules import next_try
from croncord.raft.commands import AnyCommand
from croncord.raft.notify_commands import DeliveryResult, RecordDeliveries
from croncord.raft.port import Replica, ReplicaStatus
from croncord.raft.state import ClusterState, Outcome

log = logging.getLogger(__name__)

ALARM_SECONDS = 5.0
RETRY_SECONDS = 1.0
_IN_A_ROW = 20
_RESULTS_MAX = 200

Send = Callable[[ClusterState, Channel, Delivery], Awaitable[None]]
"""Hands a notice to a channel. Raises Undelivered."""


class Notifier:
    """Runs on every node and speaks while its node leads."""

    def __init__(self, *, name: str, replica: Replica, clock: Clock, send: Send) -> None:
        self._by = f"node:{name}"
        self._replica = replica
        self._clock = clock
        self._send = send
        self._news = asyncio.Event()
        self._term = 0
        self._known = 0
        self._look_at = 0.0
        self._busy: dict[str, asyncio.Task[None]] = {}
        """Channels that are being handed notices; one task each, so they come in order."""
        self._silent: dict[str, tuple[int, float]] = {}
        """Channels that cannot be reached: how often, and until when they are left alone."""
        self._results: dict[str, DeliveryResult] = {}
        """What happened and is not agreed yet, by delivery."""

    async def run(self) -> None:
        """Speak for ever; cancel to stop."""
        unsubscribe = self._replica.subscribe(self._on_applied)
        unwatch = self._replica.on_status_change(lambda _: self._news.set())
        try:
            while True:
                await self._round()
        finally:
            unsubscribe()
            unwatch()
            await self._forget()

    async def _round(self) -> None:
        self._news.clear()
        status = self._replica.status()
        if status.role != "leader":
            await self._forget()
            await self._news.wait()
            return
        try:
            wait_seconds = await self._speak(status)
        except CronCordError as error:
            # No quorum, or an unknown outcome: the deliveries stay agreed, the next round goes on.
            log.warning("could not note deliveries: %s", error, extra={"action": "notify_failed"})
            wait_seconds = RETRY_SECONDS
        await self._pause(wait_seconds)

    async def _speak(self, status: ReplicaStatus) -> float:
        """Do everything that can be done now; returns seconds until the next look."""
        if self._term != status.term:
            await self._forget()
            await self._replica.barrier()
            self._term = status.term
        if self._clock.monotonic() >= self._look_at:
            await self._raise_alarms()
        await self._record()
        self._known = len(self._replica.state.deliveries)
        return self._hand_out()

    async def _raise_alarms(self) -> None:
        self._look_at = self._clock.monotonic() + ALARM_SECONDS
        command = alarms(self._replica.state, self._clock.now(), term=self._term, by=self._by)
        if command is not None:
            await self._propose(command)

    async def _record(self) -> None:
        """Have agreed what became of deliveries; kept until it is."""
        while self._results:
            batch = dict(list(self._results.items())[:_RESULTS_MAX])
            await self._propose(
                RecordDeliveries(
                    at=self._clock.now(),
                    by=self._by,
                    term=self._term,
                    results=tuple(batch.values()),
                )
            )
            for delivery_id in batch:
                del self._results[delivery_id]

    async def _propose(self, command: AnyCommand) -> None:
        outcome = await self._replica.propose(command)
        if outcome.refusal is not None:
            raise NoLeader(outcome.refusal.message)

    def _hand_out(self) -> float:
        """Start a task for each channel that something is due for; returns when to look again."""
        now, ticks = self._clock.now(), self._clock.monotonic()
        wait_seconds = max(0.0, self._look_at - ticks)
        due: dict[str, list[Delivery]] = {}
        for delivery in self._replica.state.deliveries.values():
            name = delivery.channel
            if delivery.id in self._results or name in self._busy:
                continue
            left = (delivery.next_at - now).total_seconds()
            left = max(left, self._silent.get(name, (0, ticks))[1] - ticks)
            if left > 0:
                wait_seconds = min(wait_seconds, left)
            else:
                due.setdefault(name, []).append(delivery)
        for name, deliveries in due.items():
            task = asyncio.create_task(self._serve(name, deliveries[:_IN_A_ROW]))
            self._busy[name] = task
        return wait_seconds

    async def _serve(self, name: str, deliveries: list[Delivery]) -> None:
        """Hand notices to one channel, in order, until it cannot be reached."""
        try:
            for delivery in deliveries:
                if not await self._try(name, delivery):
                    return
        finally:
            del self._busy[name]
            self._news.set()

    async def _try(self, name: str, delivery: Delivery) -> bool:
        channel = self._replica.state.channels.get(name)
        if channel is None:
            return False  # deleted meanwhile, and its deliveries with it
        error, reached = "", True
        try:
            await self._send(self._replica.state, channel, delivery)
        except Undelivered as failure:
            error, reached = str(failure) or "unknown", failure.reached
        except Exception:
            # A fault of ours: this delivery is noted as failed and tried again, the others go on.
            log.exception("handing a notice to %s broke", name)
            error = "CronCord broke while it handed the notice over; see its log"
        if error:
            log.warning(
                "a notice was not taken by %s: %s", name, error, extra={"action": "undelivered"}
            )
        self._results[delivery.id] = DeliveryResult(
            delivery_id=delivery.id,
            at=self._clock.now(),
            error=error,
            reached=reached,
            more=delivery.notice.more,
        )
        self._news.set()
        if reached:
            self._silent.pop(name, None)
            return True
        times = self._silent.get(name, (0, 0.0))[0] + 1
        now = self._clock.now()
        seconds = (next_try(now, times, reached=False) - now).total_seconds()
        self._silent[name] = (times, self._clock.monotonic() + seconds)
        return False

    async def _pause(self, seconds: float) -> None:
        """Wait for news, at most that long by the clock."""
        waits = {
            asyncio.create_task(self._clock.sleep(seconds)),
            asyncio.create_task(self._news.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def _forget(self) -> None:
        """Stop what is under way: it is another leader's, who will do it again if need be."""
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._results.clear()
        self._silent.clear()
        self._term = 0

    def _on_applied(self, _index: int, _command: AnyCommand, _outcome: Outcome) -> None:
        if len(self._replica.state.deliveries) > self._known:
            self._news.set()
