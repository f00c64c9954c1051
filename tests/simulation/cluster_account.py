"""The world's own account of what was agreed: every entry once, in order, with the true time.

It keeps what the verifiers need and what the cluster itself forgets: the life of every definition,
every claim, every final row, and for each tick that was not launched the facts of that moment.
"""

from dataclasses import dataclass
from datetime import datetime

from cluster_telling import seconds
from cluster_watch import WATCHES, Dependents

from croncord.lifecycle import RunState
from croncord.model import Job, JobSpec, Run
from croncord.ports import LogKey
from croncord.raft import applier
from croncord.raft.command import LeaderCommand
from croncord.raft.commands import (
    AnyCommand,
    ClaimRuns,
    DecideTicks,
    DeleteJob,
    PauseCluster,
    PauseJob,
    PutJob,
    RequestKill,
    decode_command,
)
from croncord.raft.envelope import unseal
from croncord.raft.jobs_apply import timing
from croncord.raft.requests import AppliedRequests
from croncord.raft.state import ClusterState, Outcome

PLANNED_SECONDS = 12.0
"""A decision may be so much older than its entry in the log."""
WAITED_SECONDS = 60.0
"""An entry may wait so long for a majority of a leader that still believes in itself."""


@dataclass
class Timing:
    """A stretch of a job's life during which its ticks follow one rule."""

    job_id: str
    spec: JobSpec
    anchor: datetime
    opens: datetime
    closes: datetime | None = None


@dataclass
class Verdict:
    """A row that ended without a launch, and what was true when it did."""

    row: Run
    at: datetime
    """The leader's time of the decision."""
    job: Job | None
    paused: bool
    cluster_paused: bool
    others: tuple[Run, ...]
    """Runs of the same job that were open before the command, or when it may have been planned."""
    up: frozenset[str]
    command: AnyCommand
    time: float


@dataclass
class Applied:
    index: int
    time: float
    command: AnyCommand
    outcome: Outcome
    request_id: bytes


class Account:
    """Applies what is agreed as soon as any node knows it is."""

    def __init__(self, world) -> None:
        self._world = world
        self.state = ClusterState()
        self.index = 0
        self.entries: dict[int, object] = {}
        self.applied: list[Applied] = []
        self.timings: list[Timing] = []
        self.claims: dict[LogKey, str] = {}
        self.claimed_at: dict[LogKey, float] = {}
        self.rows: dict[str, list[Run]] = {}
        """Final rows of each run, in the order they were filed."""
        self.seen: dict[str, Run] = {}
        """Each run as last known, open or final."""
        self.verdicts: list[Verdict] = []
        self.kills: dict[str, float] = {}
        self.closed: dict[str, list[tuple[float, Run]]] = {}
        self.claimed_index: dict[LogKey, int] = {}
        self.stopped: dict[str, list[tuple[int, str]]] = {}
        """Entries at which a job was paused, resumed or deleted."""
        self.problems: list[tuple[str, str]] = []
        self.newest_term = 0
        self.unpaused: dict[str, float] = {}
        self.given_up: set[str] = set()
        """Runs of which an attempt was taken for lost, also when the truth about it came later."""
        self.raised: dict[str, float] = {}
        """When each node that is up came to be so."""
        self.definitions: dict[tuple[str, int], Job] = {}
        self._requests = AppliedRequests()
        self._digests: dict[int, str] = {}
        self._open_timing: dict[str, Timing] = {}
        self.is_calm = False
        """Whether nothing has been broken for a while."""
        self._watches = [kind(self) for kind in WATCHES]
        self.dependents = next(w for w in self._watches if isinstance(w, Dependents))

    @property
    def time(self) -> float:
        """True time."""
        return self._world.time

    def definition_of(self, run: Run) -> JobSpec:
        """The definition that a run pins."""
        return self.definitions[run.job_id, run.job_version].spec

    def digest_at(self, index: int) -> str:
        return self._digests[index]

    def agreed(self, index: int, entry) -> None:
        """Some node says that this is the entry at this index."""
        known = self.entries.get(index)
        if known is not None:
            assert known == entry, "two entries were agreed at one index"
            return
        assert index == self.index + 1, "an entry was agreed before the one that precedes it"
        self.entries[index] = entry
        self.index = index
        if entry.kind == "command":
            request_id, body = unseal(entry.data)
            if self._requests.note(request_id):
                self._apply(index, request_id, decode_command(body))
        self._digests[index] = self.state.digest()

    def compare(self, name: str, index: int, state: ClusterState) -> None:
        """A node has applied an index."""
        if index % 8 == 0 and state.digest() != self._digests[index]:
            self.problems.append(("diverged", f"{name} differs at entry {index}"))

    def _apply(self, index: int, request_id: bytes, command: AnyCommand) -> None:
        state, before = self.state, self._facts(command)
        jobs = dict(state.jobs) if isinstance(command, PutJob | DeleteJob) else {}
        for watch in self._watches:
            watch.before(command)
        outcome = applier.apply(state, command)
        now = self._world.time
        up = [node.name for node in state.nodes.values() if node.up]
        self.raised = {name: self.raised.get(name, now) for name in up}
        self.applied.append(Applied(index, now, command, outcome, request_id))
        for row in outcome.rows:
            self._file(row, command, before, now)
        if isinstance(command, LeaderCommand) and outcome.refusal is None:
            if command.term < self.newest_term:
                self.problems.append(
                    ("stale-term", f"term {command.term} decided after a newer one")
                )
            self.newest_term = max(self.newest_term, command.term)
        if outcome.refusal is not None:
            return
        self._note(command, outcome, jobs, now)
        for watch in self._watches:
            self.problems += watch.after(command, outcome)

    def _note(  # noqa: C901, PLR0912 - one branch per kind of command
        self, command: AnyCommand, outcome: Outcome, jobs: dict[str, Job], now: float
    ) -> None:
        state = self.state
        if isinstance(command, PutJob):
            self._retime(command, jobs.get(command.job_id))
            self._stop(command.job_id, "paused" if command.spec.paused else "resumed")
        elif isinstance(command, DeleteJob):
            timing_ = self._open_timing.pop(command.job_id, None)
            if timing_ is not None:
                until = jobs[command.job_id].decided_until
                timing_.closes = max(command.at, until or command.at)
            self._stop(command.job_id, "deleted")
        elif isinstance(command, PauseJob):
            self._stop(command.job_id, "paused" if command.paused else "resumed")
        elif isinstance(command, PauseCluster):
            self._stop("", "paused" if command.paused else "resumed")
        elif isinstance(command, ClaimRuns):
            for run_id in outcome.value:
                key = LogKey(run_id, state.open_runs[run_id].attempt)
                if key in self.claims:
                    self.problems.append(("double", f"{key} was claimed twice"))
                self.claims[key] = command.node
                self.claimed_at[key] = now
                self.claimed_index[key] = self.index
        elif isinstance(command, RequestKill) and command.run_id in state.open_runs:
            self.kills.setdefault(command.run_id, now)
        if self.state.open_runs:
            for run in state.open_runs.values():
                if self.seen.get(run.id) is not run:
                    self.seen[run.id] = run
                    if any(attempt.state is RunState.LOST for attempt in run.attempts):
                        self.given_up.add(run.id)
        if isinstance(command, DecideTicks):
            self._check_rows(command)

    def _check_rows(self, command: DecideTicks) -> None:
        for batch in command.jobs:
            for decision in batch.decisions:
                rows = self.rows.get(decision.run_id, ())
                if rows and decision.run_id in self.state.open_runs:
                    self.problems.append(("double", f"{_short(rows[-1])} was opened again"))

    def _retime(self, command: PutJob, old: Job | None) -> None:
        job = self.state.jobs[command.job_id]
        self.definitions[job.id, job.version] = job
        if old is not None and timing(old.spec) == timing(command.spec):
            return
        last = self._open_timing.get(job.id)
        opens = max(command.at, job.decided_until or command.at)
        if last is not None:
            last.closes = opens
        fresh = Timing(job.id, job.spec, job.anchor, opens)
        self._open_timing[job.id] = fresh
        self.timings.append(fresh)

    def _stop(self, job_id: str, what: str) -> None:
        if what == "resumed":
            self.unpaused[job_id] = self._world.time
        self.stopped.setdefault(job_id, []).append((self.index, what))

    def _facts(self, command: AnyCommand) -> dict:
        """What was true of each job just before."""
        state = self.state
        if not isinstance(command, LeaderCommand):
            return {}
        ids = set()
        if isinstance(command, DecideTicks):
            ids = {batch.job_id for batch in command.jobs}
        else:
            ids = {run.job_id for run in state.open_runs.values()}
        return {
            job_id: (state.jobs.get(job_id), tuple(state.runs_of_job(job_id))) for job_id in ids
        }

    def _file(self, row: Run, command: AnyCommand, before: dict, now: float) -> None:
        known = self.rows.setdefault(row.id, [])
        if known and known[-1].state is not RunState.LOST:
            text = f"two final rows: {_short(known[-1])} and {_short(row)}"
            self.problems.append(("double", text))
        known.append(row)
        self.seen[row.id] = row
        self.closed.setdefault(row.job_id, []).append((now, row))
        if row.state in (RunState.SKIPPED, RunState.MISSED):
            job, others = before.get(row.job_id, (self.state.jobs.get(row.job_id), ()))
            self.verdicts.append(
                Verdict(
                    row=row,
                    at=command.at,
                    job=job,
                    paused=self._is_paused(row, job, command, now),
                    cluster_paused=self.state.paused or self._just_paused("", command, now),
                    others=(
                        *(run for run in others if run.id != row.id),
                        *self._just_closed(row, command, now),
                    ),
                    up=frozenset(
                        name for name, at in self.raised.items() if at <= _seen_from(command, now)
                    ),
                    command=command,
                    time=now,
                )
            )

    def _is_paused(self, row: Run, before: Job | None, command: AnyCommand, now: float) -> bool:
        after = self.state.jobs.get(row.job_id)
        paused = any(job is not None and job.spec.paused for job in (before, after))
        return paused or self._just_paused(row.job_id, command, now)

    def _just_paused(self, job_id: str, command: AnyCommand, now: float) -> bool:
        """Whether a pause may not have ended yet when this was decided."""
        return self.unpaused.get(job_id, float("-inf")) > _seen_from(command, now)

    def _just_closed(self, row: Run, command: AnyCommand, now: float) -> list[Run]:
        """Runs that may still have been open when this was decided."""
        closed = self.closed.get(row.job_id, ())
        return [run for at, run in closed if at > _seen_from(command, now) and run.id != row.id]


def _seen_from(command: AnyCommand, now: float) -> float:
    """What happened after this may have been unknown to who decided what is applied now."""
    return max(min(seconds(command.at), now), now - WAITED_SECONDS) - PLANNED_SECONDS


def _short(row: Run) -> str:
    return f"{row.id} of {row.job_id} v{row.job_version}: {row.state} {row.reason} {row.node}"
