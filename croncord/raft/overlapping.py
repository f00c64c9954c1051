"""What a job's overlap policy keeps from being in hand side by side."""

from croncord.lifecycle import Trigger
from croncord.model import Job, Run
from croncord.raft.state import ClusterState


def lane(job: Job, run: Run) -> str:
    """Return what overlaps with what: all runs of a job, for runs per node those of one node."""
    return lane_of(job, run.target)


def lane_of(job: Job, target: str) -> str:
    """Return the lane of a run for a target, which is a node's name or empty."""
    per_node = job.spec.target.every_node or job.spec.target.on_join
    return target if per_node else ""


def in_the_way(state: ClusterState, job: Job, run_id: str, target: str) -> str:
    """Return the run in hand that the job's policy does not allow another beside, or nothing.

    Runs of a backfill are outside of it: they have a limit of their own.
    """
    if job.spec.overlap == "allow":
        return ""
    wanted = lane_of(job, target)
    others = (
        other.id
        for other in state.runs_of_job(job.id)
        if other.is_active
        and other.id != run_id
        and other.trigger is not Trigger.BACKFILL
        and lane(job, other) == wanted
    )
    return next(others, "")
