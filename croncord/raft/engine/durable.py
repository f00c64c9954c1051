"""When the disk is synced: before anything leaves this node that depends on it.

pysyncobj never syncs at all. Here one sync serves everything that a poll brought in (group
commit), and a leader sends entries to the others before it syncs its own copy, so that all disks
work at the same time; its own copy counts only afterwards.
"""

from croncord.raft.engine.append import Append
from croncord.raft.engine.pinned import LEADER, AroundPoller
from croncord.raft.engine.replicate import Replicate


class Durable(Replicate, Append):
    """Syncs around every wait for the network."""

    def recover(self) -> None:
        """Put the syncs around pysyncobj's poller."""
        super().recover()
        self._poller = AroundPoller(self.transport.poller, self._before_poll, self._after_poll)

    def tick(self, timeout: float) -> None:
        """Make the own copy durable before it is counted."""
        self.log.sync()
        super().tick(timeout)

    def _before_poll(self) -> bool:
        self._send_first()
        waiting = self.log.dirty and self.role == LEADER
        self.log.sync()
        return waiting or self.applied_index < self.commit_index

    def _after_poll(self) -> None:
        self._send_first()
        self.log.sync()
        self.send_acks()
        self.transport.flush()

    def _send_first(self) -> None:
        """Let the other disks work while this one does: also for what others forwarded."""
        if self.role == LEADER and self.has_unsent():
            self.send_appends()
        self.transport.flush()
