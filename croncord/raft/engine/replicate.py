"""The leader's side of replication: what is sent, and what an answer proves.

Scenarios s3 (answers without a term count for another one), s18 (large entries in a broken chunk
protocol) and s21 (a late success takes a follower back in time). pysyncobj also copies the tail of
the log for every message and has no flow control; this does neither.
"""

from typing import Final

from pysyncobj.node import Node

from croncord.raft.engine.pinned import LEADER, Message, Pinned

MESSAGES_PER_ROUND: Final = 32
UNSENT_BYTES_MAX: Final = 4 * 1024 * 1024
"""A node that has this much waiting in its connection gets no more until it reads."""


class Replicate(Pinned):
    """Sends within bounds; believes answers of its own term only."""

    def prepare(self) -> None:
        """Start without a sent commit index and without probes."""
        super().prepare()
        self.sent_commit = 0
        self.probe = 0
        """Number of the newest round trip that somebody waits for; echoed by followers."""
        self.probed: dict[Node, int] = {}
        self._next_appends = 0.0

    def tick(self, timeout: float) -> None:
        """Move the commit index before pysyncobj would, one entry after the other."""
        if self.role == LEADER:
            self._advance_commit()
        super().tick(timeout)

    def _advance_commit(self) -> None:
        """Commit what a majority has on its disks, if it ends in an entry of this term.

        The own log was synced just before (`durable`), so it counts as a whole.
        """
        log = self.log
        others_needed = (len(self.peers) + 1) // 2
        index = log.last_index
        if others_needed:
            index = sorted((self.match_index[node] for node in self.peers), reverse=True)[
                others_needed - 1
            ]
        entry = log.at(index)
        if index > self.commit_index and entry is not None and entry[2] == self.term:
            self.commit_index = index

    def become_leader(self) -> None:
        """Begin a term: the silence of the past proves nothing."""
        self.probed = {}
        super().become_leader()
        for node in self.observers:
            self.last_response[node] = self.now()

    def on_message(self, node: Node, message: Message) -> None:
        """Take answers over from pysyncobj."""
        if message["type"] == "next_node_idx":
            self._on_answer(node, message)
        else:
            super().on_message(node, message)

    def _on_answer(self, node: Node, message: Message) -> None:
        if message["term"] > self.term:
            if node in self.peers:
                self.step_down(message["term"])
            return
        if message["term"] != self.term or self.role != LEADER or node not in self.match_index:
            return
        self.last_response[node] = self.now()
        self.probed[node] = max(self.probed.get(node, 0), message["probe"])
        answered = message["next_node_idx"]
        if message["reset"]:
            resume = max(1, min(answered, self.log.last_index + 1))
            # A reset may be older than a success: what was acknowledged stays acknowledged.
            self.next_index[node] = max(resume, self.match_index[node] + 1)
        elif message["success"] and answered - 1 <= self.log.last_index:
            self.match_index[node] = max(self.match_index[node], answered - 1)
            self.next_index[node] = max(self.next_index[node], answered)

    def send_appends(self) -> None:
        """Send every connected node what it lacks, or a heartbeat."""
        self._SyncObj__newAppendEntriesTime = self.now() + self.conf.appendEntriesPeriod
        self.sent_commit = self.commit_index
        for node in self.peers | self.observers:
            if node not in self.connected:
                self.abandon_transfer(node)
            elif self.transport.pending(node) <= UNSENT_BYTES_MAX:
                self._send_to(node)

    def heading(self) -> Message:
        """Return what every append carries."""
        return {
            "type": "append_entries",
            "term": self.term,
            "commit_index": self.commit_index,
            "probe": self.probe,
        }

    def _send_to(self, node: Node) -> None:
        for _ in range(MESSAGES_PER_ROUND):
            following = self.next_index.get(node)
            if following is None:
                return  # removed meanwhile
            if following <= self.log.first_index:
                self.send_snapshot(node)
                return
            message = self._append_message(following)
            entries = message["entries"]
            if entries:
                self.next_index[node] = entries[-1][1] + 1
            self.send(node, message)
            if not entries or self.next_index.get(node, 0) > self.log.last_index:
                return
            if self.transport.pending(node) > UNSENT_BYTES_MAX:
                return

    def _append_message(self, following: int) -> Message:
        entries, limit = self.log.entries, self.conf.appendEntriesBatchSizeBytes
        start = end = following - entries[0][1]
        size = 0
        while end < len(entries) and size < limit:
            size += len(entries[end][0])
            end += 1
        return {
            **self.heading(),
            "prevLogIdx": following - 1,
            "prevLogTerm": entries[start - 1][2],
            "entries": entries[start:end],
        }

    def send_snapshot(self, node: Node) -> None:
        """Send a part of the snapshot to a node that lacks entries we no longer keep."""
        self.send(node, self.heading())

    def abandon_transfer(self, node: Node) -> None:
        """Forget how far a snapshot transfer got."""

    def has_unsent(self) -> bool:
        """Whether a connected node lacks entries or the newest commit index."""
        if self.commit_index != self.sent_commit:
            return True
        last = self.log.last_index
        return any(
            self.next_index[node] <= last for node in self.connected if node in self.next_index
        )

    def hears_majority(self) -> bool:
        """Whether a majority answered within an election timeout."""
        since = self.now() - self.conf.raftMaxTimeout
        heard = 1 + sum(self.last_response.get(node, 0.0) > since for node in self.peers)
        return self.majority(heard)
