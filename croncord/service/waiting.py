"""What a pending run waits for, as a sentence: the rule that holds it back now, and who holds it."""

from datetime import datetime

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Job, Run
from croncord.policy import matches
from croncord.raft.overlapping import rivals
from croncord.raft.state import ClusterState
from croncord.story import REASONS, RULES, Told, when


def waits_for(state: ClusterState, run: Run, now: datetime, leader: str | None) -> Told:
    """Tell why a pending run does not run yet, in the order in which the leader asks.

    Its instant, its node's claim, its turn, its locks, a node.
    """
    if leader is None:
        return _told(run, "waits for a leader with a majority")
    if run.node is not None:
        text = f"waits for {run.node} to start it at {when(run.due_at)}"
        return _told(run, text, node=run.node)
    if run.due_at > now:
        rule = "misfire.per_minute" if run.trigger is Trigger.CATCH_UP else "jitter_seconds"
        rule = "retries" if run.attempts else rule
        return _told(run, f"waits until {when(run.due_at)}", rule=rule)
    pinned = state.job_version(run.job_id, run.job_version)
    found = None
    if pinned is not None:
        found = _turn(state, run, pinned) or _lock(state, run) or _node(state, run, pinned, leader)
    return found or _told(run, "waits for the leader to give it to a node")


def _lock(state: ClusterState, run: Run) -> Told | None:
    blocker = state.lock_blocker(run.id, run.locks)
    return _told(run, f"waits: {blocker}", rule="locks") if blocker else None


def _turn(state: ClusterState, run: Run, job: Job) -> Told | None:
    """Tell whose end it waits for: that of its backfill's others, or of an earlier run."""
    if run.trigger is Trigger.BACKFILL:
        runs = [other for other in state.runs_of_job(run.job_id) if other.id != run.id]
        in_hand = sum(other.backfill == run.backfill and other.is_active for other in runs)
        if in_hand < run.max_parallel:
            return None
        of = f"{in_hand} of {run.max_parallel} runs"
        return _told(run, f"waits: backfill {run.backfill} has {of} in hand", rule="max_parallel")
    if job.spec.overlap == "allow":
        return None
    ahead = [other for other in rivals(state, job, run.id, run.target) if other.is_active]
    if not ahead:
        return None
    first = min(ahead, key=lambda other: other.id)
    does = "is running" if first.state is RunState.RUNNING else "is about to start"
    text = f"waits for its turn: run {first.id} {does} on {first.node}"
    return _told(run, text, rule=f"overlap {job.spec.overlap}")


def _node(state: ClusterState, run: Run, job: Job, leader: str) -> Told | None:
    members = [
        node
        for node in state.nodes.values()
        if run.target in ("", node.name) and matches(job.spec.target, node)
    ]
    up = [node for node in members if node.up and not node.draining]
    asked = [node for node in up if node.name != leader] or up  # the leader itself runs last
    if any(state.has_room(node.name, run.id) for node in asked):
        return None
    reason = Reason.NO_CAPACITY if up else Reason.NODE_DOWN if members else Reason.NO_TARGET
    return _told(run, f"waits: {REASONS[reason](job.spec)}", rule=RULES.get(reason))


def _told(run: Run, text: str, *, node: str | None = None, rule: str | None = None) -> Told:
    what = f"Attempt {run.attempt} of run {run.id}" if run.attempts else f"Run {run.id}"
    who = {
        Trigger.MANUAL: ", asked for by hand,",
        Trigger.BACKFILL: ", of a backfill,",
        Trigger.AFTER: f", after run {run.upstream},",
    }.get(run.trigger, "")
    return Told(at=run.due_at, text=f"{what}{who} {text}.", node=node, rule=rule)
