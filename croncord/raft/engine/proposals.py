"""Getting a command into the log, from whichever node it was proposed on.

Scenarios s7, s15 and s16: pysyncobj's callbacks are leaked, never called, or say "leader changed"
for a command that is applied all the same. Here nobody answers a forwarded command. Its proposer
sees it applied on its own node, by request id; until then it repeats it to whoever leads, which is
harmless because an id is applied once. The time limit is the proposer's own.
"""

import threading
from collections import deque

from pysyncobj.node import Node

from croncord.raft.engine.handover import HandOver
from croncord.raft.engine.pinned import LEADER, REGULAR, Message, Pinned
from croncord.raft.envelope import request_id_of

FORWARD_BYTES = 1024 * 1024
"""Commands are forwarded in messages of about this size."""


class Proposal:
    """One command on its way into the log."""

    __slots__ = ("_lock", "entry", "request_id", "sent", "withdrawn")

    def __init__(self, request_id: bytes, entry: bytes) -> None:
        self.request_id = request_id
        self.entry = entry
        self.sent = False
        """Whether it may have reached a leader's log."""
        self.withdrawn = False
        self._lock = threading.Lock()

    def withdraw(self) -> bool:
        """Give up, from any thread. Returns whether it may be applied all the same."""
        with self._lock:
            self.withdrawn = True
            return self.sent

    def mark_sent(self) -> bool:
        """Claim it for sending; False when it was withdrawn."""
        with self._lock:
            if not self.withdrawn:
                self.sent = True
            return not self.withdrawn


class Proposals(HandOver):
    """Appends what is proposed on a leader, forwards it elsewhere, repeats it on a new leader."""

    def prepare(self) -> None:
        """Start with empty queues."""
        super().prepare()
        self._waiting: deque[Proposal] = deque()
        self.outstanding: dict[bytes, Proposal] = {}
        """Sent and not applied yet, by request id."""
        self._sent_to: tuple[str, int, int] | None = None
        self._connections: dict[str, int] = {}
        self.accepts_commands = True
        """False while leadership is being handed to another node."""

    def submit(self, proposal: Proposal) -> None:
        """Queue a proposal; callable from any thread."""
        self._waiting.append(proposal)

    def connected_to(self, node: Node) -> None:
        """Count connections: what was sent over an earlier one may be lost."""
        self._connections[node.id] = self._connections.get(node.id, 0) + 1
        super().connected_to(node)

    def take_commands(self) -> None:
        """Append or forward what waits."""
        leader = self.leader
        if leader is None:
            return
        route = (leader.id, self.term, self._connections.get(leader.id, 0))
        if route != self._sent_to:
            self._sent_to = route
            self._requeue()
        if not self._waiting:
            return
        if self.role == LEADER:
            if self.accepts_commands:
                for proposal in self._claimed():
                    self.log.add(REGULAR + proposal.entry, self.log.last_index + 1, self.term)
        elif leader in self.connected:
            self._forward(leader)

    def _requeue(self) -> None:
        """Send again what went to an earlier leader, or over an earlier connection."""
        again = [p for p in self.outstanding.values() if not p.withdrawn]
        self.outstanding.clear()
        self._waiting.extendleft(reversed(again))

    def _claimed(self) -> list[Proposal]:
        claimed = []
        while self._waiting:
            proposal = self._waiting.popleft()
            if proposal.mark_sent():
                self.outstanding[proposal.request_id] = proposal
                claimed.append(proposal)
        return claimed

    def _forward(self, leader: Node) -> None:
        batch: list[bytes] = []
        size = 0
        for proposal in self._claimed():
            batch.append(proposal.entry)
            size += len(proposal.entry)
            if size >= FORWARD_BYTES:
                self.send(leader, {"type": "propose", "entries": batch})
                batch, size = [], 0
        if batch:
            self.send(leader, {"type": "propose", "entries": batch})

    def on_message(self, node: Node, message: Message) -> None:
        """As leader, append what others forward; not leading, ignore it: they will repeat it."""
        if message["type"] != "propose":
            super().on_message(node, message)
        elif self.role == LEADER and self.accepts_commands:
            for entry in message["entries"]:
                if self.machine.acceptable(entry):
                    self.log.add(REGULAR + entry, self.log.last_index + 1, self.term)

    def hand_over(self) -> bool:
        """Forget what is applied: from now on it needs no repeating."""
        before = self.applied_index
        result = super().hand_over()
        if self.outstanding:
            first = self.log.first_index
            for command, _index, _term in self.log[
                before + 1 - first : self.applied_index + 1 - first
            ]:
                request_id = request_id_of(command[1:])
                if request_id is not None:
                    self.outstanding.pop(request_id, None)
        return result


class Foreign(Pinned):
    """pysyncobj's own forwarding (pickled calls, answers by log position) is closed."""

    CLOSED = frozenset({"apply_command", "apply_command_response"})

    def on_message(self, node: Node, message: Message) -> None:
        """Drop pysyncobj's own command messages."""
        if message["type"] not in self.CLOSED:
            super().on_message(node, message)
