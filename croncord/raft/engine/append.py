"""The follower's side of replication: what may be appended, cut, acknowledged and committed.

Scenarios s1 (commits what nobody vouched for), s4 (a resend cuts acknowledged entries) and s20
(a divergent follower never catches up). The rules are those of figure 2 of the Raft paper, with
the answer to a conflict naming the first index of the conflicting term (section 5.3).
"""

from pysyncobj.node import Node

from croncord.raft.engine.pinned import FOLLOWER, LEADER, Halted, Message, Pinned
from croncord.raft.entrylog import Entry, plain


class Append(Pinned):
    """Cuts only at a real conflict, commits only what an append vouched for, acks after a sync."""

    def prepare(self) -> None:
        """Start without anything to acknowledge."""
        super().prepare()
        self._acks: list[tuple[Node, Message]] = []
        self._resume: int | None = None
        """Where the leader should resume after a conflict, repeated until it did."""

    def on_message(self, node: Node, message: Message) -> None:
        """Take appends over from pysyncobj."""
        if message["type"] == "append_entries":
            if self._accept_leader(node, message):
                self.on_append(node, message)
        else:
            super().on_message(node, message)

    def _accept_leader(self, node: Node, message: Message) -> bool:
        """Follow the sender if its term allows it."""
        if message["term"] < self.term:
            self.send(
                node,
                {
                    "type": "next_node_idx",
                    "term": self.term,
                    "next_node_idx": 0,
                    "reset": False,
                    "success": False,
                    "probe": 0,
                    "founded": True,
                },
            )
            return False
        if message["term"] == self.term and self.role == LEADER:
            raise Halted(
                f"{node.id} and this node both lead term {self.term}",
                hint="Stop this node and report the fault; its disk may have gone back in time.",
            )
        if message["term"] > self.term:
            self.set_term(message["term"])
        self.last_contact = self.now()
        self.election_deadline = self.last_contact + self.election_timeout()
        self.role = FOLLOWER
        if self.leader != node:
            self._resume = None
            self.leader_changed()
        self.leader = node
        self._SyncObj__leaderCommitIndex = message["commit_index"]
        return True

    def ack(
        self,
        node: Node,
        message: Message,
        *,
        next_index: int | None = None,
        reset: bool = False,
        success: bool = False,
    ) -> None:
        """Queue an answer, sent when everything it speaks of is on the disk."""
        answer = {
            "type": "next_node_idx",
            "term": self.term,
            "next_node_idx": self.log.last_index + 1 if next_index is None else next_index,
            "reset": reset,
            "success": success,
            "probe": message.get("probe", 0),
            "founded": True,
        }
        self._acks.append((node, answer))

    def send_acks(self) -> None:
        """Send the queued answers; the log was synced just before."""
        acks, self._acks = self._acks, []
        for node, answer in acks:
            if answer["term"] == self.term:
                self.send(node, answer)

    def on_append(self, node: Node, message: Message) -> None:
        """Handle an append or heartbeat of the current leader."""
        previous = message.get("prevLogIdx")
        if previous is None:
            self.ack(node, message)  # a bare heartbeat
            return
        first = self.log.first_index
        if previous > self.log.last_index:
            # Behind a gap, or pipelined behind a conflict: repeat where to resume.
            resume = min(self._resume or self.log.last_index + 1, self.log.last_index + 1)
            self.ack(node, message, next_index=max(self.commit_index + 1, resume), reset=True)
            return
        entries = [plain(entry) for entry in message["entries"]]
        vouched = previous + len(entries)
        if previous < first:
            # Behind our snapshot: committed here, nothing to compare.
            entries = [entry for entry in entries if entry[1] > first]
            vouched = max(vouched, first)
        elif self.log[previous - first][2] != message["prevLogTerm"]:
            self._answer_conflict(node, message, previous)
            return
        self._resume = None
        self._append(entries)
        self.ack(node, message, next_index=vouched + 1, success=True)
        commit = min(message["commit_index"], vouched)
        self.commit_index = max(self.commit_index, commit)

    def _answer_conflict(self, node: Node, message: Message, previous: int) -> None:
        if previous <= self.commit_index:
            raise self._contradiction(previous)
        first = self.log.first_index
        term, index = self.log[previous - first][2], previous
        floor = max(self.commit_index + 1, first)
        while index > floor and self.log[index - 1 - first][2] == term:
            index -= 1
        # Later messages of a burst may conflict too, further up: the lowest answer must win.
        self._resume = min(index, self._resume or index)
        self.ack(node, message, next_index=self._resume, reset=True)

    def _append(self, entries: list[Entry]) -> None:
        """Skip what is here already, cut at a conflict, append the rest."""
        known = 0
        for _command, index, term in entries:
            mine = self.log.at(index)
            if mine is None or mine[2] != term:
                break
            known += 1
        new = entries[known:]
        if not new:
            return
        if new[0][1] <= self.log.last_index:
            if new[0][1] <= self.commit_index:
                raise self._contradiction(new[0][1])
            offset = new[0][1] - self.log.first_index
            for command, _index, _term in reversed(self.log[offset:]):
                self.configure(command, reverse=True)
            self.log.deleteEntriesFrom(offset)
        for entry in new:
            self.log.add(*entry)
            self.configure(entry[0])

    def _contradiction(self, index: int) -> Halted:
        return Halted(
            f"The leader contradicts entry {index}, which was agreed before",
            hint="A disk has lost synced data. Find the node that was restored or reset, and keep "
            "the majority's data.",
        )

    def configure(self, command: bytes, *, reverse: bool = False) -> None:
        """Let a membership entry take effect as soon as it is in the log."""
        request = self.parse_change(command)
        if request is not None:
            self.do_change(request, reverse=reverse)
