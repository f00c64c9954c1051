"""What a node tells about its journal and its snapshots."""

from collections.abc import Iterator

from croncord.figures import Family, gauge
from croncord.raft.entrylog import EntryLog
from croncord.raft.snapshotfile import SnapshotFiles


def storage_figures(log: EntryLog, snapshots: SnapshotFiles) -> Iterator[Family]:
    """Yield them; called on the loop's thread while the engine's thread writes."""
    yield log.sync_seconds.family(
        "croncord_journal_sync_duration_seconds",
        "How long it took to make entries of the journal durable",
    )
    yield gauge("croncord_journal_entries", "Entries in the journal", len(log.entries))
    written = snapshots.written_at()
    if written is not None:
        yield gauge(
            "croncord_snapshot_timestamp_seconds",
            "When the newest snapshot of the state came to this disk",
            written,
        )
