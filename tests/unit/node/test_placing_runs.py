"""Where runs go: spreading, limits per label, and runs when a node joins."""

from collections import Counter
from datetime import timedelta

import pytest
from builders import NOON, Cluster, at, node

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Limits, Misfire, Target
from croncord.raft.commands import PauseJob, PutNode, RemoveNode, SetLabelLimits


def one_by_one(cluster, job, runs):
    """Start and end so many runs; returns where each went."""
    went = []
    for number in range(runs):
        cluster.now += timedelta(seconds=1)
        cluster.trigger(job, key=str(number))
        cluster.decide()
        (run,) = cluster.claim_all()
        went.append(run.node)
        cluster.finish(run)
    return went


def test_spread_takes_the_node_that_the_job_has_not_used_for_the_longest_time():
    cluster = Cluster("n1", "n2", "n3", "n4")
    job = cluster.add_job(schedule="@manual", target=Target(strategy="spread"))
    went = one_by_one(cluster, job, 9)
    assert Counter(went) == {"n2": 3, "n3": 3, "n4": 3}
    assert all(len(set(went[k : k + 3])) == 3 for k in range(7))


def test_spread_puts_runs_of_one_moment_on_different_nodes_whatever_else_they_do():
    cluster = Cluster("n1", "n2", "n3", "n4")
    busy = cluster.add_job("busy", "@manual", overlap="allow", target=Target(nodes=("n2",)))
    for key in "abc":
        cluster.trigger(busy, key=key)
    job = cluster.add_job(schedule="@manual", overlap="allow", target=Target(strategy="spread"))
    for key in "123456":
        cluster.trigger(job, key=key)
    cluster.decide()
    went = Counter(run.node for run in cluster.open_runs() if run.job == "job")
    assert went == {"n2": 2, "n3": 2, "n4": 2}


def test_hash_keeps_a_job_on_its_node_and_random_does_not():
    cluster = Cluster("n1", "n2", "n3", "n4")
    kept = cluster.add_job("kept", "@manual", target=Target(strategy="hash"))
    assert len(set(one_by_one(cluster, kept, 6))) == 1
    roams = cluster.add_job("roams", "@manual", target=Target(strategy="random"))
    assert len(set(one_by_one(cluster, roams, 12))) > 1


@pytest.mark.parametrize(("limit", "running"), [(0, 0), (1, 1), (3, 3), (9, 5)])
def test_a_label_bounds_the_runs_of_all_nodes_that_have_it(limit, running):
    cluster = Cluster("n1")
    for name in ("n2", "n3"):
        cluster.do(PutNode(at=NOON, node=node(name, labels={"gpu": "a100", "rack": name})))
    cluster.do(SetLabelLimits(at=NOON, limits={"gpu=a100": limit, "rack=n9": 0}))
    job = cluster.add_job(
        schedule="@manual", overlap="allow", target=Target(labels={"gpu": "a100"})
    )
    for key in "12345":
        cluster.trigger(job, key=key)
    cluster.decide()
    assert sum(run.is_active for run in cluster.open_runs()) == running
    if running:
        cluster.finish(cluster.claim_all()[0])
        cluster.decide()
        left = len(cluster.open_runs())
        assert sum(run.is_active for run in cluster.open_runs()) == min(limit, left)


def test_limits_are_replaced_as_a_whole_and_negative_ones_refused():
    cluster = Cluster()
    cluster.do(SetLabelLimits(at=NOON, limits={"a=1": 1, "b=2": 2}))
    cluster.do(SetLabelLimits(at=NOON, limits={"b=2": 3}))
    assert dict(cluster.state.label_limits) == {"b=2": 3}
    assert cluster.do(SetLabelLimits(at=NOON, limits={"a=1": -1})).refusal.code == "invalid"


def test_a_job_runs_once_on_each_matching_node_that_joins():
    cluster = Cluster("n1", "n2")
    target = Target(labels={"disk": "ssd"}, on_join=True)
    cluster.add_job(schedule="@manual", target=target)
    cluster.now = at(10)
    for name, labels in (("n3", {"disk": "ssd"}), ("n4", {}), ("n5", {"disk": "ssd"})):
        cluster.do(PutNode(at=cluster.now, node=node(name, labels=labels)))
    cluster.do(PutNode(at=at(11), node=node("n3", labels={"disk": "ssd"}, version="2")))
    cluster.decide()
    assert [(run.target, run.node, run.trigger, run.by) for run in cluster.open_runs()] == [
        (name, name, Trigger.EVERY_NODE, f"node:{name}")
        for name in [run.target for run in cluster.open_runs()]
    ]
    assert {run.target for run in cluster.open_runs()} == {"n3", "n5"}
    for run in cluster.claim_all():
        cluster.finish(run, RunState.SUCCEEDED)
    cluster.do(RemoveNode(at=at(20), name="n3"))
    cluster.do(PutNode(at=at(30), node=node("n3", labels={"disk": "ssd"})))
    assert [run.target for run in cluster.open_runs()] == ["n3"]


def test_a_paused_job_does_not_run_on_a_node_that_joins_and_says_so():
    cluster = Cluster("n1")
    job = cluster.add_job(schedule="@manual", target=Target(on_join=True))
    cluster.do(PauseJob(at=NOON, job_id=job.id, paused=True))
    cluster.do(PutNode(at=NOON, node=node("n9")))
    assert [(row.target, row.reason) for row in cluster.rows] == [("n9", "paused")]


def test_a_run_with_a_cpu_limit_goes_to_a_node_that_can_hold_it_also_to_the_leader():
    cluster = Cluster("n1", "n2", "n3")
    limited = cluster.add_job("limited", "@manual", limits=Limits(cpu_percent=50))
    cluster.holding_cpu = frozenset({"n3"})
    assert one_by_one(cluster, limited, 3) == ["n3"] * 3
    cluster.holding_cpu = frozenset({"n1"})
    assert one_by_one(cluster, limited, 1) == ["n1"]


def test_a_run_with_a_cpu_limit_that_no_node_can_hold_waits_and_is_missed_with_the_reason():
    cluster = Cluster("n1", "n2")
    job = cluster.add_job(
        "limited",
        "@manual",
        limits=Limits(cpu_percent=50),
        misfire=Misfire(window_seconds=60),
    )
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.open_runs()
    assert (run.state, run.node) == (RunState.PENDING, None)
    cluster.now += timedelta(seconds=61)
    cluster.decide()
    (row,) = cluster.state.recent[job.id]
    assert (row.state, row.reason) == (RunState.MISSED, Reason.LIMIT_UNSUPPORTED)


@pytest.mark.parametrize(
    ("quiet", "target", "went"),
    [
        ({"n2"}, (), {"n3"}),
        ({"n2", "n3"}, (), {"n1"}),
        ({"n2"}, ("n2",), {"n2"}),
    ],
    ids=["others answer", "only the leader is sure", "nobody else may"],
)
def test_a_node_that_may_be_dead_gets_only_what_nobody_else_may_run(quiet, target, went):
    cluster = Cluster("n1", "n2", "n3")
    cluster.quiet = frozenset(quiet)
    job = cluster.add_job(schedule="@manual", overlap="allow", target=Target(nodes=target))
    for key in "1234":
        cluster.trigger(job, key=key)
    cluster.decide()
    assert {run.node for run in cluster.open_runs()} == went
