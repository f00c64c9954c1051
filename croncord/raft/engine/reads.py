"""Where to wait for a linearizable read: the read index of Ongaro's thesis, section 6.4.

The leader notes its commit index, then makes sure that it still led after the question came: a
majority must answer a message sent afterwards. No clock is trusted.
"""

from collections.abc import Callable

from pysyncobj.node import Node

from croncord.raft.engine.pinned import LEADER, Message
from croncord.raft.engine.replicate import Replicate

ReadAnswer = Callable[[int | None], None]
"""Called once, on the engine's thread, with an index, or None when nobody could confirm one."""


class Reads(Replicate):
    """Read indexes, asked of the leader by any node."""

    def prepare(self) -> None:
        """Start without questions."""
        super().prepare()
        self._unprobed: list[tuple[int, ReadAnswer]] = []
        """How many voters must confirm (0 for a majority), answer."""
        self._probing: list[tuple[int, int, int, ReadAnswer]] = []
        """Probe number, read index, voters needed, answer."""
        self._asked: dict[int, ReadAnswer] = {}
        self._questions = 0

    def ask_read_index(self, answer: ReadAnswer) -> None:
        """Find an index whose application makes a read linearizable. On the engine's thread."""
        if self.role == LEADER:
            self._unprobed.append((0, answer))
        elif self.leader is not None and self.leader in self.connected:
            self._questions += 1
            self._asked[self._questions] = answer
            self.send(self.leader, {"type": "read", "id": self._questions})
        else:
            answer(None)

    def ask_confirmation(self, answer: ReadAnswer, *, needed: int) -> None:
        """As leader, have this many voters (this one included) confirm that it still leads."""
        self._unprobed.append((needed, answer))

    def tick(self, timeout: float) -> None:
        """Start the round trip for new questions, answer those whose round trip is over."""
        self._start_probe()
        self._finish_probes()
        super().tick(timeout)

    def _start_probe(self) -> None:
        if not self._unprobed or self.role != LEADER:
            return
        if self.no_op_index is None or self.commit_index < self.no_op_index:
            return  # what earlier leaders committed is not known yet
        self.probe += 1
        self._probing += [
            (self.probe, self.commit_index, needed, answer) for needed, answer in self._unprobed
        ]
        self._unprobed = []
        self.send_appends()

    def _finish_probes(self) -> None:
        if self.role != LEADER:
            self._fail_reads()
            return
        open_probes = []
        for question in self._probing:
            probe, index, needed, answer = question
            confirmed = 1 + sum(self.probed.get(node, 0) >= probe for node in self.peers)
            if confirmed >= needed if needed else self.majority(confirmed):
                answer(index)
            else:
                open_probes.append(question)
        self._probing = open_probes

    def _fail_reads(self) -> None:
        failed = self._unprobed + [question[2:] for question in self._probing]
        self._unprobed, self._probing = [], []
        for _needed, answer in failed:
            answer(None)

    def on_message(self, node: Node, message: Message) -> None:
        """Answer questions of other nodes, and take their answers."""
        if message["type"] == "read":
            self._on_read(node, message["id"])
        elif message["type"] == "read_index":
            answer = self._asked.pop(message["id"], None)
            if answer is not None:
                answer(message["index"])
        else:
            super().on_message(node, message)

    def _on_read(self, node: Node, question: int) -> None:
        def reply(index: int | None) -> None:
            if node in self.connected:
                self.send(node, {"type": "read_index", "id": question, "index": index})

        if self.role == LEADER:
            self._unprobed.append((0, reply))
        else:
            reply(None)

    def leader_changed(self) -> None:
        """Questions to the earlier leader are lost."""
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer(None)
        super().leader_changed()
