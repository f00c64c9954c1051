"""Nodes without a past: founding a group together, or joining one that exists.

Scenario s22: a node whose disk was wiped comes back under its old name, votes and acknowledges as
if it remembered, and acknowledged writes vanish. An empty node cannot know whether it is the first
start of all or its own wiped rest, so:

- It founds the group only after every other member has said, within this process's life, that it
  is pristine too (no term, no entries). If it had acknowledged or voted before its disk was lost,
  at least one other member took part in that and is not pristine any more, for ever.
- Otherwise it is a joiner. It throws its empty log away, gets a snapshot, and neither votes nor
  counts until the leader has told it that it may. The leader does that when the joiner has
  everything the leader had when it confirmed, with members enough to meet every majority the joiner
  could have been part of, that it still leads. So nothing the joiner promised before can be broken.
- It waits out two election timeouts first, in which every election that had its old vote ends.
"""

from typing import Any

from pysyncobj.node import Node

from croncord.raft.engine.membership import Membership
from croncord.raft.engine.pinned import LEADER, NO_OP, Message
from croncord.raft.engine.reads import Reads

ASK_SECONDS = 0.3


class Founding(Reads, Membership):
    """A node that has no past neither votes nor counts until it is safe."""

    def prepare(self) -> None:
        """Start knowing nobody."""
        super().prepare()
        self._pristine: set[str] = set()
        self._asked_at = 0.0
        self._born_at = self.now()
        self._counting: set[Node] = set()
        """As leader: who has answered as a node with a past."""
        self._admissions: dict[Node, int | None] = {}
        """As leader: joiners, and how far each must have come before it counts."""

    def is_founded(self) -> bool:
        """Whether this node may vote and count."""
        return self.log.founded

    def recover(self) -> None:
        """Found a group of one at once."""
        super().recover()
        if self.me is not None and not self.peers and self.log.first_index > 0:
            self.log.found()

    def may_vote(self, message: Message) -> bool:
        """Refuse while this node has no past."""
        return super().may_vote(message) and self.is_founded()

    def may_campaign(self) -> bool:
        """Refuse while this node has no past."""
        return super().may_campaign() and self.is_founded()

    def is_pristine(self) -> bool:
        """Whether this node has never taken part in anything."""
        return self.term == 0 and self.log.last_index == 1

    def tick(self, timeout: float) -> None:
        """Ask the others whether they have a past."""
        if not self.is_founded() and self.me is not None and self.log.first_index > 0:
            now = self.now()
            if now - self._asked_at > ASK_SECONDS:
                self._asked_at = now
                for node in self.peers:
                    self.send(node, {"type": "hello"})
        super().tick(timeout)

    def on_message(self, node: Node, message: Message) -> None:
        """Take the messages of founding and admission."""
        if message["type"] == "hello":
            self.send(node, {"type": "hello_ok", "pristine": self.is_pristine()})
        elif message["type"] == "hello_ok":
            self._on_hello_ok(node, pristine=message["pristine"])
        elif message["type"] == "admitted":
            self._on_admitted(node, message)
        else:
            super().on_message(node, message)

    def _on_hello_ok(self, node: Node, *, pristine: bool) -> None:
        if self.is_founded() or node not in self.peers:
            return
        if not pristine:
            self.become_joiner()
            return
        self._pristine.add(node.id)
        if self.is_pristine() and self._pristine >= {peer.id for peer in self.peers}:
            self.log.found()

    def become_joiner(self) -> None:
        """Drop the founding entry: everything comes from the group that exists."""
        if self.founding_members() is not None:
            self.log.replace([(NO_OP, 0, 0)])
            self.applied_index = 0
            self.commit_index = 0
            self.log.sync()

    def _accept_leader(self, node: Node, message: Message) -> bool:
        """Whoever leads has a past: without one, this node joins it."""
        accepted = super()._accept_leader(node, message)
        if accepted and not self.is_founded():
            self.become_joiner()
        return accepted

    def ack(
        self,
        node: Node,
        message: Message,
        *,
        next_index: int | None = None,
        reset: bool = False,
        success: bool = False,
    ) -> None:
        """Say with every answer whether it may count."""
        super().ack(node, message, next_index=next_index, reset=reset, success=success)
        self._acks[-1][1]["founded"] = self.is_founded()

    def change_cluster(self, request: list[Any]) -> bool:
        """Refuse to remove a voter when those that remain and count are no majority."""
        if request[0] == "rem" and self.role == LEADER:
            since = self.now() - self.conf.raftMaxTimeout
            rest = [node for node in self.peers if node.id != request[1]]
            counting = 1 + sum(
                node in self._counting and self.last_response[node] > since for node in rest
            )
            if counting * 2 <= len(rest) + 1:
                return False
        return super().change_cluster(request)

    # -- as leader ---------------------------------------------------------------------------

    def become_leader(self) -> None:
        """Admissions begin anew with each term."""
        self._admissions = {}
        self._counting = set()
        super().become_leader()

    def disconnected_from(self, node: Node) -> None:
        """Count it no more: who comes back may have lost its disk meanwhile."""
        self._counting.discard(node)
        super().disconnected_from(node)

    def _on_answer(self, node: Node, message: Message) -> None:
        """Let a joiner's answers move what it is sent, and nothing else."""
        counts = message["founded"]
        if counts or node in self.observers or message["term"] != self.term or self.role != LEADER:
            self._admissions.pop(node, None)
            super()._on_answer(node, message)
            if node in self.peers and message["term"] == self.term:
                self._counting.add(node)
            return
        if node not in self.match_index:
            return
        answered = message["next_node_idx"]
        self.match_index[node] = 0
        self._counting.discard(node)
        if message["reset"]:
            self.next_index[node] = max(1, min(answered, self.log.last_index + 1))
        elif message["success"]:
            self.next_index[node] = max(self.next_index[node], answered)
            self._admit_when_safe(node, answered - 1)

    def _admit_when_safe(self, node: Node, reached: int) -> None:
        if node not in self._admissions:
            self._admissions[node] = None
            self._probe_for(node)
            return
        wanted = self._admissions[node]
        if wanted is not None and reached >= wanted:
            self.send(node, {"type": "admitted", "term": self.term})

    def _probe_for(self, node: Node) -> None:
        """Note the present end of the log once enough others have confirmed this leader."""
        last = self.log.last_index

        def confirmed(index: int | None) -> None:
            if index is None:
                self._admissions.pop(node, None)
            elif node in self._admissions:
                self._admissions[node] = last

        voters = len(self.peers) + 1
        self.ask_confirmation(confirmed, needed=voters - voters // 2)

    def _on_admitted(self, node: Node, message: Message) -> None:
        settled = self.now() - self._born_at > 2 * self.conf.raftMaxTimeout
        if node == self.leader and message["term"] == self.term and settled and not self.removed:
            self.log.sync()
            self.log.found()
