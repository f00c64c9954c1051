"""The alarm that nobody can agree on: a node that sees no majority says so by itself.

It knows the channels from its own copy of the state. What it has to say stays in its memory until it
is taken: once per loss that it is lost, and that it is over. A node that is stopped meanwhile says no
more.
"""

import logging
from collections import deque

import msgspec

from croncord.clock import Clock
from croncord.model import run_id
from croncord.notification import Delivery, Kind, Notice
from croncord.notify.notifier import Send
from croncord.notify.undelivered import Undelivered
from croncord.notify_rules import next_try
from croncord.raft.port import Replica

log = logging.getLogger(__name__)

SILENT_SECONDS = 20.0
"""So long a loss must last: elections and restarts take less."""
LOOK_SECONDS = 1.0
_WAITING_MAX = 100


class QuorumAlarm:
    """Runs on every node; only voters raise the alarm."""

    def __init__(self, *, name: str, replica: Replica, clock: Clock, send: Send) -> None:
        self._name = name
        self._replica = replica
        self._clock = clock
        self._send = send
        self._lost_at: float | None = None
        self._told: tuple[str, ...] = ()
        """Channels that were told of the loss that goes on."""
        self._waiting: deque[Delivery] = deque()
        self._tries_at = 0.0

    async def run(self) -> None:
        """Watch for ever; cancel to stop."""
        while True:
            self._look()
            if self._waiting and self._clock.monotonic() >= self._tries_at:
                await self._say()
            await self._clock.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        status, now = self._replica.status(), self._clock.monotonic()
        if status.has_quorum:
            if self._told:
                self._add("quorum", self._told)
            self._lost_at, self._told = None, ()
            return
        if self._lost_at is None:
            self._lost_at = now
        rule = self._replica.state.notify_rule
        is_long = now - self._lost_at >= SILENT_SECONDS
        if is_long and not self._told and rule.no_quorum and self._name in status.members:
            self._told = rule.channels
            self._add("no_quorum", rule.channels)

    def _add(self, kind: Kind, channels: tuple[str, ...]) -> None:
        at = self._clock.now()
        for channel in channels:
            self._waiting.append(
                Delivery(
                    id=run_id(self._name, at, kind, channel),
                    channel=channel,
                    notice=Notice(kind=kind, at=at, node=self._name),
                    created_at=at,
                    next_at=at,
                )
            )
            if len(self._waiting) > _WAITING_MAX:
                log.error(
                    "%s was told nothing of a loss of quorum", self._waiting.popleft().channel
                )

    async def _say(self) -> None:
        """Try each that waits once; what is not taken is tried again, ever more rarely."""
        kept: list[Delivery] = []
        silent: set[str] = set()
        for delivery in [*self._waiting]:
            channel = self._replica.state.channels.get(delivery.channel)
            if channel is None:
                continue  # deleted meanwhile
            try:
                if channel.name in silent:
                    kept.append(delivery)  # what was said first must arrive first
                    continue
                await self._send(self._replica.state, channel, delivery)
            except Undelivered as failure:
                log.warning("%s was not told of the quorum: %s", channel.name, failure)
                silent.add(channel.name)
                kept.append(msgspec.structs.replace(delivery, tries=delivery.tries + 1))
        self._waiting = deque(kept)
        if kept:
            now, tries = self._clock.now(), max(delivery.tries for delivery in kept)
            seconds = (next_try(now, tries, reached=False) - now).total_seconds()
            self._tries_at = self._clock.monotonic() + seconds
