"""What the commands about runs do to the state."""

from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from croncord.lifecycle import Reason, RunEvent, RunState, Trigger, move
from croncord.model import Attempt, Job, Kill, Messages, Run, script_sha256
from croncord.policy import retry_delay_seconds
from croncord.raft.command import Command, LeaderCommand
from croncord.raft.commands import (
    AssignRuns,
    ClaimRuns,
    ConcludeRuns,
    DecideTicks,
    Decision,
    FinishRuns,
    JobDecisions,
    ReportKill,
    RequestKill,
    RunResult,
    TriggerRun,
)
from croncord.raft.endings import (
    end_run,
    last_attempt_again,
    may_try_again,
    not_launched,
    skip_pending,
)
from croncord.raft.overlapping import in_the_way
from croncord.raft.starting import for_each_node, new_run
from croncord.raft.state import ClusterState, Outcome, refuse

_END_EVENTS = {
    RunState.SUCCEEDED: RunEvent.SUCCEED,
    RunState.FAILED: RunEvent.FAIL,
    RunState.TIMED_OUT: RunEvent.TIME_OUT,
    RunState.KILLED: RunEvent.KILL,
    RunState.SKIPPED: RunEvent.SKIP,
    RunState.MISSED: RunEvent.MISS,
    RunState.LOST: RunEvent.LOSE,
}
_DECIDED_STATES = frozenset({RunState.PENDING, RunState.SKIPPED, RunState.MISSED})
_DECLARED_STATES = frozenset({RunState.SKIPPED, RunState.MISSED, RunState.LOST})
_REPORTED_STATES = frozenset(_END_EVENTS) - {RunState.SKIPPED, RunState.MISSED}
_UNTOLD = {
    RunState.TIMED_OUT: Reason.TIMEOUT,
    RunState.KILLED: Reason.REQUESTED,
    RunState.LOST: Reason.NODE_RESTARTED,
}
"""What a state means when the node that reports it gives no reason."""
_RETRIED_STATES = frozenset({RunState.FAILED, RunState.TIMED_OUT})
_OF_ITSELF = frozenset({RunState.SUCCEEDED, *_RETRIED_STATES})

_DAY = timedelta(days=1)

C = TypeVar("C", bound=LeaderCommand)


def outdated(state: ClusterState, command: LeaderCommand) -> Outcome | None:
    """Refuse what a leader of an older term decided, and take note of a newer term."""
    if command.term < state.term:
        return refuse("stale_term", f"term {command.term} ended; term {state.term} decides")
    state.term = command.term
    return None


def decide_ticks(state: ClusterState, command: DecideTicks) -> Outcome:
    """Turn each decision into a row; the value holds the ids of jobs whose decisions counted."""
    if refusal := outdated(state, command):
        return refusal
    rows: list[Run] = []
    decided: list[str] = []
    for batch in command.jobs:
        job = state.jobs.get(batch.job_id)
        if job is None or job.version != batch.job_version or job.next_due != batch.due:
            continue
        if not _is_well_formed(batch):
            continue
        newest = max((made.nominal_time for made in batch.decisions), default=batch.due)
        state.put_job(
            msgspec.structs.replace(
                job,
                next_due=batch.next_due,
                decided_until=max(newest, job.decided_until or newest),
            )
        )
        for decision in batch.decisions:
            if state.has_row(job.id, decision.run_id):
                continue
            row = _decided_row(state, job, decision, command)
            if not row.is_open:
                rows += end_run(state, row, command)
                continue
            state.put_run(row)
            if _is_overtaken(state, job):
                reason = Reason.PAUSED if job.spec.paused else Reason.CLUSTER_PAUSED
                rows += skip_pending(state, [row], reason, command)
        decided.append(job.id)
    return Outcome(tuple(decided), rows=tuple(rows))


def _is_overtaken(state: ClusterState, job: Job) -> bool:
    """Whether a pause was agreed after the leader decided and before its decision was."""
    return state.paused or job.spec.paused


def _is_well_formed(batch: JobDecisions) -> bool:
    ahead = batch.next_due is None or batch.next_due > batch.due
    return ahead and all(
        decision.state in _DECIDED_STATES and decision.nominal_time >= batch.due
        for decision in batch.decisions
    )


def _decided_row(state: ClusterState, job: Job, decision: Decision, command: DecideTicks) -> Run:
    pending = decision.state is RunState.PENDING
    reason, detail, locks = decision.reason, decision.detail, job.spec.locks
    assigned = pending and decision.node is not None
    if assigned and (blocker := state.lock_blocker(decision.run_id, locks)):
        # Another leader's decision came between: the run waits, whatever this one saw.
        assigned, reason, detail = False, Reason.LOCK_HELD, blocker
    if assigned and not state.has_room(decision.node or "", decision.run_id):
        assigned, reason = False, Reason.NO_CAPACITY
    if assigned and (other := in_the_way(state, job, decision.run_id, decision.target)):
        assigned, detail = False, f"run {other} was in hand"
    if assigned:
        state.fence += 1
    return Run(
        id=decision.run_id,
        job_id=job.id,
        job=job.name,
        job_version=job.version,
        script_sha256=script_sha256(job.spec.script),
        nominal_time=decision.nominal_time,
        due_at=decision.due_at,
        trigger=decision.trigger,
        state=decision.state,
        reason=reason,
        locks=locks,
        target=decision.target,
        shard_index=decision.shard_index,
        shard_count=decision.shard_count,
        node=decision.node if assigned else None,
        replicas=decision.replicas if assigned else (),
        fence=state.fence if assigned else 0,
        decided_at=command.at,
        decided_by=command.by,
        decided_term=command.term,
        assigned_at=command.at if assigned else None,
        assigned_by=command.by if assigned else "",
        assigned_term=command.term if assigned else 0,
        finished_at=None if pending else command.at,
        ended_by="" if pending else command.by,
        ended_term=0 if pending else command.term,
        detail=detail,
    )


def trigger_run(state: ClusterState, command: TriggerRun) -> Outcome:
    """Create a pending run for the planner to place, one per node for an every-node job.

    The value is the first of them; a known idempotency key gives its first run.
    """
    job = state.jobs.get(command.job_id)
    if job is None:
        return refuse("not_found", "no such job")
    key = f"{command.job_id}/{command.idempotency_key}"
    first = state.keys.get(key) if command.idempotency_key else None
    run_id = first or command.run_id
    known = state.run(run_id)
    if known is not None or first is not None:
        return Outcome(known or run_id)
    run = msgspec.structs.replace(
        new_run(job, command, run_id=run_id, nominal_time=command.at, trigger=Trigger.MANUAL),
        by=command.by,
        environment=command.environment,
        target=command.node,
        fire_dependents=command.fire_dependents,
    )
    rows: list[Run] = []
    runs = for_each_node(state, job, run)
    for each in runs:
        if each.is_open:
            state.put_run(each)
        else:
            rows += end_run(state, each, command)
    if command.idempotency_key:
        state.remember_key(key, run_id)
    return Outcome(runs[0], rows=tuple(rows))


def assign_runs(state: ClusterState, command: AssignRuns) -> Outcome:
    """Give pending runs a node; the value holds the ids that were assigned."""
    if refusal := outdated(state, command):
        return refusal
    assigned = []
    for assignment in command.assignments:
        run = state.open_runs.get(assignment.run_id)
        if run is None or run.attempt != assignment.attempt or run.state is not RunState.PENDING:
            continue
        # The leader may not have seen an assignment of its own that was agreed meanwhile.
        has_room = state.has_room(assignment.node, run.id) and _has_turn(state, run)
        if not has_room or state.lock_blocker(run.id, run.locks):
            continue
        state.fence += 1
        state.put_run(
            msgspec.structs.replace(
                run,
                node=assignment.node,
                replicas=assignment.replicas,
                assigned_at=command.at,
                assigned_by=command.by,
                assigned_term=command.term,
                fence=state.fence,
                reason=None,
                detail="",
            )
        )
        assigned.append(run.id)
    return Outcome(tuple(assigned))


def _has_turn(state: ClusterState, run: Run) -> bool:
    """Whether its job's overlap policy, or the limit of its backfill, lets the run be in hand."""
    if not run.backfill:
        job = state.job_version(run.job_id, run.job_version)
        return job is None or not in_the_way(state, job, run.id, run.target)
    others = (other for other in state.runs_of_job(run.job_id) if other.id != run.id)
    in_hand = sum(other.backfill == run.backfill and other.is_active for other in others)
    return in_hand < run.max_parallel


def claim_runs(state: ClusterState, command: ClaimRuns) -> Outcome:
    """Let the node start what is still assigned to it; the value holds the accepted ids."""
    accepted = []
    for claim in command.claims:
        run = state.open_runs.get(claim.run_id)
        if run is None or run.node != command.node or run.attempt != claim.attempt:
            continue
        state_after = move(run.state, RunEvent.CLAIM)
        if state_after is None:
            continue
        state.put_run(msgspec.structs.replace(run, state=state_after, claimed_at=command.at))
        accepted.append(run.id)
    return Outcome(tuple(accepted))


def finish_runs(state: ClusterState, command: FinishRuns) -> Outcome:
    """Record results; the value holds the ids that changed. Repeated results change nothing."""
    rows: list[Run] = []
    finished = []
    for result in command.results:
        run = state.open_runs.get(result.run_id) or state.lost.get(result.run_id)
        if run is not None and _was_lost_too_soon(run, result):
            run = last_attempt_again(run)
        if run is None or run.node != command.node or run.attempt != result.attempt:
            continue
        if result.state not in _REPORTED_STATES:
            continue
        state_after = move(run.state, _END_EVENTS[result.state])
        if state_after is None:
            continue
        ended = _with_result(run, result, state_after, command.by or f"node:{command.node}")
        clock_is_sane = abs(result.finished_at - command.at) < _DAY
        rows += _end(state, ended, result.finished_at if clock_is_sane else command.at, command)
        finished.append(run.id)
    return Outcome(tuple(finished), rows=tuple(rows))


def _was_lost_too_soon(run: Run, result: RunResult) -> bool:
    """Whether this is the truth about an attempt taken for lost, and the next one has not begun.

    Then the next one is needless: the run ends as the attempt did, and may be tried again for that.
    Not so when its node ended it because it was taken for lost.
    """
    if run.state is not RunState.PENDING or not run.attempts or result.state not in _OF_ITSELF:
        return False
    last = run.attempts[-1]
    return last.state is RunState.LOST and last.number == result.attempt


def _with_result(run: Run, result: RunResult, state_after: RunState, by: str) -> Run:
    kill = run.kill
    if kill is not None:
        kill = msgspec.structs.replace(
            kill,
            signalled_at=result.signalled_at or kill.signalled_at,
            confirmed_at=result.finished_at,
            survivors=result.survivors,
        )
    reason = kill.reason if kill and state_after is RunState.KILLED else result.reason
    return msgspec.structs.replace(
        run,
        state=state_after,
        reason=reason or _UNTOLD.get(state_after),
        ended_by=by,
        ended_term=0,
        started_at=result.started_at,
        finished_at=result.finished_at,
        exit_code=result.exit_code,
        signal=result.signal,
        cpu_seconds=result.cpu_seconds,
        max_rss_bytes=result.max_rss_bytes,
        log=result.log,
        excerpt=result.excerpt,
        messages=result.messages,
        detail=result.detail,
        kill=kill,
    )


def conclude_runs(state: ClusterState, command: ConcludeRuns) -> Outcome:
    """End runs by the leader's word; the value holds the ids that changed."""
    if refusal := outdated(state, command):
        return refusal
    rows: list[Run] = []
    concluded = []
    for conclusion in command.conclusions:
        run = state.open_runs.get(conclusion.run_id)
        if run is None or run.attempt != conclusion.attempt:
            continue
        if conclusion.state not in _DECLARED_STATES:
            continue
        state_after = move(run.state, _END_EVENTS[conclusion.state])
        if state_after is None:
            continue
        if run.state is RunState.PENDING:
            ended = not_launched(run, state_after, conclusion.reason, command, conclusion.detail)
            ended = msgspec.structs.replace(ended, ended_term=command.term)
            rows += end_run(state, ended, command)
            concluded.append(run.id)
            continue
        ended = msgspec.structs.replace(
            run,
            state=state_after,
            reason=conclusion.reason,
            finished_at=command.at,
            ended_by=command.by,
            ended_term=command.term,
            detail=conclusion.detail,
        )
        rows += _end(state, ended, command.at, command)
        concluded.append(run.id)
    return Outcome(tuple(concluded), rows=tuple(rows))


def _end(state: ClusterState, run: Run, at: datetime, command: Command) -> list[Run]:
    """Close the run, or open its next attempt when its job's policy grants one."""
    delay_seconds = _next_attempt_in(state, run)
    if delay_seconds is None:
        return end_run(state, run, command)
    ended = Attempt(
        number=run.attempt,
        node=run.node or "",
        state=run.state,
        reason=run.reason,
        due_at=run.due_at,
        claimed_at=run.claimed_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        exit_code=run.exit_code,
        signal=run.signal,
        log=run.log,
        replicas=run.replicas,
    )
    fresh = msgspec.structs.replace(
        run,
        state=RunState.PENDING,
        reason=None,
        node=None,
        replicas=(),
        attempt=run.attempt + 1,
        attempts=(*run.attempts, ended),
        due_at=at + timedelta(seconds=delay_seconds),
        assigned_at=None,
        assigned_by="",
        assigned_term=0,
        claimed_at=None,
        started_at=None,
        finished_at=None,
        ended_by="",
        ended_term=0,
        exit_code=None,
        signal=None,
        excerpt="",
        messages=Messages(),
        detail="",
    )
    state.lost.pop(run.id, None)
    state.put_run(fresh)
    return []


def _next_attempt_in(state: ClusterState, run: Run) -> float | None:
    """Seconds until the next attempt, None when this was the last.

    A row that was closed as lost stays closed: its late result only corrects it.
    """
    job = state.job_version(run.job_id, run.job_version)
    now = state.jobs.get(run.job_id)
    if job is None or now is None or run.kill is not None or run.id not in state.open_runs:
        return None
    if not may_try_again(state, now, run):
        return None
    if run.state in _RETRIED_STATES:
        return retry_delay_seconds(job.spec.retries, run.attempt)
    if run.state is RunState.LOST and job.spec.delivery == "at_least_once":
        return 0.0
    return None


def request_kill(state: ClusterState, command: RequestKill) -> Outcome:
    """End a waiting run at once; note the wish on a running one. Repeating changes nothing."""
    run = state.open_runs.get(command.run_id)
    if run is None:
        return refuse("conflict", "the run has ended already")
    if run.kill is not None:
        return Outcome(run)
    job = state.job_version(run.job_id, run.job_version)
    grace_seconds = command.grace_seconds
    if grace_seconds is None:
        grace_seconds = job.spec.kill_grace_seconds if job else 10
    kill = Kill(
        requested_at=command.at, by=command.by, grace_seconds=grace_seconds, reason=command.reason
    )
    if run.state is RunState.PENDING:
        kill = msgspec.structs.replace(kill, confirmed_at=command.at)
        row = msgspec.structs.replace(
            run,
            state=RunState.KILLED,
            reason=command.reason,
            finished_at=command.at,
            ended_by=command.by,
            kill=kill,
        )
        return Outcome(row, rows=tuple(end_run(state, row, command)))
    run = msgspec.structs.replace(run, kill=kill)
    state.put_run(run)
    return Outcome(run)


def report_kill(state: ClusterState, command: ReportKill) -> Outcome:
    """Note when the node sent the first signal."""
    run = state.open_runs.get(command.run_id)
    if run is None or run.node != command.node or run.attempt != command.attempt:
        return refuse("conflict", "the run is not in this node's hands")
    if run.kill is None or run.kill.signalled_at is not None:
        return Outcome(run)
    kill = msgspec.structs.replace(run.kill, signalled_at=command.signalled_at)
    run = msgspec.structs.replace(run, kill=kill)
    state.put_run(run)
    return Outcome(run)
