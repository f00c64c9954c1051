"""What was decided before the leader saw its last word agreed starts nothing side by side."""

import pytest
from builders import NOON, Cluster, at

from croncord.lifecycle import RunState, Trigger
from croncord.model import Target, run_id
from croncord.raft.commands import (
    Assignment,
    AssignRuns,
    DecideTicks,
    Decision,
    JobDecisions,
)


def assign(cluster, run, node):
    assignment = Assignment(run_id=run.id, attempt=run.attempt, node=node)
    return cluster.do(AssignRuns(at=NOON, by="n1", term=1, assignments=(assignment,))).value


@pytest.mark.parametrize(
    ("overlap", "in_hand"),
    [("skip", 1), ("queue_one", 1), ("queue_all", 1), ("replace", 1), ("allow", 2)],
)
def test_two_assignments_of_one_job_both_take_effect_only_if_it_may_overlap(overlap, in_hand):
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", overlap=overlap)
    first, second = (cluster.trigger(job, key=key) for key in "ab")
    assert assign(cluster, first, "n2") == (first.id,)
    assert assign(cluster, second, "n3") == (second.id,) * (in_hand - 1)
    assert sum(run.is_active for run in cluster.open_runs()) == in_hand
    assert assign(cluster, first, "n3") == (first.id,), "it is not in its own way"


def test_runs_on_every_node_are_in_the_way_on_their_own_node_only():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", target=Target(every_node=True), overlap="queue_one")
    for key in "ab":
        cluster.trigger(job, key=key)
    runs = cluster.open_runs()
    for run in runs:
        assign(cluster, run, run.target)
    in_hand = [run.target for run in cluster.open_runs() if run.is_active]
    assert len(runs) == 2 * len(in_hand)
    assert set(in_hand) == {run.target for run in runs}


def test_a_tick_decided_for_a_node_waits_when_another_run_turns_out_to_be_in_hand():
    cluster = Cluster()
    job = cluster.add_job(overlap="queue_one")
    by_hand = cluster.trigger(job)
    assert assign(cluster, by_hand, "n2")
    tick = job.next_due
    decision = Decision(
        run_id=run_id(job.id, tick),
        nominal_time=tick,
        due_at=tick,
        trigger=Trigger.SCHEDULE,
        state=RunState.PENDING,
        node="n3",
    )
    batch = JobDecisions(
        job_id=job.id, job_version=1, due=tick, decisions=(decision,), next_due=at(120)
    )
    cluster.do(DecideTicks(at=tick, by="n1", term=1, jobs=(batch,)))
    waits = cluster.state.open_runs[decision.run_id]
    assert (waits.node, waits.fence, waits.reason) == (None, 0, None)
    assert waits.detail == f"run {by_hand.id} was in hand"
    cluster.now = tick
    cluster.finish(*cluster.claim_all())
    cluster.decide()
    assert cluster.state.open_runs[decision.run_id].is_active
