"""What the cluster has agreed, as tables.

House rules: only `croncord.raft.apply` changes it. This file keeps the tables and their indexes
together and knows no command; what commands mean is in `jobs_apply`, `runs_apply`, `cluster_apply`.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from croncord.credentials import Link, Secret, Token, User
from croncord.locks import has_room, name_and_places
from croncord.model import Calendar, Job, JoinToken, Node, RemovedNode, Run
from croncord.raft.notify_tables import NotifyTables
from croncord.raft.table import Table
from croncord.saved_views import SavedView

VERSIONS_KEPT = 20
RECENT_KEPT = 5
LOST_KEPT = 1000
KEYS_KEPT = 10_000
DELETED_KEPT = 10_000
DELETED_OF_NAME = 10
_NAMED = 3
_STALE_DUE = 64
"""Outdated entries in the heap of next ticks, beyond one per job."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a command changed nothing."""

    code: str
    """not_found, conflict, version, stale_term, behind, invalid, forbidden,
    malformed."""
    message: str
    field: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What applying a command gave: a value or a refusal, and the ledger rows it made final."""

    value: Any = None
    refusal: Refusal | None = None
    rows: tuple[Run, ...] = ()


def refuse(code: str, message: str, field: str = "") -> Outcome:
    """Outcome of a command that changes nothing."""
    return Outcome(refusal=Refusal(code, message, field))


def few(names: Iterable[str]) -> str:
    """Return the first names in order, and how many more there are."""
    first, more = sorted(names), ""
    if len(first) > _NAMED:
        more = f" and {len(first) - _NAMED} more"
    return ", ".join(first[:_NAMED]) + more


class ClusterState(NotifyTables):
    """The agreed tables. Changed only by `apply`; everybody else reads."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster_id = ""
        self.session_key = b""
        self.paused = False
        self.term = 0
        """Newest term a leader's decision was accepted from."""
        self.fence = 0
        """Grows with every launch decision."""
        self.jobs: Table[Job] = Table()
        self.versions: Table[tuple[Job, ...]] = Table()
        """Definitions as they were: the last 20 and those that open runs need, oldest first."""
        self.open_runs: Table[Run] = Table()
        self.recent: Table[tuple[Run, ...]] = Table()
        """The last final rows of each job, newest last."""
        self.lost: Table[Run] = Table()
        """Rows that the truth may still replace, oldest first."""
        self.unclosed: Table[Run] = Table()
        """Final rows with an earlier attempt that was lost and whose output is not agreed yet."""
        self.nodes: Table[Node] = Table()
        self.removed: Table[RemovedNode] = Table()
        """Disks that were members once, oldest first."""
        self.join_tokens: Table[JoinToken] = Table()
        self.tokens: Table[Token] = Table()
        self.users: Table[User] = Table()
        self.links: Table[Link] = Table()
        self.ended_sessions: Table[datetime] = Table()
        """Digests of sessions that were signed out, until their cookies expire."""
        self.keys: Table[str] = Table()
        """Idempotency keys of manual runs to run ids, oldest first."""
        self.calendars: Table[Calendar] = Table()
        self.secrets: Table[Secret] = Table()
        self.views: Table[tuple[SavedView, ...]] = Table()
        """Saved views of lists, by whose they are."""
        self.label_limits: Table[int] = Table()
        """Labels as `key=value` to how many runs all nodes with them may have at once."""
        self.deleted: Table[tuple[str, ...]] = Table()
        """Names of deleted jobs to the ids of the last that had it, so that their rows are found."""
        self._names: dict[str, str] = {}
        self._after: dict[str, set[str]] = {}
        """Names of jobs to the ids of those that run after them."""
        self._due: list[tuple[datetime, str]] = []
        self._by_job: dict[str, dict[str, Run]] = {}
        self._by_node: dict[str, dict[str, Run]] = {}
        self._queued: dict[str, Run] = {}
        self._filed: dict[str, str] = {}
        """Ids of recent rows to those of their jobs."""
        self._held: dict[str, dict[str, int]] = {}
        """Lock names to the runs that hold them, with the places these name."""

    def digest(self) -> str:
        """Hash of everything agreed: equal on nodes that applied the same commands."""
        scalars = (self.cluster_id, self.session_key, self.paused, self.term, self.fence)
        digests = [table.digest for table in self.tables().values()]
        agreed = msgspec.msgpack.encode((scalars, [f"{digest:032x}" for digest in digests]))
        return hashlib.blake2b(agreed, digest_size=16).hexdigest()

    def tables(self) -> dict[str, Table[Any]]:
        """All tables by name."""
        return {name: table for name, table in vars(self).items() if isinstance(table, Table)}

    # Reading

    def job_named(self, name: str) -> Job | None:
        """Return the job of that name."""
        job_id = self._names.get(name)
        return None if job_id is None else self.jobs[job_id]

    def calendars_of(self, job: Job) -> list[Calendar]:
        """Return the calendars that a job names."""
        found = (self.calendars.get(name) for name in job.spec.calendars)
        return [calendar for calendar in found if calendar is not None]

    def jobs_after(self, name: str) -> list[Job]:
        """Return the jobs that run after the one of that name, in the order of their ids."""
        return [self.jobs[job_id] for job_id in sorted(self._after.get(name, ()))]

    def lock_blocker(
        self,
        run_id: str,
        locks: Sequence[str],
        granted: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
    ) -> str:
        """Return what keeps a run from holding its locks, as a sentence; empty if nothing does.

        `granted` are holders that are not in the state yet.
        """
        for name, places in map(name_and_places, locks):
            holders = {**self._held.get(name, {}), **granted.get(name, {})}
            holders.pop(run_id, None)
            if not has_room(places, holders):
                return f"the lock {name} is held by run {min(holders)}"
        return ""

    def job_version(self, job_id: str, version: int) -> Job | None:
        """Return a definition as it was, while it is kept."""
        kept = self.versions.get(job_id, ())
        return next((job for job in reversed(kept) if job.version == version), None)

    def runs_of_job(self, job_id: str) -> list[Run]:
        """Open runs of a job."""
        return list(self._by_job.get(job_id, {}).values())

    def runs_of_node(self, name: str) -> list[Run]:
        """Open runs that are assigned to a node."""
        return list(self._by_node.get(name, {}).values())

    def load_of(self, name: str) -> int:
        """How many runs a node has in hand."""
        return len(self._by_node.get(name, ()))

    def has_room(self, name: str, run_id: str) -> bool:
        """Whether a node may have the run besides those that it, and its labels, have in hand."""
        node = self.nodes.get(name)
        if node is None:
            return True  # whoever gave it there did not know yet; it is taken away again
        if node.max_runs and len(self._by_node.get(name, {}).keys() - {run_id}) >= node.max_runs:
            return False
        labels = {f"{key}={value}" for key, value in node.labels.items()}
        return all(
            self._load_of_label(label, run_id) < self.label_limits[label]
            for label in labels & self.label_limits.keys()
        )

    def _load_of_label(self, label: str, without: str) -> int:
        key, _, value = label.partition("=")
        names = (node.name for node in self.nodes.values() if node.labels.get(key) == value)
        return sum(len(self._by_node.get(name, {}).keys() - {without}) for name in names)

    def nodes_with_runs(self) -> list[str]:
        """Names that open runs are assigned to, members or not."""
        return list(self._by_node)

    def queued_runs(self) -> list[Run]:
        """Pending runs without a node, oldest nominal time first."""
        return [self._queued[run_id] for run_id in sorted(self._queued)]

    def run(self, run_id: str) -> Run | None:
        """Return a run that is open, lost, or among the last of its job."""
        found = self.open_runs.get(run_id) or self.lost.get(run_id)
        if found is not None:
            return found
        rows = self.recent.get(self._filed.get(run_id, ""), ())
        return next((row for row in rows if row.id == run_id), None)

    def has_row(self, job_id: str, run_id: str) -> bool:
        """Whether the job's run is open, lost, or among its last ones."""
        if run_id in self.open_runs or run_id in self.lost:
            return True
        return any(row.id == run_id for row in self.recent.get(job_id, ()))

    def unclosed_outputs(self) -> Iterator[tuple[Run, int, tuple[str, ...]]]:
        """Yield the attempts that were lost without an agreed output: row, number, who keeps it."""
        rows = {**self.unclosed, **self.lost}
        rows |= {run.id: run for run in self.open_runs.values() if run.attempts}
        for run in rows.values():
            yield from (
                (run, attempt.number, attempt.replicas)
                for attempt in run.attempts
                if attempt.lacks_log
            )
            if run.lacks_log:
                yield run, run.attempt, run.replicas

    def next_due(self) -> datetime | None:
        """Nominal time of the earliest undecided tick."""
        self._drop_stale_due()
        return self._due[0][0] if self._due else None

    def due_jobs(self, until: datetime, limit: int) -> tuple[list[Job], datetime | None]:
        """Jobs whose next tick is not after `until`, earliest first, at most `limit`.

        The second value is the earliest tick that was left out: later than `until`, or over the
        limit.
        """
        popped: list[tuple[datetime, str]] = []
        self._drop_stale_due()
        while self._due and self._due[0][0] <= until and len(popped) < limit:
            popped.append(heapq.heappop(self._due))
            self._drop_stale_due()
        left_out = self._due[0][0] if self._due else None
        due = dict.fromkeys(popped)
        for entry in due:
            heapq.heappush(self._due, entry)
        return [self.jobs[job_id] for _, job_id in due], left_out

    # Changing: used by the handlers only

    def put_job(self, job: Job) -> None:
        """Store a job under its id, keeping names and due times in step."""
        old = self.jobs.get(job.id)
        if old is not None:
            del self._names[old.name]
            self._unlink(old)
        self.jobs[job.id] = job
        self._names[job.name] = job.id
        self._link(job)
        if job.next_due is not None and (old is None or old.next_due != job.next_due):
            heapq.heappush(self._due, (job.next_due, job.id))
            if len(self._due) > 2 * len(self.jobs) + _STALE_DUE:
                self._index_due()  # nobody looks at it on a node that does not lead

    def remove_job(self, job: Job) -> None:
        """Forget a job and its recent rows; versions that open runs pin stay."""
        ids = (*self.deleted.pop(job.name, ()), job.id)
        self.deleted[job.name] = ids[-DELETED_OF_NAME:]
        while len(self.deleted) > DELETED_KEPT:
            del self.deleted[next(iter(self.deleted))]
        del self.jobs[job.id]
        del self._names[job.name]
        self._unlink(job)
        self._file(job.id, ())
        self.watches.pop(job.id, None)
        self.prune_versions(job.id)

    def put_run(self, run: Run) -> None:
        """Store an open run."""
        self._unindex(self.open_runs.get(run.id))
        self.open_runs[run.id] = run
        self._index(run)

    def close_run(self, run: Run) -> None:
        """File a final row: out of the open ones, into the recent ones of its job."""
        was_open = self.open_runs.pop(run.id, None)
        self._unindex(was_open)
        self.lost.pop(run.id, None)
        if run.state == "lost":
            self.lost[run.id] = run
            while len(self.lost) > LOST_KEPT:
                del self.lost[next(iter(self.lost))]
        self.unclosed.pop(run.id, None)
        if any(attempt.lacks_log for attempt in run.attempts):
            self.unclosed[run.id] = run
            while len(self.unclosed) > LOST_KEPT:
                del self.unclosed[next(iter(self.unclosed))]
        if run.job_id in self.jobs:
            rows = [row for row in self.recent.get(run.job_id, ()) if row.id != run.id]
            rows = sorted([*rows, run], key=lambda row: row.id)
            self._file(run.job_id, rows[-RECENT_KEPT:])
        if was_open is not None:
            self.prune_versions(run.job_id)

    def _file(self, job_id: str, rows: Sequence[Run]) -> None:
        """Make these the recent rows of a job."""
        for row in self.recent.get(job_id, ()):
            del self._filed[row.id]
        self._filed |= dict.fromkeys((row.id for row in rows), job_id)
        if rows:
            self.recent[job_id] = tuple(rows)
        else:
            self.recent.pop(job_id, None)

    def put_version(self, job: Job) -> None:
        """Keep this definition as a version."""
        self.versions[job.id] = (*self.versions.get(job.id, ()), job)
        self.prune_versions(job.id)

    def prune_versions(self, job_id: str) -> None:
        """Drop versions that are neither recent nor needed by an open run."""
        kept = self.versions.get(job_id, ())
        recent = {job.version for job in kept[-VERSIONS_KEPT:]} if job_id in self.jobs else set()
        pinned = {run.job_version for run in self.runs_of_job(job_id)}
        needed = tuple(job for job in kept if job.version in recent | pinned)
        if not needed:
            self.versions.pop(job_id, None)
        elif len(needed) < len(kept):
            self.versions[job_id] = needed

    def remember_key(self, key: str, run_id: str) -> None:
        """Remember what an idempotency key led to; the oldest keys are forgotten."""
        self.keys[key] = run_id
        while len(self.keys) > KEYS_KEPT:
            del self.keys[next(iter(self.keys))]

    def rebuild_indexes(self) -> None:
        """Derive every index from the tables, after they were restored from a snapshot."""
        self._names = {job.name: job.id for job in self.jobs.values()}
        self._after = {}
        for job in self.jobs.values():
            self._link(job)
        self._index_due()
        self._by_job, self._by_node, self._queued, self._held = {}, {}, {}, {}
        for run in self.open_runs.values():
            self._index(run)
        self._filed = {row.id: id_ for id_, rows in self.recent.items() for row in rows}

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold."""
        fresh = ClusterState()
        for name, table in self.tables().items():
            for key, value in table.items():
                fresh.tables()[name][key] = value
            assert fresh.tables()[name].digest == table.digest, f"digest of {name}"
        fresh.rebuild_indexes()
        assert self._names == fresh._names, "job names are unique and indexed"
        assert self._after == fresh._after, "dependents are indexed"
        assert self._by_job == fresh._by_job, "open runs are indexed by job"
        assert self._by_node == fresh._by_node, "open runs are indexed by node"
        assert self._queued == fresh._queued, "waiting runs are indexed"
        assert self._held == fresh._held, "held locks are indexed"
        assert self._filed == fresh._filed, "recent rows are indexed"
        for name, holders in self._held.items():
            assert len(holders) <= min(holders.values()), f"{name} is held as often as it may be"
        assert set(fresh._due) <= set(self._due), "every next tick is in the heap"
        assert all(run.is_open for run in self.open_runs.values()), "open runs are open"
        assert all(run.job_id in self.versions for run in self.open_runs.values()), "versions kept"
        closed = [run for rows in self.recent.values() for run in rows]
        assert not any(run.is_open for run in closed), "recent rows are final"
        assert not self.open_runs.keys() & {run.id for run in closed}, "one row per run"

    def _link(self, job: Job) -> None:
        for entry in job.spec.after:
            self._after.setdefault(entry.job, set()).add(job.id)

    def _unlink(self, job: Job) -> None:
        for name in {entry.job for entry in job.spec.after}:
            self._after[name].discard(job.id)
            if not self._after[name]:
                del self._after[name]

    def _index(self, run: Run) -> None:
        self._by_job.setdefault(run.job_id, {})[run.id] = run
        if run.node is not None:
            self._by_node.setdefault(run.node, {})[run.id] = run
            for name, places in map(name_and_places, run.locks):
                self._held.setdefault(name, {})[run.id] = places
        elif run.is_queued:
            self._queued[run.id] = run

    def _unindex(self, run: Run | None) -> None:
        if run is None:
            return
        self._queued.pop(run.id, None)
        for name, _ in map(name_and_places, run.locks):
            holders = self._held.get(name, {})
            holders.pop(run.id, None)
            if not holders:
                self._held.pop(name, None)
        for index, key in ((self._by_job, run.job_id), (self._by_node, run.node)):
            if key is not None:
                index[key].pop(run.id)
                if not index[key]:
                    del index[key]

    def _index_due(self) -> None:
        self._due = [(j.next_due, j.id) for j in self.jobs.values() if j.next_due is not None]
        heapq.heapify(self._due)

    def _drop_stale_due(self) -> None:
        while self._due:
            due, job_id = self._due[0]
            job = self.jobs.get(job_id)
            if job is not None and job.next_due == due:
                return
            heapq.heappop(self._due)
