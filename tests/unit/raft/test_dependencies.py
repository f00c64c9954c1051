"""Jobs that run after others: what fires, exactly once, and what is refused."""

import msgspec
import pytest
from builders import NOON, Cluster, at, node

from croncord.lifecycle import RunState, Trigger
from croncord.model import Dependency, Misfire, Retries, Target, run_id
from croncord.raft.commands import (
    DeleteJob,
    PauseCluster,
    PauseJob,
    PutJob,
    PutNode,
    RequestKill,
)

GOOD, FAILED = RunState.SUCCEEDED, RunState.FAILED


def after(name, on="success"):
    return (Dependency(job=name, on=on),)


def chain(on="success", **fields):
    """`second` runs after `first`, whose tick of 12:01 has been claimed."""
    cluster = Cluster()
    cluster.add_job("first", "1 12 * * *", **fields)
    cluster.add_job("second", "@manual", after=after("first", on))
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    return cluster, run


def of_job(cluster, name):
    rows = {run.id: run for run in (*cluster.rows, *cluster.open_runs())}.values()
    return [run for run in rows if run.job == name]


@pytest.mark.parametrize(
    ("on", "state", "becomes"),
    [
        ("success", GOOD, "pending"),
        ("success", FAILED, "skipped dependency_failed"),
        ("success", RunState.TIMED_OUT, "skipped dependency_failed"),
        ("success", RunState.KILLED, "skipped dependency_failed"),
        ("success", RunState.LOST, "skipped dependency_failed"),
        ("failure", GOOD, ""),
        ("failure", FAILED, "pending"),
        ("failure", RunState.LOST, "pending"),
        ("always", GOOD, "pending"),
        ("always", FAILED, "pending"),
    ],
)
def test_the_end_of_a_run_starts_what_runs_after_it(on, state, becomes):
    cluster, run = chain(on)
    cluster.finish(run, state)
    told = [f"{row.state} {row.reason or ''}".strip() for row in of_job(cluster, "second")]
    assert told == ([becomes] if becomes else [])
    for row in of_job(cluster, "second"):
        assert row.trigger is Trigger.AFTER
        assert row.upstream == run.id
        assert row.nominal_time == run.nominal_time
        assert row.id == run_id(row.job_id, run.nominal_time, f"after:{run.id}")


def test_the_row_is_made_once_whoever_leads_and_however_often_the_result_is_told():
    cluster, run = chain()
    cluster.finish(run)
    cluster.finish(run)
    (first,) = of_job(cluster, "second")
    for term, leader in ((2, "n2"), (3, "n3")):
        cluster.term, cluster.leader = term, leader
        cluster.finish(run)
        cluster.decide()
    (row,) = of_job(cluster, "second")
    assert (row.id, row.decided_at) == (first.id, first.decided_at)
    assert row.node is not None


def test_a_retry_is_not_an_end():
    cluster, run = chain(retries=Retries(count=1, delay_seconds=5))
    cluster.finish(run, FAILED)
    assert of_job(cluster, "second") == []
    cluster.run_until(at(66))
    cluster.finish(cluster.claim_all()[0])
    assert [row.state for row in of_job(cluster, "second")] == ["pending"]


def test_a_missed_tick_fails_what_runs_after_it_and_a_skipped_one_does_not():
    cluster = Cluster()
    first = cluster.add_job("first", misfire=Misfire(policy="skip"))
    cluster.add_job("second", "@manual", after=after("first"))
    cluster.now = at(100)
    cluster.decide()
    assert [row.reason for row in of_job(cluster, "second")] == ["dependency_failed"]
    cluster.do(PauseJob(at=cluster.now, job_id=first.id, paused=True))
    cluster.run_until(at(200))
    assert len(of_job(cluster, "second")) == 1


def test_a_failure_is_passed_on_along_the_chain_and_every_job_has_its_row():
    cluster = Cluster()
    cluster.add_job("j0", "1 12 * * *")
    for number in range(1, 300):
        cluster.add_job(f"j{number}", "@manual", after=after(f"j{number - 1}"))
    cluster.run_until(at(60))
    cluster.finish(cluster.claim_all()[0], FAILED)
    assert len(cluster.rows) == 300
    assert {row.reason for row in cluster.rows[1:]} == {"dependency_failed"}


def test_the_truth_about_a_lost_run_starts_nothing_twice():
    cluster, run = chain("always")
    cluster.silent = {run.node: 100}
    cluster.decide()
    assert len(of_job(cluster, "second")) == 1
    cluster.finish(run)
    assert len(of_job(cluster, "second")) == 1


def test_a_kill_of_a_run_that_waits_counts_as_a_failure():
    cluster = Cluster()
    cluster.add_job("first", "1 12 * * *", target=Target(nodes=("n9",)))
    cluster.add_job("second", "@manual", after=after("first"))
    cluster.run_until(at(60))
    (run,) = cluster.open_runs()
    cluster.do(RequestKill(at=cluster.now, by="user:ada", run_id=run.id))
    assert [row.reason for row in of_job(cluster, "second")] == ["dependency_failed"]


@pytest.mark.parametrize("pause", ["job", "cluster"])
def test_a_pause_keeps_dependents_from_starting_and_says_so(pause):
    cluster, run = chain()
    if pause == "job":
        cluster.do(PauseJob(at=cluster.now, job_id="id-second", paused=True))
    else:
        cluster.do(PauseCluster(at=cluster.now, paused=True))
    cluster.finish(run)
    expected = "paused" if pause == "job" else "cluster_paused"
    assert [row.reason for row in of_job(cluster, "second")] == [expected]


def test_a_run_by_hand_may_leave_its_dependents_alone():
    for fire in (True, False):
        cluster = Cluster()
        first = cluster.add_job("first", "@manual")
        cluster.add_job("second", "@manual", after=after("first"))
        cluster.trigger(first, fire_dependents=fire)
        cluster.decide()
        cluster.finish(cluster.claim_all()[0])
        assert len(of_job(cluster, "second")) == fire


def test_an_every_node_job_runs_after_another_on_every_node():
    cluster, run = chain()
    cluster.add_job("third", "@manual", after=after("first"), target=Target(every_node=True))
    cluster.finish(run)
    rows = of_job(cluster, "third")
    assert {(row.target, row.shard_index, row.shard_count) for row in rows} == {
        ("n1", 0, 3),
        ("n2", 1, 3),
        ("n3", 2, 3),
    }


def test_a_run_by_hand_of_an_every_node_job_has_one_row_per_node():
    cluster = Cluster("n1", "n2")
    cluster.do(PutNode(at=NOON, node=node("n3", up=False)))
    job = cluster.add_job(schedule="@manual", target=Target(every_node=True))
    first = cluster.trigger(job, idempotency_key="once")
    again = cluster.trigger(job, key="again", idempotency_key="once")
    assert again.id == first.id
    cluster.decide()
    assert {(run.target, run.node) for run in cluster.open_runs()} == {("n1", "n1"), ("n2", "n2")}
    assert [(row.target, row.state, row.reason) for row in cluster.rows] == [
        ("n3", "missed", "node_down")
    ]


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ({"a": "a"}, "a after a"),
        ({"a": "b", "b": "a"}, "b after a after b"),
        ({"a": "b", "b": "c", "c": "a"}, "c after a after b after c"),
    ],
)
def test_a_circle_is_refused_with_its_names(edges, message):
    cluster = Cluster()
    for name in sorted(edges):
        last = name == max(edges)
        spec = cluster.add_job(f"other-{name}", "@manual").spec
        fields = {"name": name, "after": after(edges[name])}
        spec = msgspec.structs.replace(spec, **fields)
        command = PutJob(at=NOON, job_id=f"id-{name}", spec=spec, next_due=None)
        refusal = cluster.do(command).refusal
        if last:
            assert (refusal.code, refusal.field) == ("invalid", "after")
            assert refusal.message.endswith(message)
        else:
            assert refusal is None


def test_two_ways_to_the_same_job_are_no_circle():
    cluster = Cluster()
    cluster.add_job("a", "@manual")
    cluster.add_job("b", "@manual", after=after("a"))
    cluster.add_job("c", "@manual", after=after("a"))
    cluster.add_job("d", "@manual", after=after("b") + after("c"))


def test_a_job_that_others_run_after_keeps_its_name_and_stays():
    cluster, _ = chain()
    deleted = cluster.do(DeleteJob(at=cluster.now, job_id="id-first")).refusal
    assert deleted.code == "conflict"
    assert "second runs after 'first'" in deleted.message
    cluster.add_job("second", "@manual")
    assert cluster.do(DeleteJob(at=cluster.now, job_id="id-first")).refusal is None
