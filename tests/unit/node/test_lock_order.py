"""Named locks: who may hold them together, who is next, and that nobody waits for ever."""

from datetime import timedelta

import pytest
from builders import Cluster, at
from hypothesis import given, settings
from hypothesis import strategies as st

from croncord.locks import has_room, name_and_places
from croncord.model import Target
from croncord.raft.commands import Assignment, AssignRuns


@pytest.mark.parametrize(
    ("lock", "holders", "free"),
    [
        ("db", [], True),
        ("db", ["db"], False),
        ("db:2", ["db:2"], True),
        ("db:2", ["db:2", "db:2"], False),
        ("db", ["db:3"], False),
        ("db:3", ["db"], False),
        ("db:3", ["db:2"], True),
        ("db:3", ["db:2", "db:3"], False),
    ],
)
def test_the_smallest_number_anybody_names_counts(lock, holders, free):
    held = {str(n): name_and_places(other)[1] for n, other in enumerate(holders)}
    assert has_room(name_and_places(lock)[1], held) is free


def manual(cluster, name, *locks, overlap="queue_all", **fields):
    return cluster.add_job(name, "@manual", locks=locks, overlap=overlap, **fields)


def ask(cluster, job, key="k"):
    """Ask for a run a millisecond after the last one."""
    cluster.now += timedelta(milliseconds=1)
    return cluster.trigger(job, key=key)


def in_hand(cluster):
    return {run.job for run in cluster.open_runs() if run.is_active}


def let_end(cluster, name):
    cluster.claim_all()
    (run,) = [run for run in cluster.open_runs() if run.job == name and run.is_active]
    cluster.finish(run)
    cluster.decide()


def test_jobs_that_name_the_same_lock_run_one_after_another_in_the_order_asked():
    cluster = Cluster()
    jobs = [manual(cluster, name, "db") for name in "abc"]
    for job in jobs:
        ask(cluster, job)
    seen = []
    for _ in jobs:
        cluster.decide()
        (name,) = in_hand(cluster)
        seen.append(name)
        let_end(cluster, name)
    assert seen == ["a", "b", "c"]


def test_a_semaphore_lets_so_many_in():
    cluster = Cluster()
    job = manual(cluster, "a", "db:2", overlap="allow")
    for key in "123":
        ask(cluster, job, key)
    cluster.decide()
    assert len([run for run in cluster.open_runs() if run.is_active]) == 2


def test_a_later_run_that_needs_less_does_not_overtake_one_that_waits():
    cluster = Cluster()
    ask(cluster, manual(cluster, "holder", "x"))
    cluster.decide()
    ask(cluster, manual(cluster, "both", "x", "y"))
    ask(cluster, manual(cluster, "late", "y"))
    cluster.decide()
    assert in_hand(cluster) == {"holder"}
    let_end(cluster, "holder")
    assert in_hand(cluster) == {"both"}
    let_end(cluster, "both")
    assert in_hand(cluster) == {"late"}


def test_a_run_that_no_node_can_take_holds_no_lock():
    cluster = Cluster()
    ask(cluster, manual(cluster, "nowhere", "db", target=Target(nodes=("n9",))))
    ask(cluster, manual(cluster, "other", "db"))
    cluster.decide()
    assert in_hand(cluster) == {"other"}


@pytest.mark.parametrize(
    ("overlap", "outcome"),
    [
        ("skip", "skipped lock_held"),
        ("queue_one", "pending lock_held"),
        ("queue_all", "pending lock_held"),
        ("replace", "pending lock_held"),
        ("allow", "pending lock_held"),
    ],
)
def test_a_tick_whose_lock_is_held_waits_or_is_skipped_as_its_overlap_policy_says(overlap, outcome):
    cluster = Cluster()
    ask(cluster, manual(cluster, "holder", "db"))
    cluster.decide()
    cluster.claim_all()
    cluster.add_job("tick", "1 12 * * *", locks=("db",), overlap=overlap)
    cluster.run_until(at(60))
    rows = [r for r in (*cluster.rows, *cluster.open_runs()) if r.job == "tick"]
    assert [f"{row.state} {row.reason}" for row in rows] == [outcome]
    let_end(cluster, "holder")
    assert in_hand(cluster) == (set() if overlap == "skip" else {"tick"})


def test_a_lock_is_free_again_when_its_holder_is_lost_and_held_when_it_is_moved():
    cluster = Cluster("n1", "n2", "n3")
    ask(cluster, manual(cluster, "holder", "db"))
    ask(cluster, manual(cluster, "next", "db"))
    cluster.decide()
    (run,) = [run for run in cluster.open_runs() if run.is_active]
    cluster.silent = {run.node: 10}
    cluster.decide()
    assert in_hand(cluster) == {"holder"}
    cluster.silent = {}
    (run,) = cluster.claim_all()
    cluster.silent = {run.node: 100}
    cluster.decide()
    assert in_hand(cluster) == {"next"}


def test_a_plan_that_was_overtaken_cannot_give_a_held_lock_away():
    cluster = Cluster()
    first = ask(cluster, manual(cluster, "first", "db"))
    second = ask(cluster, manual(cluster, "second", "db"))
    for run in (first, second):
        assignment = Assignment(run_id=run.id, attempt=1, node="n2")
        cluster.do(AssignRuns(at=cluster.now, term=1, assignments=(assignment,)))
    assert in_hand(cluster) == {"first"}


def test_a_tick_decided_on_an_old_view_of_the_locks_waits():
    cluster = Cluster()
    cluster.add_job("tick", "1 12 * * *", locks=("db",))
    holder = manual(cluster, "holder", "db")
    cluster.now = at(60)
    old = cluster.plan()
    cluster.trigger(holder)
    for command in (*cluster.plan().commands[:1], *old.commands):
        cluster.do(command)
    waiting = [run for run in cluster.open_runs() if run.job == "tick"]
    assert [(run.node, run.reason) for run in waiting] == [(None, "lock_held")]


LOCKS = st.lists(st.sampled_from(["x", "y", "z:2"]), min_size=1, max_size=3, unique=True)


@settings(max_examples=60, deadline=None)
@given(wanted=st.lists(LOCKS, min_size=1, max_size=8), data=st.data())
def test_whatever_locks_runs_need_all_of_them_get_their_turn(wanted, data):
    cluster = Cluster()
    for number, locks in enumerate(wanted):
        ask(cluster, manual(cluster, f"j{number}", *locks))
    for _ in wanted:
        cluster.decide()
        names = sorted(in_hand(cluster))
        assert names, "somebody always runs"
        let_end(cluster, data.draw(st.sampled_from(names)))
    assert not cluster.open_runs()
