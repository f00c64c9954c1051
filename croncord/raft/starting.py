"""Rows for runs that do not come from a tick: asked for by hand, or due after another run."""

from datetime import datetime

import msgspec

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Job, Run, run_id, script_sha256
from croncord.policy import matches
from croncord.raft.command import Command
from croncord.raft.state import ClusterState


def new_run(
    job: Job, command: Command, *, run_id: str, nominal_time: datetime, trigger: Trigger
) -> Run:
    """Return a pending row without a node."""
    return Run(
        id=run_id,
        job_id=job.id,
        job=job.name,
        job_version=job.version,
        script_sha256=script_sha256(job.spec.script),
        nominal_time=nominal_time,
        due_at=command.at,
        trigger=trigger,
        state=RunState.PENDING,
        locks=job.spec.locks,
        decided_at=command.at,
        decided_by=command.by,
    )


def for_each_node(state: ClusterState, job: Job, run: Run) -> list[Run]:
    """Return the rows of a run: itself, or one per matching node for an every-node job.

    The first keeps the run's id, the others' ids follow from it. Those of nodes that are down are
    missed at once, as they are for a tick.
    """
    if not job.spec.target.every_node or run.target:
        return [run]
    nodes = sorted(
        (node for node in state.nodes.values() if matches(job.spec.target, node)),
        key=lambda node: node.name,
    )
    if not nodes:
        return [missed(run, Reason.NO_TARGET)]
    rows = []
    for index, node in enumerate(nodes):
        key = f"every_node:{run.id}"
        row = msgspec.structs.replace(
            run,
            id=run_id(job.id, run.nominal_time, key, node.name) if index else run.id,
            target=node.name,
            shard_index=index,
            shard_count=len(nodes),
        )
        rows.append(row if node.up else missed(row, Reason.NODE_DOWN))
    return rows


def missed(run: Run, reason: Reason) -> Run:
    """Return the row as one that cannot be launched."""
    return msgspec.structs.replace(
        run,
        state=RunState.MISSED,
        reason=reason,
        finished_at=run.decided_at,
        ended_by=run.decided_by,
    )


def skipped(run: Run, reason: Reason) -> Run:
    """Return the row as one that a rule keeps from being launched."""
    return msgspec.structs.replace(missed(run, reason), state=RunState.SKIPPED)
