"""pysyncobj's own rules, to be put back one by one in place of the cures."""

import pickle

from pysyncobj import SyncObj

from croncord.raft.engine import Engine
from croncord.raft.engine.pinned import LEADER, REGULAR, Pinned


class CommitsUnvouched(Engine):
    """pysyncobj moves the commit index to the leader's, whatever its own log holds there."""

    def on_message(self, node, message):
        super().on_message(node, message)
        if message["type"] in ("append_entries", "snapshot") and self.leader == node:
            self.commit_index = max(
                self.commit_index, min(message["commit_index"], self.log.last_index)
            )


def believes_any_term(self, node, message):
    if self.role == LEADER and message["success"]:
        done = message["next_node_idx"] - 1
        self.match_index[node] = max(self.match_index[node], done)


def cuts_always(self, entries):
    if entries:
        self.log.deleteEntriesFrom(entries[0][1] - self.log.first_index)
        for entry in entries:
            self.log.add(*entry)


class ElectsAfterPause(Engine):
    """pysyncobj judges the leader by the clock before it reads its sockets, and asks nobody."""

    def _notice_pause(self, now):
        pass

    def _ask_for_prevotes(self):
        self._start_election(transfer=False)


A_NEWER_VERSION = b"\x03" + pickle.dumps(1, 2)
"""pysyncobj's entry that switches all nodes to version 1 of the code."""


class AppliesAsPysyncobj(Engine):
    """pysyncobj goes on after an entry it cannot apply, and does not count it as applied."""

    hand_over = Pinned.hand_over

    def _SyncObj__doApplyCommand(self, command):  # noqa: N802 - pysyncobj's
        if command[:1] == A_NEWER_VERSION[:1]:
            SyncObj._SyncObj__doApplyCommand(self, command)
        elif command[:1] == REGULAR:
            self.machine.committed(0, 0, command[1:])


class Padded:
    """Fields that pysyncobj does not know, so that our codec lets its messages pass."""

    def __init__(self, transport):
        self._transport = transport

    def send(self, node, message):
        return self._transport.send(node, {"probe": 0, "entries": [], **message})


class SendsAsPysyncobj(Engine):
    """Large entries leave as pickled pieces, and are put together again."""

    def send_appends(self):
        self._SyncObj__transport = Padded(self.transport)
        Pinned.send_appends(self)
        self._SyncObj__transport = self.transport

    def on_append(self, node, message):
        pieces = self.__dict__.setdefault("pieces", [])
        if "transmission" not in message:
            super().on_append(node, message)
            return
        if message["transmission"] == "start":
            pieces.clear()
        pieces.append(message["data"])
        if message["transmission"] == "finish":
            entry = pickle.loads(b"".join(pieces))  # noqa: S301 - what the fault is about
            pieces.clear()
            super().on_append(node, {**message, "entries": [entry]})


def everybody(self, _index):
    return {node.id: node.address for node in self.peers} | {self.me.id: self.me.address}


class ForgetsWhereToResume(Engine):
    """pysyncobj answers every message of a burst anew, so the last answer wins."""

    @property
    def _resume(self):
        return None

    @_resume.setter
    def _resume(self, value):
        pass

    def _answer_conflict(self, node, message, previous):
        self.ack(node, message, next_index=previous, reset=True)


def success_moves_back(self, node, message):
    if message["term"] == self.term and self.role == LEADER and message["success"]:
        self.match_index[node] = max(self.match_index[node], message["next_node_idx"] - 1)
        self.next_index[node] = message["next_node_idx"]


def drops_the_log(self, meta):
    self.log.replace(self._stand_ins(meta))
