"""The simulated disk: what was synced survives, everything else dies with the process."""

import zlib

import msgspec

from croncord.raft.entrylog import EntryLog
from croncord.raft.snapshotport import SnapshotMeta


class SimDisk:
    """What survives a crash of one node."""

    def __init__(self):
        self.entries = []
        self.meta = (0, None, 1, False, 0)
        self.snapshot = None


class SimLog(EntryLog):
    """The log over a simulated disk."""

    def __init__(self, disk):
        super().__init__()
        self._disk = disk
        self.entries = list(disk.entries)
        self.term, self.vote, self.commit, self.founded, self.identity = disk.meta

    def store_entry(self, entry):
        pass

    def store_removal(self, first, last):
        pass

    def store_meta(self):
        pass

    def write(self):
        self._disk.entries = list(self.entries)
        self._disk.meta = (self.term, self.vote, self.commit, self.founded, self.identity)

    def close(self):
        self.sync()


class SimReader:
    def __init__(self, index, data):
        self.index, self._data, self.size = index, data, len(data)
        self.digest = str(zlib.crc32(data)).encode()

    def read(self, offset, size):
        return self._data[offset : offset + min(size, 48)]

    def close(self):
        pass


class SimSnapshots:
    """Snapshots over a simulated disk; writing and checking take a few polls."""

    def __init__(self, disk, rng):
        self._disk, self._rng = disk, rng
        self._writing = self._receiving = self._verified = None
        self._polls = 0

    @property
    def is_writing(self):
        return self._writing is not None

    @property
    def is_verifying(self):
        return self._verified is not None

    def load(self):
        if self._disk.snapshot is None:
            return None
        return self._decode(self._disk.snapshot)

    @staticmethod
    def _decode(data):
        meta, state = msgspec.msgpack.decode(data, type=tuple[SnapshotMeta, list])
        return meta, state

    def write(self, meta, encode):
        self._writing = (meta.index, msgspec.msgpack.encode((meta, encode())))
        self._polls = self._rng.choice([0, 0, 3])

    def poll_written(self):
        if self._writing is None:
            return None
        if self._polls > 0:
            self._polls -= 1
            return None
        index, self._disk.snapshot = self._writing
        self._writing = None
        return index

    def open_reader(self):
        if self._disk.snapshot is None:
            return None
        meta, _state = self._decode(self._disk.snapshot)
        return SimReader(meta.index, self._disk.snapshot)

    def receive(self, index, digest, size, offset, data):
        if self._receiving is None or self._receiving[:2] != (index, digest):
            if offset != 0:
                return 0
            self._receiving = (index, digest, b"")
        have = self._receiving[2]
        if offset != len(have):
            return len(have)
        have += data
        self._receiving = (index, digest, have)
        if len(have) >= size:
            self._receiving = None
            if str(zlib.crc32(have)).encode() == digest:
                self._verified = have
                self._polls = self._rng.choice([0, 0, 3])
        return len(have)

    def poll_received(self):
        if self._verified is None:
            return None
        if self._polls > 0:
            self._polls -= 1
            return None
        self._published, self._verified = self._verified, None
        return self._decode(self._published)

    def publish_received(self):
        self._disk.snapshot = self._published

    def discard_received(self):
        self._receiving = None
