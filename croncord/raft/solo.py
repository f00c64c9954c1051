"""A cluster of one: the same promises without a network (`port.Replica`).

Without a directory everything is in memory, for tests and demos. With one it uses the journal and
the snapshot files of the group replica, in the same form, so a cluster can grow from one node.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from croncord.errors import CronCordError, NotReady, OutcomeUnknown, StoreError
from croncord.raft.applier import Applier
from croncord.raft.commands import AnyCommand, encode_command
from croncord.raft.engine.membership import founding_entry
from croncord.raft.engine.pinned import NO_OP, REGULAR
from croncord.raft.entrylog import EntryLog, VolatileLog
from croncord.raft.envelope import REQUEST_ID_BYTES, seal
from croncord.raft.image import decode_image
from croncord.raft.journal import LmdbJournal
from croncord.raft.port import AppliedListener, ReplicaStatus
from croncord.raft.snapshotfile import SnapshotFiles
from croncord.raft.snapshotport import SnapshotMeta
from croncord.raft.state import ClusterState, Outcome

_log = logging.getLogger(__name__)

SNAPSHOT_ENTRIES: Final = 10_000
_ENTRIES_KEPT: Final = 5000
_ADDRESS: Final = "127.0.0.1:0"

StatusListener = Callable[[ReplicaStatus], None]


class SoloReplica:
    """Decides alone, durably when it has a directory."""

    def __init__(self, name: str, data_dir: Path | None = None) -> None:
        self._name = name
        self._directory = None if data_dir is None else data_dir / "raft"
        self._applier = Applier()
        self._log: EntryLog = VolatileLog()
        self._snapshots: SnapshotFiles | None = None
        self._snapshot_index = 0
        self._committed = 0
        self._queue: list[bytes] = []
        self._writer: asyncio.Task[None] | None = None
        self._running = False
        self._failure: CronCordError | None = None
        self._listeners: list[StatusListener] = []

    @property
    def state(self) -> ClusterState:
        """The state as of `status().applied_index`. Read only."""
        return self._applier.state

    def status(self) -> ReplicaStatus:
        """Return what is known, which is everything."""
        return ReplicaStatus(
            name=self._name,
            role="leader" if self._running else "follower",
            leader=self._name if self._running else None,
            term=self._log.term,
            commit_index=self._committed,
            applied_index=self._applier.applied_index,
            has_quorum=self._running,
            contact_age_seconds=0.0,
            members=(self._name,),
            reachable=(self._name,),
        )

    async def start(self) -> None:
        """Open the journal and apply what it holds. Raises StoreError."""
        if self._directory is not None:
            await asyncio.to_thread(self._open, self._directory)
        if not self._log.entries:
            self._log.add(founding_entry({self._name: _ADDRESS}), 1, 0)
        self._restore()
        self._log.setCurrentTerm(max(self._log.term, self._log[-1][2]) + 1, self._name)
        self._log.found()
        self._log.add(NO_OP, self._log.last_index + 1, self._log.term)
        await self._sync()
        self._apply_to(self._log.last_index)
        self._running = True
        for listener in tuple(self._listeners):
            listener(self.status())

    def _open(self, directory: Path) -> None:
        self._log = LmdbJournal(directory / "journal")
        self._snapshots = SnapshotFiles(directory, decode_image)

    def _restore(self) -> None:
        stored = None if self._snapshots is None else self._snapshots.load()
        if stored is not None:
            meta, restored = stored
            if set(meta.members) != {self._name}:
                raise self._not_alone(set(meta.members))
            self._applier.restore(meta.index, restored)
            self._snapshot_index = meta.index
        elif self._log.first_index > 1:
            raise StoreError(
                "The snapshot is missing, and the journal no longer reaches back to the start",
                hint="Restore this node's data directory from a backup.",
            )

    def _not_alone(self, members: set[str]) -> StoreError:
        return StoreError(
            f"This directory belongs to a cluster of {', '.join(sorted(members))}",
            hint="Start this node with its Raft address and the cluster's members.",
        )

    async def stop(self) -> None:
        """Close everything; the journal is durable when this returns."""
        if not self._running:
            return
        self._running = False
        if self._writer is not None:
            await self._writer
        if self._snapshots is not None:
            await asyncio.to_thread(self._snapshots.close)
        self._log.close()

    async def propose(
        self,
        command: AnyCommand,
        *,
        timeout_seconds: float = 5.0,
        request_id: bytes | None = None,
    ) -> Outcome:
        """Apply the command once it is durable, and return its outcome.

        Raises NotReady when not started, OutcomeUnknown when the disk takes too long.
        """
        if self._failure is not None:
            raise NotReady(
                f"This node has stopped: {self._failure.message}", hint=self._failure.hint
            )
        if not self._running:
            raise NotReady("This node is stopping or was not started", hint="Start it.")
        request_id = os.urandom(REQUEST_ID_BYTES) if request_id is None else request_id
        future = self._applier.expect(request_id)
        self._queue.append(REGULAR + seal(request_id, encode_command(command)))
        if self._directory is None:
            self._append()
            self._apply_to(self._log.last_index)
        elif self._writer is None:
            self._writer = asyncio.create_task(self._write())
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            raise OutcomeUnknown(
                f"The disk did not confirm the change within {timeout_seconds:g} s",
                hint="It may still take effect. Repeating it with the same key is safe.",
            ) from None
        finally:
            self._applier.forget(request_id)

    def _append(self) -> None:
        queue, self._queue = self._queue, []
        for entry in queue:
            self._log.add(entry, self._log.last_index + 1, self._log.term)

    async def _write(self) -> None:
        """Write what is queued, one sync for all of it, then apply it; until nothing is left."""
        try:
            while self._queue:
                self._append()
                await self._sync()
                self._apply_to(self._log.last_index)
                self._snapshot_when_due()
        except CronCordError as error:
            self._failure = error
            _log.critical("this node stops: %s %s", error.message, error.hint)
        finally:
            self._writer = None

    async def _sync(self) -> None:
        await asyncio.to_thread(self._log.sync)

    def _apply_to(self, index: int) -> None:
        self._committed = index
        first = self._log.first_index
        for command, at, _term in self._log[self._applier.applied_index + 1 - first :]:
            if command[:1] == REGULAR:
                self._applier.apply(at, command[1:])
            elif b'"add"' in command[:8]:
                raise self._not_alone({self._name, "others"})
            else:
                self._applier.advance(at)

    def _snapshot_when_due(self) -> None:
        store = self._snapshots
        if store is None:
            return
        written = store.poll_written()
        if written is not None:
            self._log.deleteEntriesTo(written - _ENTRIES_KEPT - self._log.first_index)
        index = self._applier.applied_index
        if index - self._snapshot_index < SNAPSHOT_ENTRIES or store.is_writing:
            return
        entry, before = self._log.at(index), self._log.at(index - 1)
        if entry is not None and before is not None:
            self._snapshot_index = index
            meta = SnapshotMeta(
                index=index,
                term=entry[2],
                previous_term=before[2],
                members={self._name: _ADDRESS},
            )
            store.write(meta, self._applier.capture())

    async def barrier(self, *, timeout_seconds: float = 5.0) -> None:  # noqa: ARG002 - the port's
        """Wait for what is being written: everything confirmed is applied already."""
        if self._writer is not None:
            await asyncio.shield(self._writer)

    def subscribe(self, listener: AppliedListener) -> Callable[[], None]:
        """Call the listener for each applied command from now on; returns how to stop that."""
        return self._applier.subscribe(listener)

    def on_restored(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener when a snapshot took the state's place; returns how to stop that."""
        return self._applier.on_restored(listener)

    def on_status_change(self, listener: StatusListener) -> Callable[[], None]:
        """Call the listener when this node has started; returns how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def transfer_leadership(self, *, timeout_seconds: float = 5.0) -> None:
        """Do nothing: there is nobody to give it to."""
