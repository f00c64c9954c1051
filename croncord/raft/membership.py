"""What a person does to a node's membership while the node is stopped.

When a majority of the disks is gone for good, no vote can ever succeed again, and no program may
decide on its own to go on without them: entries that only the lost nodes held may have been
confirmed. `stand_alone` lets a person decide that for one surviving node.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from croncord.errors import ConfigError
from croncord.raft.engine.membership import (
    change_entry,
    founding_members_of,
    request_of,
)
from croncord.raft.journal import LmdbJournal
from croncord.raft.snapshotfile import check_snapshot


def voters_of(data_dir: Path, name: str | None = None) -> dict[str, str]:
    """Return the voters, with addresses, as a stopped node's disk has them.

    Raises StoreError when the node runs or its disk is damaged, ConfigError when there is no
    journal or `name` is no voter.
    """
    with _journal(data_dir) as journal:
        voters = _voters(data_dir, journal)
        if name is not None:
            _check_voter(name, voters)
        return voters


def last_entry(data_dir: Path) -> tuple[int, int]:
    """Return index and term of the last entry on a stopped node's disk, to compare survivors.

    Raises as `voters_of`.
    """
    with _journal(data_dir) as journal:
        return journal.last_index, journal.entries[-1][2] if journal.entries else 0


@contextmanager
def _journal(data_dir: Path) -> Iterator[LmdbJournal]:
    path = data_dir / "raft" / "journal"
    if not path.exists():
        raise ConfigError(
            f"{data_dir} holds no journal: no node has run there",
            hint="Give the --data-dir that the node is started with.",
        )
    journal = LmdbJournal(path)
    try:
        yield journal
    finally:
        journal.close()


def _check_voter(name: str, voters: Mapping[str, str]) -> None:
    if name not in voters:
        raise ConfigError(
            f"{name} is no voter of the group on this disk",
            hint=f"The voters are {', '.join(sorted(voters)) or 'unknown'}; "
            "choose the one whose journal is the longest.",
        )


def _voters(data_dir: Path, journal: LmdbJournal) -> dict[str, str]:
    snapshot = data_dir / "raft" / "snapshot"
    after = 1
    voters: dict[str, str] = {}
    if snapshot.exists():
        meta, _digest = check_snapshot(snapshot)
        after, voters = meta.index, dict(meta.members)
    elif journal.entries:
        voters = founding_members_of(journal) or {}
    for command, index, _term in journal.entries:
        request = request_of(command) if index > after else None
        if request is not None and request[0] == "add":
            voters[request[1]] = request[2]
        elif request is not None:
            voters.pop(request[1], None)
    return voters


def stand_alone(data_dir: Path, name: str) -> tuple[str, ...]:
    """Make a stopped node the only voter of its group; returns the names of the others.

    For the day when a majority is lost for good. What this node's journal holds becomes agreed,
    whether it was confirmed to anybody or not; what only the others held is lost. The other nodes
    must never start again with their old disks: move their raft directories away and let them
    join. Raises ConfigError when the node is no voter, StoreError when it runs or is damaged.
    """
    with _journal(data_dir) as journal:
        voters = _voters(data_dir, journal)
        _check_voter(name, voters)
        others = sorted(voters.keys() - {name})
        term = max(journal.term, journal.entries[-1][2]) + 1
        journal.setCurrentTerm(term, name)
        for other in others:
            entry = change_entry("rem", other, voters[other], 0)
            journal.add(entry, journal.last_index + 1, term)
        journal.found()
        journal.sync()
        return tuple(others)
