"""Comparing states all the time, so that a difference is found by us and not by a payroll.

The leader tells everybody the digest of its state at some index; whoever had another one there
stops. If the leader is the one that is wrong, all others stop, and with them the cluster: loudly.
"""

from pysyncobj.node import Node

from croncord.raft.engine.pinned import LEADER, Message, Pinned


class Digests(Pinned):
    """Announces the leader's digests; what they mean is the machine's business."""

    def announce_digest(self, index: int, digest: str) -> None:
        """As leader, tell all connected members and learners."""
        if self.role == LEADER:
            for node in (self.peers | self.observers) & self.connected:
                self.send(node, {"type": "digest", "index": index, "digest": digest})

    def on_message(self, node: Node, message: Message) -> None:
        """Pass on what the present leader announced."""
        if message["type"] != "digest":
            super().on_message(node, message)
        elif node == self.leader and self.role != LEADER:
            self.machine.digest_announced(message["index"], message["digest"])
