from datetime import timedelta

import pytest
from builders import NOON, Cluster, at, node

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Misfire, Retries, Target
from croncord.raft.commands import DrainNode, PauseCluster, PauseJob, PutNode, RemoveNode


def test_a_tick_is_decided_before_its_instant_and_only_once():
    cluster = Cluster()
    cluster.add_job(schedule="* * * * *")
    cluster.run_until(at(58.9))
    assert cluster.open_runs() == []
    cluster.run_until(at(59.1))
    (run,) = cluster.open_runs()
    assert (run.nominal_time, run.trigger, run.state) == (at(60), "schedule", "pending")
    cluster.run_until(at(60.5))
    assert cluster.open_runs() == [run]


def test_followers_execute_and_the_leader_only_when_nobody_else_is_up():
    cluster = Cluster("n1", "n2")
    job = cluster.add_job(schedule="@manual", overlap="allow")
    for index in range(5):
        cluster.trigger(job, key=str(index))
    cluster.decide()
    assert {run.node for run in cluster.open_runs()} == {"n2"}
    cluster.silent = {"n2": 6}
    cluster.trigger(job, key="last")
    cluster.decide()
    assert {run.node for run in cluster.open_runs()} == {"n1"}


def test_the_least_loaded_node_gets_the_next_run():
    cluster = Cluster("n1", "n2", "n3")
    job = cluster.add_job(schedule="@manual", overlap="allow")
    for index in range(6):
        cluster.trigger(job, key=str(index))
    cluster.decide()
    nodes = [run.node for run in cluster.open_runs()]
    assert (nodes.count("n2"), nodes.count("n3")) == (3, 3)


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", [("12:02:00", "skipped", "overlap"), ("12:03:00", "skipped", "overlap")]),
        ("queue_one", [("12:03:00", "skipped", "queue_full")]),
        ("queue_all", []),
        ("allow", []),
    ],
)
def test_ticks_that_come_while_a_run_is_in_hand_go_by_the_overlap_policy(overlap, expected):
    cluster = Cluster()
    cluster.add_job(overlap=overlap)
    cluster.run_until(at(60))
    (first,) = cluster.claim_all()
    cluster.run_until(at(180))
    assert cluster.outcomes() == expected
    waiting = [run for run in cluster.open_runs() if run.is_queued]
    assert len(waiting) == {"queue_one": 1, "queue_all": 2}.get(overlap, 0)
    cluster.finish(first)
    cluster.decide()
    active = [run.nominal_time for run in cluster.open_runs() if run.is_active]
    expected_active = {"skip": [], "allow": [at(120), at(180)]}.get(overlap, [at(120)])
    assert active == expected_active


def test_replace_ends_the_run_in_hand_at_the_new_ticks_instant_and_then_starts():
    cluster = Cluster()
    cluster.add_job(overlap="replace")
    cluster.run_until(at(60))
    (first,) = cluster.claim_all()
    cluster.run_until(at(119.9))
    assert cluster.state.open_runs[first.id].kill is None
    cluster.run_until(at(120))
    assert cluster.state.open_runs[first.id].kill.reason == "replaced"
    assert [run.is_queued for run in cluster.open_runs()] == [False, True]
    cluster.finish(first, RunState.KILLED)
    cluster.decide()
    assert cluster.outcomes() == [("12:01:00", "killed", "replaced")]
    assert [run.nominal_time for run in cluster.open_runs() if run.is_active] == [at(120)]


def test_of_several_replacing_ticks_only_the_newest_waits():
    cluster = Cluster()
    cluster.add_job(overlap="replace")
    cluster.run_until(at(60))
    cluster.claim_all()
    cluster.run_until(at(180))
    assert cluster.outcomes() == [("12:02:00", "skipped", "replaced")]


def test_a_run_that_ends_just_before_the_next_tick_does_not_make_it_skip():
    cluster = Cluster()
    cluster.add_job(overlap="skip")
    cluster.run_until(at(60))
    (first,) = cluster.claim_all()
    cluster.run_until(at(119.8))
    cluster.finish(first)
    cluster.run_until(at(120))
    assert cluster.outcomes() == [("12:01:00", "succeeded", "")]
    assert [run.nominal_time for run in cluster.open_runs()] == [at(120)]


@pytest.mark.parametrize(
    ("policy", "window_seconds", "missed", "caught_up"),
    [
        ("skip", 3600, 5, []),
        ("run_once", 3600, 4, [at(300)]),
        ("run_once", 10, 5, []),
        ("run_all", 3600, 0, [at(60), at(120), at(180), at(240), at(300)]),
        ("run_all", 130, 3, [at(240), at(300)]),
    ],
)
def test_after_an_outage_late_ticks_go_by_the_misfire_policy(
    policy, window_seconds, missed, caught_up
):
    cluster = Cluster()
    misfire = Misfire(policy=policy, window_seconds=window_seconds)
    cluster.add_job(misfire=misfire, overlap="allow")
    cluster.now = at(340)
    cluster.decide()
    assert [row[1:] for row in cluster.outcomes()] == [("missed", "late")] * missed
    runs = cluster.open_runs()
    assert [run.nominal_time for run in runs] == caught_up
    assert all(run.trigger is Trigger.CATCH_UP for run in runs)


def test_after_a_long_outage_every_tick_has_a_row_and_run_once_launches_only_the_last():
    cluster = Cluster()
    cluster.add_job(misfire=Misfire(policy="run_once", window_seconds=86400))
    cluster.now = at(3 * 3600 + 40)
    cluster.decide()
    assert len(cluster.rows) == 179
    assert len({row.id for row in cluster.rows}) == 179
    assert [run.nominal_time for run in cluster.open_runs()] == [at(3 * 3600)]


def test_a_short_gap_is_only_a_late_start():
    cluster = Cluster()
    cluster.add_job(misfire=Misfire(policy="skip"))
    cluster.now = at(65)
    cluster.decide()
    assert [run.trigger for run in cluster.open_runs()] == [Trigger.SCHEDULE]


def test_ticks_of_a_paused_job_are_skipped_and_not_caught_up_after_resume():
    cluster = Cluster()
    job = cluster.add_job()
    cluster.run_until(at(59.5))
    cluster.do(PauseJob(at=cluster.now, job_id=job.id, paused=True))
    cluster.run_until(at(130))
    cluster.do(PauseJob(at=cluster.now, job_id=job.id, paused=False))
    cluster.run_until(at(179))
    assert cluster.outcomes() == [
        ("12:01:00", "skipped", "paused"),
        ("12:02:00", "skipped", "paused"),
    ]
    assert [run.nominal_time for run in cluster.open_runs()] == [at(180)]


def test_a_paused_cluster_skips_ticks_but_starts_what_is_asked_for_by_hand():
    cluster = Cluster()
    job = cluster.add_job()
    cluster.do(PauseCluster(at=cluster.now, paused=True))
    cluster.run_until(at(61))
    manual = cluster.trigger(job)
    cluster.decide()
    assert cluster.outcomes() == [("12:01:00", "skipped", "cluster_paused")]
    assert cluster.state.open_runs[manual.id].node is not None


def test_pending_runs_of_a_silent_node_move_and_running_ones_are_lost_after_a_while():
    cluster = Cluster("n1", "n2", "n3")
    job = cluster.add_job(schedule="@manual", overlap="allow", target=Target(nodes=("n2", "n3")))
    for index in range(4):
        cluster.trigger(job, key=str(index))
    cluster.decide()
    on_n2 = [run for run in cluster.open_runs() if run.node == "n2"]
    cluster.claim(on_n2[0])
    cluster.silent = {"n2": 6}
    cluster.decide()
    assert cluster.state.nodes["n2"].up is False
    assert cluster.state.open_runs[on_n2[0].id].node == "n2"
    assert cluster.state.open_runs[on_n2[1].id].node == "n3"
    cluster.silent = {"n2": 61}
    cluster.decide()
    assert [(row.id, row.state, row.reason) for row in cluster.rows] == [
        (on_n2[0].id, "lost", "node_down")
    ]


def test_a_lost_run_is_launched_again_only_when_delivery_is_at_least_once():
    cluster = Cluster("n1", "n2", "n3")
    job = cluster.add_job(schedule="@manual", delivery="at_least_once")
    run = cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.claim_all()
    cluster.silent = {run.node: 61}
    cluster.decide()
    again = cluster.state.open_runs[run.id]
    assert (again.attempt, again.attempts[0].state) == (2, "lost")
    assert again.node not in (None, run.node)
    assert again.fence > run.fence


def test_the_result_of_a_node_that_comes_back_replaces_lost():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual")
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.claim_all()
    cluster.silent = {run.node: 61}
    cluster.decide()
    cluster.silent = {}
    cluster.finish(run, RunState.SUCCEEDED)
    assert [row.state for row in cluster.rows] == ["lost", "succeeded"]
    assert cluster.state.recent[job.id][-1].state == "succeeded"
    assert not cluster.state.lost


def test_a_failed_run_is_retried_after_its_delay_and_the_row_stays_one():
    cluster = Cluster()
    retries = Retries(count=2, delay_seconds=10, backoff=2.0, other_node=True)
    job = cluster.add_job(schedule="@manual", retries=retries)
    cluster.trigger(job)
    nodes = []
    for wait in (10, 20):
        cluster.decide()
        (run,) = cluster.claim_all()
        nodes.append(run.node)
        cluster.finish(run, RunState.FAILED)
        assert cluster.open_runs()[0].due_at == cluster.now + timedelta(seconds=wait)
        cluster.run_until(cluster.now + timedelta(seconds=wait))
    (run,) = cluster.claim_all()
    cluster.finish(run, RunState.FAILED)
    (row,) = cluster.rows
    assert (row.attempt, row.state, len(row.attempts)) == (3, "failed", 2)
    assert nodes[0] != nodes[1]


def test_a_run_without_a_matching_node_waits_and_is_missed_when_its_window_ends():
    cluster = Cluster()
    cluster.add_job(
        schedule="1 12 * * *",
        target=Target(labels={"gpu": "yes"}),
        misfire=Misfire(window_seconds=300),
    )
    cluster.run_until(at(200))
    assert cluster.open_runs()[0].reason == "no_target"
    cluster.run_until(at(362))
    assert cluster.outcomes() == [("12:01:00", "missed", "no_target")]


def test_a_waiting_run_starts_when_a_matching_node_joins():
    cluster = Cluster()
    cluster.add_job(target=Target(labels={"gpu": "yes"}))
    cluster.run_until(at(61))
    cluster.do(PutNode(at=cluster.now, node=node("n4", labels={"gpu": "yes"})))
    cluster.decide()
    (run,) = cluster.open_runs()
    assert (run.node, run.reason) == ("n4", None)


@pytest.mark.parametrize("kind", ["draining", "full", "clock"])
def test_nodes_that_must_not_get_work_get_none(kind):
    cluster = Cluster("n1", "n2", "n3")
    if kind == "draining":
        cluster.do(DrainNode(at=NOON, name="n2", draining=True))
    elif kind == "full":
        cluster.do(PutNode(at=NOON, node=node("n2", max_runs=1)))
    else:
        cluster.offsets_ms = {"n2": -60_000}
    job = cluster.add_job(schedule="@manual", overlap="allow")
    for index in range(4):
        cluster.trigger(job, key=str(index))
    cluster.decide()
    on_n2 = [run for run in cluster.open_runs() if run.node == "n2"]
    assert len(on_n2) == (1 if kind == "full" else 0)


def test_when_all_are_full_runs_wait_for_a_place():
    cluster = Cluster("n1", "n2")
    cluster.do(PutNode(at=NOON, node=node("n2", max_runs=1)))
    job = cluster.add_job(schedule="@manual", overlap="allow")
    for index in range(3):
        cluster.trigger(job, key=str(index))
    cluster.decide()
    assert [run.node for run in cluster.open_runs()].count("n2") == 1
    cluster.finish(cluster.claim_all()[0])
    cluster.decide()
    assert [run.node for run in cluster.open_runs()].count("n2") == 1
    assert len(cluster.open_runs()) == 2


def test_an_every_node_job_has_one_row_per_node_also_for_the_one_that_is_down():
    cluster = Cluster("n1", "n2", "n3")
    cluster.add_job(target=Target(every_node=True))
    cluster.silent = {"n3": 10}
    cluster.run_until(at(60))
    assert [(run.target, run.node, run.shard_index, run.shard_count) for run in cluster.open_runs()]
    assert {run.target for run in cluster.open_runs()} == {"n1", "n2"}
    assert [(row.target, row.reason) for row in cluster.rows] == [("n3", Reason.NODE_DOWN)]


def test_runs_of_a_removed_node_are_lost_at_once():
    cluster = Cluster("n1", "n2")
    job = cluster.add_job(schedule="@manual")
    cluster.trigger(job)
    cluster.decide()
    cluster.claim_all()
    cluster.silent = {"n2": 6}
    cluster.decide()
    cluster.do(RemoveNode(at=cluster.now, name="n2"))
    cluster.decide()
    assert [(row.state, row.reason) for row in cluster.rows] == [("lost", "node_down")]


def test_a_manual_run_of_a_job_that_runs_already_is_skipped_with_a_reason():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", overlap="skip")
    cluster.trigger(job, key="one")
    cluster.decide()
    cluster.claim_all()
    cluster.trigger(job, key="two", node="n3")
    cluster.decide()
    assert [(row.state, row.reason) for row in cluster.rows] == [("skipped", "overlap")]


def test_jitter_delays_the_start_but_not_the_identity_of_a_tick():
    cluster = Cluster()
    job = cluster.add_job(jitter_seconds=30)
    cluster.run_until(at(61))
    (run,) = cluster.open_runs()
    assert run.nominal_time == at(60)
    assert at(60) <= run.due_at < at(90)
    other = Cluster(leader="n2")
    assert other.add_job(jitter_seconds=30) == job
    other.run_until(at(61))
    assert other.open_runs()[0].due_at == run.due_at


def test_two_leaders_that_decide_the_same_tick_change_nothing_the_second_time():
    cluster = Cluster()
    cluster.add_job()
    cluster.now = at(59.5)
    first, second = cluster.plan(), cluster.plan()
    for command in (*first.commands, *second.commands):
        cluster.do(command)
    assert len(cluster.open_runs()) == 1
