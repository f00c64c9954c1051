"""Why is it not running now? One sentence per rule, for runs that nobody's clock starts."""

import pytest
from builders import NOON, at, node
from questions import Inquiry

from croncord.calendars import read_calendar
from croncord.lifecycle import RunState
from croncord.model import Dependency, Retries, Target
from croncord.raft.commands import Backfill, DrainNode, PutCalendar, PutNode
from croncord.service.waiting import waits_for


def told(cluster, run):
    """Return what the run waits for, by text and rule."""
    answer = waits_for(cluster.state, cluster.state.open_runs[run.id], cluster.now, "n1")
    return answer.text.partition(f"{run.id}, ")[2] or answer.text.partition(f"{run.id} ")[2], (
        answer.rule
    )


def test_a_run_asked_for_by_hand_waits_for_its_turn():
    cluster = Inquiry()
    job = cluster.add_job(schedule="@manual", overlap="queue_all")
    first = cluster.trigger(job, key="a")
    cluster.decide()
    second = cluster.trigger(job, key="b")
    cluster.decide()
    node_name = cluster.state.open_runs[first.id].node
    text = f"waits for its turn: run {first.id} is about to start on {node_name}."
    assert told(cluster, second) == (f"asked for by hand, {text}", "overlap queue_all")
    cluster.claim_all()
    assert "is running on" in told(cluster, second)[0]


def test_a_run_asked_for_by_hand_waits_for_a_lock():
    cluster = Inquiry()
    other = cluster.add_job("other", "@manual", locks=("db",))
    held = cluster.trigger(other)
    cluster.decide()
    job = cluster.add_job(schedule="@manual", locks=("db",), overlap="queue_all")
    run = cluster.trigger(job)
    cluster.decide()
    text = f"asked for by hand, waits: the lock db is held by run {held.id}."
    assert told(cluster, run) == (text, "locks")


@pytest.mark.parametrize(
    ("nodes", "text", "rule"),
    [
        ("none match", "no node of the cluster matches the job's target", "target"),
        ("all drain", "no matching node answered, or the node that had it", "node silence"),
        ("all full", "every matching node had as many runs", "max_runs of the nodes"),
    ],
)
def test_a_run_asked_for_by_hand_waits_for_a_node(nodes, text, rule):
    cluster = Inquiry("n1", "n2")
    target = Target(nodes=("n9",)) if nodes == "none match" else Target()
    if nodes == "all full":
        for name in ("n1", "n2"):
            cluster.do(PutNode(at=NOON, node=node(name, max_runs=1)))
        hog = cluster.add_job("hog", "@manual", overlap="allow")
        for key in "ab":
            cluster.trigger(hog, key=key)
            cluster.decide()
    if nodes == "all drain":
        for name in ("n1", "n2"):
            cluster.do(DrainNode(at=NOON, name=name, draining=True))
    job = cluster.add_job(schedule="@manual", target=target)
    run = cluster.trigger(job)
    cluster.decide()
    said, by = told(cluster, run)
    assert said.startswith(f"asked for by hand, waits: {text}")
    assert by == rule


def test_a_backfill_waits_for_its_own_runs():
    cluster = Inquiry()
    job = cluster.add_job()
    ticks = tuple(at(-60 * n) for n in (1, 2, 3))
    cluster.do(Backfill(at=NOON, job_id=job.id, backfill_id="b", ticks=ticks, max_parallel=2))
    cluster.decide()
    (last,) = [run for run in cluster.open_runs() if run.node is None]
    text = "of a backfill, waits: backfill b has 2 of 2 runs in hand."
    assert told(cluster, last) == (text, "max_parallel")


def test_a_run_after_another_says_after_which_it_waits():
    cluster = Inquiry()
    cluster.add_job("first", "1 12 * * *")
    held = cluster.trigger(cluster.add_job("hog", "@manual", locks=("db",)))
    cluster.add_job("job", "@manual", after=(Dependency(job="first"),), locks=("db",))
    cluster.run_until(at(60))
    first = next(run for run in cluster.claim_all() if run.job == "first")
    cluster.finish(first)
    (run,) = [run for run in cluster.open_runs() if run.upstream]
    text = f"after run {first.id}, waits: the lock db is held by run {held.id}."
    assert told(cluster, run) == (text, "locks")


def test_a_retry_waits_for_its_delay():
    cluster = Inquiry()
    job = cluster.add_job(schedule="@manual", retries=Retries(count=1, delay_seconds=50))
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.claim_all()
    cluster.finish(run, RunState.FAILED)
    text = "asked for by hand, waits until 2026-11-24 12:00:50 UTC."
    assert told(cluster, run) == (text, "retries")


def test_what_has_a_node_waits_for_that_node():
    cluster = Inquiry()
    run = cluster.trigger(cluster.add_job(schedule="@manual"))
    assert told(cluster, run)[0].endswith("waits for the leader to give it to a node.")
    cluster.decide()
    named = cluster.state.open_runs[run.id].node
    assert f"waits for {named} to start it at" in told(cluster, run)[0]


async def test_calendars_do_not_hold_back_what_is_asked_for_by_hand():
    cluster = Inquiry()
    closed = read_calendar({"name": "always", "times": ["00:00-24:00"]})
    cluster.do(PutCalendar(at=NOON, calendar=closed))
    run = cluster.trigger(cluster.add_job(calendars=("always",)))
    cluster.decide()
    assert cluster.state.open_runs[run.id].node is not None


async def test_why_tells_it_too():
    cluster = Inquiry()
    job = cluster.add_job(schedule="@manual", overlap="queue_all")
    first = cluster.trigger(job, key="a")
    cluster.decide()
    cluster.trigger(job, key="b")
    cluster.decide()
    now = (await cluster.why())["now"]
    assert any(f"waits for its turn: run {first.id}" in sentence["text"] for sentence in now)
