"""A state put on an empty disk, as if this node had agreed on it alone: how a restore begins.

It becomes the snapshot of a group whose only voter is this node. Others join it as they join any.
"""

from pathlib import Path

from croncord.errors import Conflict
from croncord.raft.engine.pinned import NO_OP
from croncord.raft.image import encode_image
from croncord.raft.journal import LmdbJournal
from croncord.raft.snapshot import copy_state
from croncord.raft.snapshotfile import write_snapshot
from croncord.raft.snapshotport import SnapshotMeta
from croncord.raft.state import ClusterState


def install(
    data_dir: Path, state: ClusterState, *, name: str, address: str, index: int, term: int
) -> None:
    """Write snapshot and journal of a group of one that has agreed on `state` at `index`.

    The snapshot is in its place before the journal says that this node was founded. `index` is at
    least 2. Raises Conflict when a node has run on this disk, StoreError when the disk refuses.
    """
    directory = data_dir / "raft"
    if (directory / "journal").exists() or (directory / "snapshot").exists():
        raise Conflict(
            f"a node has run on {data_dir}",
            hint="Restore into an empty data directory: move this one away first.",
        )
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    meta = SnapshotMeta(index=index, term=term, previous_term=term, members={name: address})
    write_snapshot(directory / "snapshot", meta, encode_image(copy_state(state), []))
    journal = LmdbJournal(directory / "journal")
    try:
        journal.replace([(NO_OP, index - 1, term), (NO_OP, index, term)])
        journal.setRaftCommitIndex(index)
        journal.setCurrentTerm(term, None)
        journal.found()
    finally:
        journal.close()
