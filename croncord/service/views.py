"""Agreed values as JSON: the shapes of the API, and the only place that makes them.

The classes are the interface; `croncord.web.api.openapi` publishes them. Times are text with
milliseconds and `Z`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from croncord.lifecycle import RunState
from croncord.model import (
    Attempt,
    Job,
    JobSpec,
    Kill,
    LogInfo,
    Messages,
    Run,
    milliseconds,
    script_sha256,
)
from croncord.preview import iso_utc
from croncord.raft.state import ClusterState

Json = dict[str, Any]
Rows = list[Json]

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all answers."""


class LastRun(View, frozen=True, kw_only=True):
    """The newest final row of a job, in short."""

    id: str
    state: str
    nominal_time: Time
    finished_at: Time | None
    exit_code: int | None


class PlacementView(View, frozen=True, kw_only=True):
    """Which nodes a job may run on, as of now."""

    matching: list[str]
    """Those that its target names, by name."""
    available: list[str]
    """Those of them that are up, not draining, and have room."""
    total: int
    """All nodes of the cluster."""
    text: str


class JobFacts(View, frozen=True, kw_only=True):
    """What the cluster adds to a job's definition; read only."""

    id: str
    version: int
    state: str
    """`paused`, `running`, `waiting`, or the state of the last run."""
    next_run: Time | None
    last_run: LastRun | None
    running: int
    """Open runs: running, or waiting for their turn."""
    created_at: Time
    updated_at: Time
    updated_by: str
    script_sha256: str
    script_bytes: int
    placement: PlacementView | None
    """Which nodes match now; null in lists."""


class LogView(View, frozen=True, kw_only=True):
    """What is known about a run's output."""

    bytes: int
    lines: int
    truncated_bytes: int
    sha256: str
    complete: bool
    recovered: str
    """`quorum` or `partial` when its node was lost and the others agreed on what they have."""
    copies: list[str] | None
    """Nodes that said they hold it; null in lists, where nobody was asked."""
    confirmed_bytes: int | None
    """So much of it is on disk on a majority of the nodes that keep it; null in lists."""


class KillView(View, frozen=True, kw_only=True):
    """A request to end a run and how far it got."""

    requested_at: Time
    by: str
    grace_seconds: int
    reason: str
    signalled_at: Time | None
    confirmed_at: Time | None
    survivors: list[int]


class AttemptView(View, frozen=True, kw_only=True):
    """An earlier launch of a run."""

    number: int
    node: str
    state: str
    reason: str | None
    claimed_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    duration_ms: int | None
    exit_code: int | None
    signal: int | None
    log: LogView


class RunView(View, frozen=True, kw_only=True):
    """One row of the launch ledger."""

    id: str
    job: str
    job_id: str
    job_version: int
    script_sha256: str
    nominal_time: Time
    due_at: Time
    trigger: str
    state: str
    reason: str | None
    by: str
    detail: str
    environment: dict[str, str]
    upstream: str
    """The run of another job after whose end this one runs."""
    fire_dependents: bool
    backfill: str
    """Which backfill it belongs to."""
    locks: list[str]
    """Held from the assignment to the end."""
    target: str
    shard_index: int
    shard_count: int
    node: str | None
    replicas: list[str]
    """Nodes that are to keep the output, the executing one first."""
    attempt: int
    attempts: list[AttemptView]
    fence: int
    decided_at: Time
    decided_by: str
    """`node:n1` for the leader that decided it, or who asked."""
    decided_term: int
    assigned_at: Time | None
    assigned_by: str
    assigned_term: int
    claimed_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    ended_by: str
    ended_term: int
    lateness_ms: int | None
    duration_ms: int | None
    exit_code: int | None
    signal: int | None
    cpu_seconds: float | None
    max_rss_bytes: int | None
    log: LogView
    kill: KillView | None
    messages: Messages
    excerpt: str
    waits_for: str
    """Why a pending run does not run yet; told when one run is asked for."""


def iso(instant: datetime | None) -> str | None:
    """Return an instant as the API writes it, None for none."""
    return None if instant is None else iso_utc(instant)


def spec_json(spec: JobSpec, *, script: bool = True) -> Json:
    """Return the definition as a person would send it."""
    fields: Json = msgspec.to_builtins(spec)
    fields["schedule"] = spec.schedule[0] if len(spec.schedule) == 1 else list(spec.schedule)
    fields["tags"], fields["target"]["nodes"] = list(spec.tags), list(spec.target.nodes)
    fields["calendars"], fields["secrets"] = list(fields["calendars"]), list(fields["secrets"])
    fields["after"], fields["locks"] = list(fields["after"]), list(fields["locks"])
    fields["start_at"], fields["end_at"] = iso(spec.start_at), iso(spec.end_at)
    if not script:
        del fields["script"]
    return fields


class JobStates:
    """One word for how each job is doing."""

    def __init__(self, state: ClusterState, runs: Iterable[Run] | None = None) -> None:
        """Take the state, and the open runs if not all of them matter."""
        self._recent = state.recent
        open_runs = state.open_runs.values() if runs is None else runs
        self._open: dict[str, bool] = {}
        for run in open_runs:
            running = run.state is RunState.RUNNING
            self._open[run.job_id] = running or self._open.get(run.job_id, False)

    def of(self, job: Job) -> str:
        """Return `paused`, `running`, `waiting`, or the state of the last run."""
        if job.spec.paused:
            return "paused"
        if job.id in self._open:
            return "running" if self._open[job.id] else "waiting"
        recent = self._recent.get(job.id, ())
        return str(recent[-1].state) if recent else "waiting"


def job_json(
    job: Job, state: ClusterState, *, script: bool = True, where: PlacementView | None = None
) -> Json:
    """Return a job: its definition and what the cluster adds, side by side."""
    recent = state.recent.get(job.id, ())
    runs = state.runs_of_job(job.id)
    facts = JobFacts(
        id=job.id,
        version=job.version,
        state=JobStates(state, runs).of(job),
        next_run=None if job.spec.paused else iso(job.next_due),
        last_run=_last_run(recent[-1]) if recent else None,
        running=len(runs),
        created_at=iso_utc(job.created_at),
        updated_at=iso_utc(job.updated_at),
        updated_by=job.updated_by,
        script_sha256=script_sha256(job.spec.script),
        script_bytes=len(job.spec.script.encode()),
        placement=where,
    )
    added: Json = msgspec.to_builtins(facts)
    return spec_json(job.spec, script=script) | added


def _last_run(run: Run) -> LastRun:
    return LastRun(
        id=run.id,
        state=run.state,
        nominal_time=iso_utc(run.nominal_time),
        finished_at=iso(run.finished_at),
        exit_code=run.exit_code,
    )


def run_json(
    run: Run,
    *,
    copies: list[str] | None = None,
    earlier_copies: Sequence[list[str] | None] | None = None,
    log: LogInfo | None = None,
    confirmed_bytes: int | None = None,
    waits_for: str = "",
) -> Json:
    """Return a run; `log` replaces what the row says of the output, while that still grows.

    `copies` has the output of the last attempt, `earlier_copies` that of each attempt before it.
    """
    view = RunView(
        id=run.id,
        job=run.job,
        job_id=run.job_id,
        job_version=run.job_version,
        script_sha256=run.script_sha256,
        nominal_time=iso_utc(run.nominal_time),
        due_at=iso_utc(run.due_at),
        trigger=run.trigger,
        state=run.state,
        reason=run.reason,
        by=run.by,
        detail=run.detail,
        environment=run.environment,
        upstream=run.upstream,
        fire_dependents=run.fire_dependents,
        backfill=run.backfill,
        locks=list(run.locks),
        target=run.target,
        shard_index=run.shard_index,
        shard_count=run.shard_count,
        node=run.node,
        replicas=list(run.replicas),
        attempt=run.attempt,
        attempts=[
            _attempt(attempt, where)
            for attempt, where in zip(
                run.attempts, earlier_copies or [None] * len(run.attempts), strict=True
            )
        ],
        fence=run.fence,
        decided_at=iso_utc(run.decided_at),
        decided_by=run.decided_by,
        decided_term=run.decided_term,
        assigned_by=run.assigned_by,
        assigned_term=run.assigned_term,
        ended_by=run.ended_by,
        ended_term=run.ended_term,
        assigned_at=iso(run.assigned_at),
        claimed_at=iso(run.claimed_at),
        started_at=iso(run.started_at),
        finished_at=iso(run.finished_at),
        lateness_ms=_between(run.due_at, run.started_at),
        duration_ms=_between(run.started_at, run.finished_at),
        exit_code=run.exit_code,
        signal=run.signal,
        cpu_seconds=run.cpu_seconds,
        max_rss_bytes=run.max_rss_bytes,
        log=_log(log or run.log, copies, confirmed_bytes),
        kill=_kill(run.kill) if run.kill else None,
        messages=run.messages,
        excerpt=run.excerpt,
        waits_for=waits_for,
    )
    fields: Json = msgspec.to_builtins(view)
    return fields


def short_run_json(run: Run) -> Json:
    """Return what a strip of runs shows of one."""
    return {
        "id": run.id,
        "state": str(run.state),
        "nominal_time": iso_utc(run.nominal_time),
        "duration_ms": _between(run.started_at, run.finished_at),
    }


def _attempt(attempt: Attempt, copies: list[str] | None) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        node=attempt.node,
        state=attempt.state,
        reason=attempt.reason,
        claimed_at=iso(attempt.claimed_at),
        started_at=iso(attempt.started_at),
        finished_at=iso(attempt.finished_at),
        duration_ms=_between(attempt.started_at, attempt.finished_at),
        exit_code=attempt.exit_code,
        signal=attempt.signal,
        log=_log(attempt.log, copies),
    )


def _log(
    log: LogInfo, copies: list[str] | None = None, confirmed_bytes: int | None = None
) -> LogView:
    return LogView(
        bytes=log.bytes,
        lines=log.lines,
        truncated_bytes=log.truncated_bytes,
        sha256=log.sha256,
        complete=log.complete,
        recovered=log.recovered,
        copies=copies,
        confirmed_bytes=confirmed_bytes,
    )


def _kill(kill: Kill) -> KillView:
    return KillView(
        requested_at=iso_utc(kill.requested_at),
        by=kill.by,
        grace_seconds=kill.grace_seconds,
        reason=kill.reason,
        signalled_at=iso(kill.signalled_at),
        confirmed_at=iso(kill.confirmed_at),
        survivors=list(kill.survivors),
    )


def _between(earlier: datetime | None, later: datetime | None) -> int | None:
    if earlier is None or later is None:
        return None
    return milliseconds(later) - milliseconds(earlier)
