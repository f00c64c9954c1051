"""What the commands about backfills do to the state: runs of past ticks, a few at a time."""

import msgspec

from croncord.lifecycle import RunState, Trigger
from croncord.model import Run, run_id
from croncord.raft.commands import Backfill, CancelBackfill, RequestKill
from croncord.raft.endings import end_run
from croncord.raft.runs_apply import request_kill
from croncord.raft.starting import for_each_node, new_run
from croncord.raft.state import ClusterState, Outcome, refuse

TICKS_MAX = 1000
"""Open rows of backfills that a job may have."""


def backfill(state: ClusterState, command: Backfill) -> Outcome:
    """Make a pending row per tick and target, with ids of their own; the value is their number."""
    job = state.jobs.get(command.job_id)
    if job is None:
        return refuse("not_found", "no such job")
    key = f"{job.id}/backfill:{command.backfill_id}"
    if key in state.keys:
        return Outcome(0)
    ticks = dict.fromkeys(command.ticks)
    waiting = sum(1 for run in state.runs_of_job(job.id) if run.backfill)
    if len(ticks) + waiting > TICKS_MAX or command.max_parallel < 1:
        return refuse("conflict", f"a job may have {TICKS_MAX} runs of backfills that wait or run")
    rows: list[Run] = []
    made = 0
    for tick in ticks:
        run = msgspec.structs.replace(
            new_run(
                job,
                command,
                run_id=run_id(job.id, tick, f"backfill:{command.backfill_id}"),
                nominal_time=tick,
                trigger=Trigger.BACKFILL,
            ),
            by=command.by,
            backfill=command.backfill_id,
            max_parallel=command.max_parallel,
            fire_dependents=command.fire_dependents,
        )
        for each in for_each_node(state, job, run):
            made += 1
            if each.is_open:
                state.put_run(each)
            else:
                rows += end_run(state, each, command)
    state.remember_key(key, command.backfill_id)
    return Outcome(made, rows=tuple(rows))


def cancel_backfill(state: ClusterState, command: CancelBackfill) -> Outcome:
    """End its runs as killed on request; the value is how many that concerned."""
    rows: list[Run] = []
    ended = 0
    for run in state.runs_of_job(command.job_id):
        if run.backfill != command.backfill_id:
            continue
        if run.state is RunState.PENDING or command.kill:
            outcome = request_kill(state, RequestKill(at=command.at, by=command.by, run_id=run.id))
            rows += outcome.rows
            ended += 1
    return Outcome(ended, rows=tuple(rows))
