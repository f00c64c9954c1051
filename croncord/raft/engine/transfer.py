"""Handing leadership over, so that a planned stop costs no election timeout.

Ongaro's thesis, section 3.10: the leader stops taking commands, waits until the chosen node has
everything, and asks it to start an election at once.
"""

from pysyncobj.node import Node

from croncord.raft.engine.pinned import LEADER
from croncord.raft.engine.proposals import Proposals


class Transfer(Proposals):
    """Leadership transfer."""

    def prepare(self) -> None:
        """Start without a transfer."""
        super().prepare()
        self._heir: Node | None = None
        self._asked_heir = False
        self._transfer_deadline = 0.0

    def hand_leadership_over(self) -> bool:
        """Begin a transfer to the best follower; False when there is none or nothing to hand."""
        candidates = [node for node in self.peers if node in self.connected]
        if self.role != LEADER or not candidates:
            return False
        self._heir = max(candidates, key=lambda node: (self.match_index.get(node, 0), node.id))
        self._asked_heir = False
        self._transfer_deadline = self.now() + self.conf.raftMaxTimeout
        self.accepts_commands = False
        return True

    def tick(self, timeout: float) -> None:
        """Ask the heir as soon as it has everything; resume when it does not take over."""
        if self._heir is not None:
            if self.role != LEADER or self.now() > self._transfer_deadline:
                self._heir = None
                self.accepts_commands = True
            elif not self._asked_heir and self._heir_is_ready(self._heir):
                self._asked_heir = True
                self.send(self._heir, {"type": "timeout_now", "term": self.term})
        super().tick(timeout)

    def _heir_is_ready(self, heir: Node) -> bool:
        return self.match_index.get(heir, 0) >= self.log.last_index
