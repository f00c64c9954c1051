"""What becomes of ticks that nobody could launch in time: the misfire policy, its limits, its rate."""

from datetime import timedelta
from itertools import pairwise

import pytest
from builders import Cluster, at

from croncord.lifecycle import RunState, Trigger
from croncord.model import Misfire, Target
from croncord.raft.commands import PauseJob


def minutes(runs):
    return [(run.nominal_time - at(0)) // timedelta(minutes=1) for run in runs]


@pytest.mark.parametrize(
    ("misfire", "launched"),
    [
        (Misfire(policy="skip"), []),
        (Misfire(policy="run_once"), [10]),
        (Misfire(policy="run_all"), list(range(1, 11))),
        (Misfire(policy="run_all", max_runs=3), [8, 9, 10]),
        (Misfire(policy="run_all", max_runs=99), list(range(1, 11))),
        (Misfire(policy="run_all", max_runs=3, window_seconds=100), [9, 10]),
        (Misfire(policy="run_once", max_runs=3), [10]),
        (Misfire(policy="run_once", window_seconds=10), []),
    ],
)
def test_of_ten_late_ticks_the_policy_launches(misfire, launched):
    cluster = Cluster()
    cluster.add_job(misfire=misfire, overlap="allow")
    cluster.now = at(10 * 60 + 40)
    cluster.decide()
    assert minutes(cluster.open_runs()) == launched
    assert len(cluster.rows) == 10 - len(launched)
    assert {(row.state, row.reason) for row in cluster.rows} <= {("missed", "late")}


def test_the_maximum_holds_over_an_outage_of_many_rounds():
    cluster = Cluster()
    misfire = Misfire(policy="run_all", max_runs=150, window_seconds=86400)
    cluster.add_job(misfire=misfire, overlap="allow")
    cluster.now = at(400 * 60 + 40)
    cluster.decide()
    assert minutes(cluster.open_runs()) == list(range(251, 401))
    assert len(cluster.rows) == 250


@pytest.mark.parametrize("overlap", ["allow", "skip", "queue_one", "queue_all"])
def test_caught_up_runs_start_at_the_agreed_rate_and_none_is_lost(overlap):
    cluster = Cluster()
    misfire = Misfire(policy="run_all", per_minute=6, window_seconds=86400)
    cluster.add_job(misfire=misfire, overlap=overlap, schedule="0,1,2,3,4 12 * * *")
    cluster.now = at(600)
    started = []
    for _ in range(60):
        cluster.decide()
        for run in cluster.claim_all():
            started.append((run.nominal_time, run.trigger, cluster.now))
            cluster.finish(run)
        cluster.run_until(cluster.now + timedelta(seconds=1))
    assert minutes_of(started) == [1, 2, 3, 4]
    assert {trigger for _, trigger, _ in started} == {Trigger.CATCH_UP}
    gaps = [b[2] - a[2] for a, b in pairwise(started)]
    assert all(gap >= timedelta(seconds=9) for gap in gaps)


def minutes_of(started):
    return [(nominal - at(0)) // timedelta(minutes=1) for nominal, _, _ in started]


@pytest.mark.parametrize("target", [Target(), Target(nodes=("n2",), every_node=True)])
def test_the_rate_holds_over_rounds_and_another_leader(target):
    cluster = Cluster()
    misfire = Misfire(policy="run_all", per_minute=60, window_seconds=86400)
    cluster.add_job(misfire=misfire, overlap="allow", target=target)
    cluster.now = at(150 * 60 + 40)
    for command in cluster.plan().commands:
        cluster.do(command)
    assert len(cluster.open_runs()) == 100
    cluster.term, cluster.leader = 2, "n2"
    cluster.decide()
    dues = sorted(run.due_at for run in cluster.open_runs())
    assert len(dues) == 150
    assert all(b - a >= timedelta(seconds=1) for a, b in pairwise(dues))


def test_ticks_of_the_schedule_are_not_held_up_by_caught_up_runs_that_wait_for_their_turn():
    cluster = Cluster()
    misfire = Misfire(policy="run_all", per_minute=1, window_seconds=86400)
    cluster.add_job(misfire=misfire, overlap="skip")
    cluster.now = at(5 * 60 + 40)
    cluster.decide()
    cluster.finish(cluster.claim_all()[0])
    cluster.run_until(at(360))
    scheduled = [run for run in cluster.open_runs() if run.trigger is Trigger.SCHEDULE]
    assert minutes(scheduled) == [6]


@pytest.mark.parametrize(
    ("elected_at", "reason"), [(None, "late"), (0, "late"), (301, "no_quorum")]
)
def test_a_missed_tick_says_whether_somebody_led_when_it_was_due(elected_at, reason):
    cluster = Cluster()
    cluster.add_job(misfire=Misfire(policy="skip"))
    cluster.led_since = None if elected_at is None else at(elected_at)
    cluster.now = at(340)
    cluster.decide()
    assert {row.reason for row in cluster.rows} == {reason}


def test_a_paused_job_catches_nothing_up():
    cluster = Cluster()
    job = cluster.add_job(misfire=Misfire(policy="run_all"))
    cluster.do(PauseJob(at=at(1), job_id=job.id, paused=True))
    cluster.now = at(340)
    cluster.decide()
    assert {(row.state, row.reason) for row in cluster.rows} == {(RunState.SKIPPED, "paused")}


def test_a_one_shot_is_consumed_exactly_once_over_failovers():
    cluster = Cluster()
    job = cluster.add_job(schedule="@at 2026-11-24T12:01:00Z")
    cluster.now = at(59.5)
    old, cluster.term, cluster.leader = cluster.plan(), 2, "n2"
    cluster.decide()
    for command in old.commands:
        cluster.do(command)
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    cluster.finish(run)
    for term, leader in ((3, "n3"), (4, "n1")):
        cluster.term, cluster.leader = term, leader
        cluster.run_until(cluster.now + timedelta(hours=1))
    assert [(row.nominal_time, row.state) for row in cluster.rows] == [(at(60), "succeeded")]
    assert cluster.state.jobs[job.id].next_due is None


def test_a_one_shot_that_was_due_while_nobody_led_is_consumed_with_one_row():
    cluster = Cluster()
    cluster.add_job(schedule="@at 2026-11-24T12:01:00Z")
    cluster.now = cluster.led_since = at(7200)
    cluster.term = 2
    cluster.decide()
    assert cluster.outcomes() == [("12:01:00", "missed", "no_quorum")]
    assert not cluster.open_runs()


def test_every_keeps_its_rhythm_over_failover_restart_and_an_edit_of_something_else():
    cluster = Cluster()
    cluster.add_job(schedule="@every 45s", overlap="allow")
    cluster.run_until(at(100))
    cluster.term, cluster.leader = 2, "n2"
    cluster.now = at(137)
    cluster.decide()
    cluster.add_job(schedule="@every 45s", overlap="allow", description="edited")
    cluster.run_until(at(230))
    ticks = [run.nominal_time for run in cluster.open_runs()]
    assert ticks == [at(45 * k) for k in range(1, 6)]
