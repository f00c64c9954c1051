"""Snapshots in the log's life: restoring at start, dropping what they cover, sending, installing.

Scenarios s8 (a dump newer than the journal throws acknowledged entries away), s11 (a corrupt dump
gives an empty node that leads), s19 (an observer's dump) and pysyncobj's fork. The transfer is in
bounded chunks with a window; the receiver names the offset it wants next, so it resumes after a
lost connection. Received bytes are verified before they replace anything, and replace everything.
"""

from typing import Any

from pysyncobj.node import Node

from croncord.errors import StoreError
from croncord.raft.engine.membership import Membership
from croncord.raft.engine.pinned import LEADER, NO_OP, Message
from croncord.raft.engine.replicate import Replicate
from croncord.raft.snapshotport import SnapshotMeta, SnapshotReader

CHUNK_BYTES = 256 * 1024
WINDOW_CHUNKS = 8
STALLED_SECONDS = 5.0


class _Sending:
    """How far a transfer to one node got."""

    def __init__(self, reader: SnapshotReader, now: float) -> None:
        self.reader = reader
        self.sent = 0
        self.wanted = 0
        self.moved_at = now


class Snapshots(Replicate, Membership):
    """Snapshots are bytes with a position; what is in them is the machine's business."""

    entries_kept: int = 5000
    """Entries kept behind a snapshot, so that a short absence costs no transfer."""

    def prepare(self) -> None:
        """Start without transfers."""
        super().prepare()
        self._sending: dict[Node, _Sending] = {}

    # -- at start ----------------------------------------------------------------------------

    def recover(self) -> None:
        """Bring snapshot, log and membership together, or refuse to start."""
        super().recover()
        stored = self.snapshots.load()
        log = self.log
        last = log.first_index  # 1 on a founder, 0 on a node that has nothing yet
        founders = self.founding_members()
        if stored is not None:
            meta, state = stored
            last = meta.index
            self._check_against_log(meta)
            self.machine.restored(meta.index, state)
            self.adopt_members(meta.members)
        elif log.first_index > 1:
            raise StoreError(
                "The snapshot is missing, and the journal no longer reaches back to the start",
                hint="Move this node's raft directory away and start it again: it rejoins as a new "
                "node and copies everything from the others.",
            )
        elif founders is not None:
            self.adopt_members(founders)
        self.applied_index = last
        self.commit_index = max(last, min(log.commit, log.last_index))
        for command, _index, _term in log[last + 1 - log.first_index :]:
            self.configure(command)
        log.sync()

    def _check_against_log(self, meta: SnapshotMeta) -> None:
        log = self.log
        mine = log.at(meta.index)
        if mine is not None and mine[2] == meta.term:
            return
        if log.first_index > meta.index or (mine is not None and log.commit >= meta.index):
            raise StoreError(
                f"Snapshot and journal disagree about entry {meta.index}",
                hint="One of the two was restored from a backup. Move this node's raft directory "
                "away and start it again: it copies everything from the others.",
            )
        # The log ends before the snapshot, or in entries that were never agreed: a crash between
        # installing it and resetting the log.
        log.replace(self._stand_ins(meta))

    @staticmethod
    def _stand_ins(meta: SnapshotMeta) -> list[tuple[bytes, int, int]]:
        """Entries in place of those that a snapshot covers: their terms still matter."""
        return [(NO_OP, meta.index - 1, meta.previous_term), (NO_OP, meta.index, meta.term)]

    # -- making one --------------------------------------------------------------------------

    def take_snapshot(self, index: int, encode: Any) -> bool:
        """Write a snapshot of the state as of `index`; `encode()` gives its bytes, elsewhere.

        Returns False when one is being written or was received, or the index is no longer in the
        log.
        """
        entry, before = self.log.at(index), self.log.at(index - 1)
        if entry is None or before is None or index < 2:
            return False
        if self.snapshots.is_writing or self.snapshots.is_verifying:
            return False
        meta = SnapshotMeta(
            index=index,
            term=entry[2],
            previous_term=before[2],
            members=self.members_as_of(index),
        )
        self.snapshots.write(meta, encode)
        return True

    def compact(self) -> None:
        """Once a snapshot is on the disk, drop what lies far enough behind it."""
        written = self.snapshots.poll_written()
        if written is not None:
            drop = written - max(self.entries_kept, 1) - self.log.first_index
            self.log.deleteEntriesTo(drop)
        self._install_received()

    # -- sending -----------------------------------------------------------------------------

    def send_snapshot(self, node: Node) -> None:
        """Send the next chunks, at most a window ahead of what was acknowledged."""
        sending = self._sending.get(node)
        if sending is not None and sending.reader.index < self.next_index.get(node, 0):
            self.abandon_transfer(node)  # it has that one, and lags again
            sending = None
        if sending is None:
            reader = self.snapshots.open_reader()
            if reader is None:
                if not self.snapshots.is_writing:
                    self.machine.snapshot_wanted()
                self.send(node, self.heading())
                return
            sending = self._sending[node] = _Sending(reader, self.now())
        if self.now() - sending.moved_at > STALLED_SECONDS:
            sending.sent, sending.moved_at = sending.wanted, self.now()
            if sending.wanted >= sending.reader.size:
                sending.sent = sending.wanted = (
                    0  # it has everything, but its word that it is installed was lost
                )
        reader = sending.reader
        limit = min(sending.wanted + WINDOW_CHUNKS * CHUNK_BYTES, reader.size)
        if sending.sent >= limit:
            self.send(node, self.heading())
            return
        while sending.sent < limit:
            data = reader.read(sending.sent, CHUNK_BYTES)
            self.send(
                node,
                {
                    "type": "snapshot",
                    "term": self.term,
                    "commit_index": self.commit_index,
                    "probe": self.probe,
                    "index": reader.index,
                    "digest": reader.digest,
                    "size": reader.size,
                    "offset": sending.sent,
                    "data": data,
                },
            )
            sending.sent += len(data)

    def abandon_transfer(self, node: Node) -> None:
        """Forget a transfer; the receiver says where to resume."""
        sending = self._sending.pop(node, None)
        if sending is not None:
            sending.reader.close()

    def become_leader(self) -> None:
        """Begin transfers afresh."""
        for node in list(self._sending):
            self.abandon_transfer(node)
        super().become_leader()

    def _on_snapshot_at(self, node: Node, message: Message) -> None:
        sending = self._sending.get(node)
        if message["term"] != self.term or self.role != LEADER:
            return
        self.last_response[node] = self.now()
        if sending is None or message["index"] != sending.reader.index:
            return
        offset = min(message["offset"], sending.reader.size)
        if offset != sending.wanted:
            sending.wanted, sending.moved_at = offset, self.now()
        if message["gap"]:
            sending.sent = offset
        if node in self.next_index and self.next_index[node] > self.log.first_index:
            self.abandon_transfer(node)
        elif node in self.connected:
            self.send_snapshot(node)

    # -- receiving ---------------------------------------------------------------------------

    def on_message(self, node: Node, message: Message) -> None:
        """Take the transfer's messages."""
        if message["type"] == "snapshot":
            if self._accept_leader(node, message):
                self._on_chunk(node, message)
        elif message["type"] == "snapshot_at":
            self._on_snapshot_at(node, message)
        else:
            super().on_message(node, message)

    def on_append(self, node: Node, message: Message) -> None:
        """While a received snapshot is being verified, only confirm that we hear the leader."""
        if self.snapshots.is_verifying:
            self.ack(node, message)
        else:
            super().on_append(node, message)

    def _on_chunk(self, node: Node, message: Message) -> None:
        if message["index"] <= self.commit_index:
            # Nothing new for us: say what we have instead.
            self.ack(node, message, next_index=message["index"] + 1, success=True)
            return
        if self.snapshots.is_verifying:
            self.ack(node, message)
            return
        wanted = self.snapshots.receive(
            message["index"], message["digest"], message["size"], message["offset"], message["data"]
        )
        self.send(
            node,
            {
                "type": "snapshot_at",
                "term": self.term,
                "index": message["index"],
                "offset": wanted,
                "gap": wanted != message["offset"] + len(message["data"]),
            },
        )

    def _install_received(self) -> None:
        """Replace log, membership and state by a snapshot that was received and verified."""
        if self.snapshots.is_writing:
            return  # an older one of our own, which would take the place of the received one
        received = self.snapshots.poll_received()
        if received is None:
            return
        meta, state = received
        if meta.index <= self.commit_index:
            self.snapshots.discard_received()
            return
        self.snapshots.publish_received()
        mine = self.log.at(meta.index)
        if mine is None or mine[2] != meta.term:
            self.log.replace(self._stand_ins(meta))
        self.applied_index = meta.index
        self.commit_index = meta.index
        self.log.sync()
        self.machine.restored(meta.index, state)
        self.adopt_members(meta.members)
        for command, _index, _term in self.log[meta.index + 1 - self.log.first_index :]:
            self.configure(command)
        if self.leader is not None and self.leader in self.connected:
            self.ack(self.leader, {}, next_index=meta.index + 1, success=True)
