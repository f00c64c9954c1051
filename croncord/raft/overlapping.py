"""What a job's overlap policy keeps from being in hand side by side."""

from croncord.lifecycle import Trigger
from croncord.model import Job, Run
from croncord.policy import lane
from croncord.raft.state import ClusterState


def rivals(state: ClusterState, job: Job, run_id: str, target: str) -> list[Run]:
    """Return the other open runs that a run for that target may have to wait for.

    Runs of a backfill are outside of it: they have a limit of their own.
    """
    own = lane(job.spec.target, target)
    return [
        other
        for other in state.runs_of_job(job.id)
        if other.id != run_id
        and other.trigger is not Trigger.BACKFILL
        and lane(job.spec.target, other.target) == own
    ]


def in_the_way(state: ClusterState, job: Job, run_id: str, target: str) -> str:
    """Return the run in hand that the job's policy does not allow another beside, or nothing."""
    if job.spec.overlap == "allow":
        return ""
    active = (other.id for other in rivals(state, job, run_id, target) if other.is_active)
    return next(active, "")
