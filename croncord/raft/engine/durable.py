"""When the disk is synced: before anything leaves this node that depends on it.

pysyncobj never syncs at all. Here one sync serves everything that a poll brought in (group
commit), and a leader sends entries to the others before it syncs its own copy, so that all disks
work at the same time; its own copy counts only afterwards.

A disk that many share may take a second for a sync. The engine's thread waits for it, and a leader
that says nothing meanwhile is taken for dead. So while the thread waits, and only then, another one
may say in its stead that the leader lives: it is `turn` that keeps the two apart.
"""

import threading
from typing import Final

from croncord.raft.engine.append import Append
from croncord.raft.engine.pinned import LEADER, AroundPoller
from croncord.raft.engine.replicate import Replicate

STALLED_TIMEOUTS: Final = 3
"""A leader whose disk takes longer than this many election timeouts is to be replaced."""


class Durable(Replicate, Append):
    """Syncs around every wait for the network."""

    def prepare(self) -> None:
        """Take the turn."""
        super().prepare()
        self.turn = threading.Lock()
        """Held by the engine's thread except while it waits for the disk."""
        self.turn.acquire()
        self._sync_began = 0.0

    def _sync(self) -> None:
        """Sync the log and leave the turn to `beat` meanwhile."""
        self._sync_began = self.now()
        self.turn.release()
        try:
            self.log.sync()
        finally:
            self.turn.acquire()

    def beat(self) -> None:
        """Send overdue heartbeats. For the thread that holds the turn while the disk is slow."""
        now = self.now()
        is_overdue = now > self._SyncObj__newAppendEntriesTime
        is_stuck = now - self._sync_began > STALLED_TIMEOUTS * self.conf.raftMaxTimeout
        if self.role != LEADER or not is_overdue or is_stuck:
            return
        self._SyncObj__newAppendEntriesTime = now + self.conf.appendEntriesPeriod
        for node in (self.peers | self.observers) & self.connected:
            self.send(node, self.heading())
        self.transport.flush()

    def recover(self) -> None:
        """Put the syncs around pysyncobj's poller."""
        super().recover()
        self._poller = AroundPoller(self.transport.poller, self._before_poll, self._after_poll)

    def tick(self, timeout: float) -> None:
        """Make the own copy durable before it is counted."""
        self._sync()
        super().tick(timeout)

    def _before_poll(self) -> bool:
        self._send_first()
        waiting = self.log.dirty and self.role == LEADER
        self._sync()
        return waiting or self.applied_index < self.commit_index

    def _after_poll(self) -> None:
        self._send_first()
        self._sync()
        self.send_acks()
        self.transport.flush()

    def _send_first(self) -> None:
        """Let the other disks work while this one does: also for what others forwarded."""
        if self.role == LEADER and self.has_unsent():
            self.send_appends()
        self.transport.flush()
