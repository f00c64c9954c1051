"""The Raft log in memory, as pysyncobj reads it, and the contract of what makes it durable.

Every change is buffered. Nothing that depends on it may leave this node before `sync` returned:
no vote, no acknowledgement, no counting of the own copy. Term and vote are the exception: setting
them is synchronous, because they are rare and always followed by a message.
"""

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, overload

from pysyncobj.journal import Journal

from croncord.figures import DISK_SECONDS, Histogram

Entry = tuple[bytes, int, int]
"""Command, index, term: the order is pysyncobj's."""


class EntryLog(Journal):  # type: ignore[misc]  # pysyncobj ships no types
    """The log's entries in memory, with term, vote and commit index. Subclasses store them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.term = 0
        self.vote: str | None = None
        self.commit = 1
        self.founded = False
        """Whether this node has ever taken part: a log without it is new, or was lost."""
        self.identity = 0
        """Drawn once in the life of a disk: a wiped node has another one."""
        self.dirty = False
        self.syncs = 0
        self.sync_seconds = Histogram(DISK_SECONDS)
        self._failure: Exception | None = None

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self.entries[item]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def first_index(self) -> int:
        """Index of the oldest entry that is kept."""
        return self.entries[0][1]

    @property
    def last_index(self) -> int:
        """Index of the newest entry."""
        return self.entries[-1][1]

    def at(self, index: int) -> Entry | None:
        """Return the entry at a log index, or None when it is not here."""
        if not self.entries:
            return None
        offset = index - self.entries[0][1]
        return self.entries[offset] if 0 <= offset < len(self.entries) else None

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append one entry; its index must follow the last one."""
        if self.entries and idx != self.entries[-1][1] + 1:
            raise ValueError(f"entry {idx} does not follow {self.entries[-1][1]}")
        entry = (command, idx, term)
        self.entries.append(entry)
        self.store_entry(entry)
        self.dirty = True

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803 - pysyncobj's Journal
        """Cut the tail, starting at an offset (not an index)."""
        gone = self.entries[entryFrom:]
        if gone:
            del self.entries[entryFrom:]
            self.store_removal(gone[0][1], gone[-1][1])
            self.dirty = True

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803 - pysyncobj's Journal
        """Cut the head, up to but excluding an offset (not an index)."""
        gone = self.entries[: max(entryTo, 0)]
        if gone:
            del self.entries[: len(gone)]
            self.store_removal(gone[0][1], gone[-1][1])
            self.dirty = True

    def clear(self) -> None:
        """Remove all entries."""
        self.deleteEntriesFrom(0)

    def replace(self, entries: Sequence[Entry]) -> None:
        """Put these entries in place of all others, in one sync."""
        self.clear()
        for entry in entries:
            self.add(*entry)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803 - pysyncobj's
        """Remember the commit index, written with the next sync: losing it loses nothing."""
        if raftCommitIndex != self.commit:
            self.commit = raftCommitIndex
            self.store_meta()

    def getRaftCommitIndex(self) -> int:  # noqa: N802 - pysyncobj's Journal
        """Return the commit index last remembered."""
        return self.commit

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803
        """Make term and vote durable, now."""
        self.term, self.vote = term, votedForNodeId
        self.store_meta()
        self.dirty = True
        self.sync()

    def getCurrentTerm(self) -> int:  # noqa: N802 - pysyncobj's Journal
        """Return the durable term."""
        return self.term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802 - pysyncobj's Journal
        """Return who got this node's vote in the durable term."""
        return self.vote

    def found(self) -> None:
        """Remember, durably, that this node takes part from now on."""
        if not self.founded:
            self.founded = True
            self.store_meta()
            self.dirty = True
            self.sync()

    def identify(self, identity: int) -> None:
        """Give the disk its identity, durably, unless it has one."""
        if not self.identity:
            self.identity = identity
            self.store_meta()
            self.dirty = True
            self.sync()

    def sync(self) -> None:
        """Make everything so far durable.

        A sync that failed is final (the kernel may have dropped the pages it could not write), so
        every later call raises the same error.
        """
        if self._failure is not None:
            raise self._failure
        if self.dirty:
            began = time.monotonic()
            try:
                self.write()
            except Exception as error:
                self._failure = error
                raise
            self.sync_seconds.observe(time.monotonic() - began)
            self.dirty = False
            self.syncs += 1

    def _destroy(self) -> None:
        self.close()

    @abstractmethod
    def store_entry(self, entry: Entry) -> None:
        """Buffer an appended entry."""

    @abstractmethod
    def store_removal(self, first: int, last: int) -> None:
        """Buffer the removal of entries from index `first` to `last`, both included."""

    @abstractmethod
    def store_meta(self) -> None:
        """Buffer term, vote, commit index, founding and identity."""

    @abstractmethod
    def write(self) -> None:
        """Write what is buffered in one atomic, durable step."""

    @abstractmethod
    def close(self) -> None:
        """Release files; what was not synced may be lost."""


class VolatileLog(EntryLog):
    """A log that forgets everything with the process: for a cluster of one without a disk."""

    def store_entry(self, entry: Entry) -> None:
        """Keep nothing."""

    def store_removal(self, first: int, last: int) -> None:
        """Keep nothing."""

    def store_meta(self) -> None:
        """Keep nothing."""

    def write(self) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Nothing to release."""


def plain(value: Any) -> Entry:
    """Return an entry as it came over the wire (a list) in its stored form."""
    command, index, term = value
    return bytes(command), index, term
