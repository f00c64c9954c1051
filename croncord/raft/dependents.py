"""Jobs that run after other jobs: what the end of a run starts, and which circles are refused.

Each entry of `after` is a trigger of its own. The rows are made where the end is recorded, with ids
that follow from the ended run's, so no failover can lose or double one.
"""

from collections.abc import Iterator

import msgspec

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Dependency, Job, JobSpec, Run, run_id
from croncord.raft.command import Command
from croncord.raft.starting import for_each_node, new_run, skipped
from croncord.raft.state import ClusterState

_FAILURES = frozenset(
    {RunState.FAILED, RunState.TIMED_OUT, RunState.KILLED, RunState.LOST, RunState.MISSED}
)


def rows_after(state: ClusterState, ended: Run, command: Command) -> Iterator[Run]:
    """Yield the rows, pending and final, that the end of a run makes; the caller files them.

    A run that was skipped by a rule starts nothing and fails nothing, except where the rule was
    that its own upstream had failed: that is passed on.
    """
    upstream = state.jobs.get(ended.job_id)
    failed = ended.state in _FAILURES or ended.reason is Reason.DEPENDENCY_FAILED
    if upstream is None or not ended.fire_dependents:
        return
    if not failed and ended.state is not RunState.SUCCEEDED:
        return
    wanted = {"always", "failure" if failed else "success"}
    for job in state.jobs_after(upstream.name):
        conditions = {entry.on for entry in job.spec.after if entry.job == upstream.name}
        fires = bool(conditions & wanted)
        if not fires and "success" not in conditions:
            continue
        row = msgspec.structs.replace(
            new_run(
                job,
                command,
                run_id=run_id(job.id, ended.nominal_time, f"after:{ended.id}"),
                nominal_time=ended.nominal_time,
                trigger=Trigger.AFTER,
            ),
            decided_by="",
            upstream=ended.id,
            detail=f"run {ended.id} of {ended.job} ended as {ended.state}",
        )
        if not fires:
            yield skipped(row, Reason.DEPENDENCY_FAILED)
        elif job.spec.paused:
            yield skipped(row, Reason.PAUSED)
        elif state.paused:
            yield skipped(row, Reason.CLUSTER_PAUSED)
        else:
            yield from for_each_node(state, job, row)


def circle(state: ClusterState, job_id: str, spec: JobSpec) -> list[str]:
    """Return the names of a circle that saving the spec would close, empty if there is none."""
    came_from: dict[str, str] = {}
    todo = [spec.name]
    while todo:
        name = todo.pop()
        found = state.job_named(name)
        after = spec.after if name == spec.name else _after(found, job_id)
        for upstream in (entry.job for entry in after):
            if upstream == spec.name:
                path = [name]
                while path[-1] != spec.name:
                    path.append(came_from[path[-1]])
                return [*reversed(path), spec.name]
            if upstream not in came_from:
                came_from[upstream] = name
                todo.append(upstream)
    return []


def _after(job: Job | None, replaced: str) -> tuple[Dependency, ...]:
    return () if job is None or job.id == replaced else job.spec.after
