"""How a node joins: as a learner first, as a voter once it has caught up.

A learner gets the log like everybody else and is counted nowhere, so however slow or short-lived it
is, no majority ever depends on it. The leader makes it a voter by a membership entry when it is
nearly level. That entry carries the number the joiner drew for the life of its disk: only the joiner
that asked may take it as its own beginning, and not a wiped node that reads about its predecessor in
the log (see `founding`). Nodes that are to remain observers simply stay learners.
"""

import os

from pysyncobj.node import Node

from croncord.raft.engine.founding import ASK_SECONDS, Founding
from croncord.raft.engine.membership import voter
from croncord.raft.engine.pinned import LEADER, Message
from croncord.raft.roster import Roster, disk_name

VOTERS_WANTED = 5
"""Nodes that do not say which they want to be become voters up to this many."""
VOTERS_MAX = 7
"""Nodes that ask to be voters become it up to this many: each one makes agreeing slower."""
LEVEL_ENTRIES = 200
"""A learner this close to the end of the log has caught up."""


class _Joiner:
    def __init__(self, message: Message) -> None:
        self.address: str = message["address"]
        self.incarnation: int = message["incarnation"]
        self.wants: str = message["wants"]


class Joining(Founding):
    """Learners, and their promotion."""

    wants: str = "auto"
    """What this node asks to be when it joins: "voter", "observer" or "auto"."""
    roster: Roster | None = None
    """Who may join, where the agreed state says it; None lets everybody with the secret."""

    def prepare(self) -> None:
        """Start without learners."""
        super().prepare()
        self._joiners: dict[Node, _Joiner] = {}
        self._asked_to_join_at = 0.0
        self.expelled = False
        """Whether another node said that this disk was removed: that is final."""

    def recover(self) -> None:
        """Draw the number of this disk's life."""
        super().recover()
        self.log.identify(int.from_bytes(os.urandom(7)) + 1)

    def tick(self, timeout: float) -> None:
        """Ask to join; as leader, promote who has caught up."""
        if self.role == LEADER:
            self._promote()
        elif self._joiners:
            for node in list(self._joiners):
                self._forget_learner(node)
        me = self.me
        if me is not None and self._is_outside():
            now = self.now()
            if now - self._asked_to_join_at > ASK_SECONDS:
                self._asked_to_join_at = now
                for node in list(self.connected):
                    self.send(
                        node,
                        {
                            "type": "join",
                            "address": me.address,
                            "incarnation": self.log.identity,
                            "wants": self.wants,
                        },
                    )
        super().tick(timeout)

    def _is_outside(self) -> bool:
        """Whether this node must ask: it has no past, or was a voter in an entry that was undone."""
        undone = self.roster is not None and self.removed and self.term > 0
        has_no_past = not self.is_founded() and self.founding_members() is None
        return not self.expelled and (has_no_past or undone)

    def on_message(self, node: Node, message: Message) -> None:
        """Take in learners."""
        if message["type"] == "join":
            self._on_join(node, message)
        elif message["type"] == "leader_at":
            leader = voter(message["name"], message["address"])
            if not self.is_founded() and leader not in self.peers:
                self.transport.addNode(leader)
        else:
            super().on_message(node, message)

    def _on_join(self, node: Node, message: Message) -> None:
        """Take a learner in, or say who can."""
        leader = self.leader
        if self.role == LEADER and node not in self.peers:
            if not self._may_join(node, message):
                return  # it asks again; perhaps what lets it in is not applied here yet
            if node not in self.observers:
                self.abandon_transfer(node)
                self._SyncObj__onReadonlyNodeConnected(node)
                self.topology += 1
                self.last_response[node] = self.now()
            self._joiners[node] = _Joiner(message)
        elif leader is not None and leader in self.peers:
            known = next(peer for peer in self.peers if peer == leader)
            answer = {"type": "leader_at", "name": known.id, "address": known.address}
            self.send(node, answer)

    def _may_join(self, node: Node, message: Message) -> bool:
        disk = disk_name(message["incarnation"])
        return self.roster is None or self.roster.admits(node.id, disk)

    def disconnected_from(self, node: Node) -> None:
        """Forget a learner with its connection; it asks again."""
        self._forget_learner(node)
        super().disconnected_from(node)

    def _forget_learner(self, node: Node) -> None:
        self._joiners.pop(node, None)
        if node in self.observers:
            self.observers.discard(node)
            self.topology += 1
            if node not in self.peers:
                self.next_index.pop(node, None)
                self.match_index.pop(node, None)

    def _promote(self) -> None:
        for node, joiner in list(self._joiners.items()):
            level = self.match_index.get(node, 0) >= self.log.last_index - LEVEL_ENTRIES
            wanted = VOTERS_MAX if joiner.wants == "voter" else VOTERS_WANTED
            room = len(self.peers) + 1 < wanted
            if joiner.wants != "observer" and room and level and self.match_index.get(node, 0):
                self.request_change("add", node.id, joiner.address, joiner.incarnation)
                return

    def do_change(self, request: list[object], *, reverse: bool = False) -> bool:
        """Turn a learner into a voter; the joiner itself begins its past."""
        what, name, _address, incarnation = request
        if what == "add" and not reverse:
            if self.me is not None and name == self.me.id:
                self._begin(incarnation)
            else:
                self.forget_observer(str(name))
        return super().do_change(request, reverse=reverse)

    def forget_observer(self, name: str) -> None:
        """Stop treating a node as a learner."""
        for node in [node for node in self.observers if node.id == name]:
            self._forget_learner(node)

    def _begin(self, incarnation: object) -> None:
        if not self.is_founded() and incarnation == self.log.identity:
            self.log.found()

    def may_vote(self, message: Message) -> bool:
        """Vote also when the candidate's log has this very life's beginning."""
        if message["incarnation"] == self.log.identity:
            self._begin(self.log.identity)
        return super().may_vote(message)
