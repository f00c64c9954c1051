"""What a backup's state becomes when a new cluster begins with it. Pure.

Nobody knows what the old cluster did after the backup was taken, and its machines are gone. So what was
open then is closed, what was due since then gets a row that says so and is not launched, and nothing
follows from either: no retry, no dependent job, no pause after failures.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Instant, Job, Node, RemovedNode, Run, run_id, script_sha256
from croncord.policy import matches
from croncord.preview import iso_utc
from croncord.raft.command import Command
from croncord.raft.endings import not_launched
from croncord.raft.state import RECENT_KEPT, ClusterState
from croncord.raft.watching import begin_anew
from croncord.ticks import due_at, ticks_after

BY = "restore"
FENCE_STEP = 2**32
"""More launches than the old cluster can have decided after the backup: fences must not repeat."""


class History(Protocol):
    """The ledger and the outputs of the backup, as far as they are in it, on this disk already."""

    def row(self, run_id: str) -> Run | None:
        """Return the row of a run that ended; it is newer than what the state says."""

    def holds(self, run_id: str, attempt: int) -> bool:
        """Whether the output of an attempt is here."""


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """How the new cluster begins."""

    at: Instant
    """What was due up to then lies in the past."""
    backup_at: Instant
    cluster_id: str
    session_key: bytes
    nodes: tuple[Node, ...]
    """Machines that are let in: the first one and those of its `peer` list."""
    rows_per_job: int
    """So many of the newest ticks in the gap get a row; older ones would be deleted again at once."""
    catch_up: bool = False
    """Leave the ticks in the gap to each job's misfire policy."""
    paused: bool = False


class Restoring:
    """Changes the state of a backup into one that a new cluster can begin with."""

    def __init__(self, state: ClusterState, beginning: Beginning, history: History) -> None:
        self._state = state
        self._beginning = beginning
        self._history = history
        self.lost = 0
        """Runs that were running."""
        self.not_launched = 0
        """Runs that waited."""
        self.ticks = 0
        """In the gap, those with a row of their own."""

    def steps(self) -> Iterator[list[Run]]:
        """Do it, yielding the rows that become final on the way."""
        state, beginning, history = self._state, self._beginning, self._history
        yield from self._close_open_runs()
        for job in sorted(state.jobs.values(), key=lambda job: job.id):
            if beginning.catch_up:
                _pass_over_known(state, job, history)
            else:
                yield self._skip_gap(job)
        for job_id, rows in list(state.recent.items()):
            state.recent[job_id] = tuple(_as_here(row, beginning, history) for row in rows)
        _take_over(state, beginning)
        state.rebuild_indexes()

    def _close_open_runs(self) -> Iterator[list[Run]]:
        state, beginning = self._state, self._beginning
        command = Command(at=beginning.at, by=BY)
        taken = iso_utc(beginning.backup_at)
        for run in list(state.open_runs.values()):
            row = self._history.row(run.id)
            if row is not None:  # it ended while the backup was written
                state.close_run(row)
                continue
            if run.state is RunState.RUNNING:
                self.lost += 1
                row = msgspec.structs.replace(
                    run,
                    state=RunState.LOST,
                    reason=Reason.RESTORED,
                    finished_at=beginning.at,
                    ended_by=BY,
                    detail=f"it ran on {run.node} when the backup was taken, {taken}",
                )
            else:
                self.not_launched += 1
                detail = f"it waited when the backup was taken, {taken}"
                row = not_launched(run, RunState.SKIPPED, Reason.RESTORED, command, detail)
            row = _as_here(row, beginning, self._history)
            state.close_run(row)
            yield [row]
        # The truth about them went with the disks of the old cluster.
        state.lost.clear()
        state.unclosed.clear()

    def _skip_gap(self, job: Job) -> list[Run]:
        """Give the ticks between the backup and now their rows, and move the job past them."""
        state, beginning, history = self._state, self._beginning, self._history
        if job.next_due is None or job.next_due > beginning.at:
            return []
        most = min(job.spec.retention.runs or beginning.rows_per_job, beginning.rows_per_job)
        newest: deque[datetime] = deque(maxlen=most)
        next_due = None
        for tick in _ticks_from(job, job.next_due):
            if tick > beginning.at:
                next_due = tick
                break
            newest.append(tick)
        fresh = [
            row
            for tick in newest
            for row in _rows_of(state, job, tick, beginning)
            if history.row(row.id) is None and not state.has_row(job.id, row.id)
        ]
        for row in fresh[-RECENT_KEPT:]:
            state.close_run(row)
        decided = newest[-1] if newest else job.decided_until
        state.put_job(msgspec.structs.replace(job, next_due=next_due, decided_until=decided))
        self.ticks += len(fresh)
        return fresh


def _as_here(row: Run, beginning: Beginning, history: History) -> Run:
    newer = history.row(row.id)
    return newer or on_disk_of(row, beginning.nodes[0].name, history.holds)


def _ticks_from(job: Job, first: datetime) -> Iterator[datetime]:
    return ticks_after(job.spec, job.id, job.anchor, first - timedelta(milliseconds=1))


def _rows_of(state: ClusterState, job: Job, tick: datetime, beginning: Beginning) -> Iterator[Run]:
    """Yield the row of a tick, or one for each node that an every-node job had."""
    targets = _targets(state, job)
    for index, target in enumerate(targets):
        yield Run(
            id=run_id(job.id, tick, target=target),
            job_id=job.id,
            job=job.name,
            job_version=job.version,
            script_sha256=script_sha256(job.spec.script),
            nominal_time=tick,
            due_at=due_at(job, tick),
            trigger=Trigger.EVERY_NODE if job.spec.target.every_node else Trigger.SCHEDULE,
            state=RunState.SKIPPED,
            reason=Reason.RESTORED,
            target=target,
            shard_index=index,
            shard_count=len(targets),
            decided_at=beginning.at,
            decided_by=BY,
            finished_at=beginning.at,
            ended_by=BY,
            detail=f"due between the backup of {iso_utc(beginning.backup_at)} and its restore; "
            "the old cluster may have launched it",
        )


def _targets(state: ClusterState, job: Job) -> list[str]:
    if not job.spec.target.every_node:
        return [""]
    found = (node.name for node in state.nodes.values() if matches(job.spec.target, node))
    return sorted(found) or [""]


def _pass_over_known(state: ClusterState, job: Job, history: History) -> None:
    """Move the job past ticks whose rows are in the backup's ledger: they had their turn."""
    targets = _targets(state, job)
    if job.next_due is None:
        return
    for tick in _ticks_from(job, job.next_due):
        if all(history.row(run_id(job.id, tick, target=target)) is None for target in targets):
            state.put_job(msgspec.structs.replace(job, next_due=tick))
            return
    state.put_job(msgspec.structs.replace(job, next_due=None))


def _take_over(state: ClusterState, beginning: Beginning) -> None:
    """Give the cluster its new identity and members; the old disks are out for good."""
    for node in state.nodes.values():
        if node.disk:
            state.removed[node.disk] = RemovedNode(name=node.name, at=beginning.at, by=BY)
    state.nodes.clear()
    for node in beginning.nodes:
        state.nodes[node.name] = node
    state.cluster_id = beginning.cluster_id
    state.session_key = beginning.session_key
    state.join_tokens.clear()
    state.links.clear()
    state.ended_sessions.clear()
    begin_anew(state, beginning.at)
    state.fence += FENCE_STEP
    state.paused = state.paused or beginning.paused


def on_disk_of(run: Run, name: str, held: Callable[[str, int], bool]) -> Run:
    """Return a row as the first node of the new cluster has it: its output is there or nowhere."""

    def replicas(attempt: int) -> tuple[str, ...]:
        return (name,) if held(run.id, attempt) else ()

    return msgspec.structs.replace(
        run,
        replicas=replicas(run.attempt),
        attempts=tuple(
            msgspec.structs.replace(attempt, replicas=replicas(attempt.number))
            for attempt in run.attempts
        ),
    )
