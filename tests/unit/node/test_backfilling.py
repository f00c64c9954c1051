"""Backfills: rows of their own beside the schedule's, a few at a time, that can be cancelled."""

from datetime import timedelta

import pytest
from builders import NOON, Cluster, at, node

from croncord.lifecycle import RunState, Trigger
from croncord.model import Dependency, Misfire, Target, run_id
from croncord.raft.commands import Backfill, CancelBackfill, PauseCluster, PauseJob, PutNode

TICKS = tuple(NOON - timedelta(minutes=minutes) for minutes in (5, 4, 3, 2, 1))


def backfilled(max_parallel=1, *, nodes=("n1", "n2", "n3"), **fields):
    cluster = Cluster(*nodes)
    job = cluster.add_job(**fields)
    made = start(cluster, job, max_parallel).value
    cluster.decide()
    return cluster, job, made


def start(cluster, job, max_parallel=1, name="b1", ticks=TICKS):
    return cluster.do(
        Backfill(
            at=cluster.now,
            by="user:ada",
            job_id=job.id,
            backfill_id=name,
            ticks=ticks,
            max_parallel=max_parallel,
        )
    )


def in_hand(cluster):
    return [run.nominal_time for run in cluster.open_runs() if run.is_active]


@pytest.mark.parametrize("overlap", ["skip", "queue_one", "queue_all", "replace", "allow"])
@pytest.mark.parametrize("parallel", [1, 2, 9])
def test_the_oldest_ticks_run_first_and_so_many_at_once(overlap, parallel):
    cluster, _, made = backfilled(parallel, overlap=overlap, schedule="0 0 1 1 *")
    assert made == 5
    order = []
    while cluster.open_runs():
        assert len(in_hand(cluster)) == min(parallel, len(cluster.open_runs()))
        cluster.claim_all()
        run = next(run for run in cluster.open_runs() if run.state is RunState.RUNNING)
        order.append(run.nominal_time)
        cluster.finish(run)
        cluster.decide()
    assert order == list(TICKS)
    assert {row.trigger for row in cluster.rows} == {Trigger.BACKFILL}


def test_the_same_backfill_twice_makes_its_rows_once_and_another_one_has_rows_of_its_own():
    cluster, job, _ = backfilled()
    before = {run.id for run in cluster.open_runs()}
    assert start(cluster, job).value == 0
    assert {run.id for run in cluster.open_runs()} == before
    assert not before & {run_id(job.id, tick) for tick in TICKS}
    start(cluster, job, name="b2")
    assert len(cluster.open_runs()) == 10


@pytest.mark.parametrize("overlap", ["skip", "queue_one", "replace"])
def test_the_schedule_goes_on_beside_a_backfill(overlap):
    cluster, _, _ = backfilled(overlap=overlap)
    cluster.run_until(at(60))
    scheduled = [run for run in cluster.open_runs() if run.trigger is Trigger.SCHEDULE]
    assert [(run.nominal_time, run.node is not None) for run in scheduled] == [(at(60), True)]
    assert not cluster.rows
    assert not any(run.kill for run in cluster.open_runs())


def test_a_cancelled_backfill_ends_what_waits_and_if_asked_what_runs():
    cluster, job, _ = backfilled(2)
    cluster.claim_all()
    for kill in (False, True):
        cluster.do(
            CancelBackfill(
                at=cluster.now, by="user:ada", job_id=job.id, backfill_id="b1", kill=kill
            )
        )
        assert [(row.state, row.reason) for row in cluster.rows] == [("killed", "requested")] * 3
        assert [run.kill is not None for run in cluster.open_runs()] == [kill, kill]


def test_a_pause_does_not_end_what_somebody_asked_for():
    cluster, job, _ = backfilled()
    cluster.do(PauseJob(at=cluster.now, job_id=job.id, paused=True))
    cluster.do(PauseCluster(at=cluster.now, paused=True))
    cluster.decide()
    assert len(cluster.open_runs()) == 5


def test_a_backfill_waits_for_nodes_and_locks_as_long_as_it_takes():
    cluster = Cluster()
    cluster.trigger(cluster.add_job("holder", "@manual", locks=("db",)))
    job = cluster.add_job(
        "job", "0 0 1 1 *", locks=("db",), overlap="skip", misfire=Misfire(window_seconds=1)
    )
    cluster.decide()
    start(cluster, job)
    cluster.run_until(at(600))
    assert len(in_hand(cluster)) == 1
    cluster.finish(cluster.claim_all()[0])
    ended = []
    while cluster.open_runs():
        cluster.decide()
        (run,) = cluster.claim_all()
        ended.append(run.nominal_time)
        cluster.run_until(cluster.now + timedelta(seconds=600))
        cluster.finish(run)
    assert ended == list(TICKS)
    assert {row.state for row in cluster.rows} == {"succeeded"}


def test_an_every_node_job_is_backfilled_on_every_node():
    cluster, _, made = backfilled(9, nodes=("n1", "n2"), target=Target(every_node=True))
    assert made == 10
    assert len(in_hand(cluster)) == 9


def test_dependents_are_left_alone_unless_asked_for():
    cluster, _, _ = backfilled()
    cluster.add_job("second", "@manual", after=(Dependency(job="job"),))
    cluster.finish(cluster.claim_all()[0])
    assert not [run for run in cluster.open_runs() if run.job == "second"]


def test_too_many_are_refused():
    cluster = Cluster()
    job = cluster.add_job()
    ticks = tuple(NOON - timedelta(minutes=n) for n in range(1001))
    assert start(cluster, job, ticks=ticks).refusal.code == "conflict"
    assert start(cluster, job, max_parallel=0).refusal.code == "conflict"
    cluster.do(PutNode(at=NOON, node=node("n4")))
    assert not cluster.open_runs()
