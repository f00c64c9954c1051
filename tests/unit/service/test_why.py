"""One test per state and per reason of the contract: `why` tells it, and the rule that made it so."""

from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOON, at, node
from questions import Inquiry, launched, rules_of, text_of

from croncord.calendars import read_calendar
from croncord.lifecycle import Reason, RunState
from croncord.model import Dependency, Limits, Misfire, Retries, Target
from croncord.raft.commands import (
    DeleteJob,
    PauseCluster,
    PauseJob,
    PutCalendar,
    PutNode,
    RequestKill,
)
from croncord.story import REASONS

# States


async def test_a_tick_that_succeeded_is_told_from_decision_to_end():
    cluster, run = launched()
    cluster.term = 7
    cluster.now = at(65)
    cluster.finish(run)
    told = await cluster.why(at(60))
    assert (told["kind"], told["tick"], told["reason"]) == (
        "row",
        "2026-11-24T12:01:00.000Z",
        None,
    )
    assert told["summary"] == "It succeeded, with exit status 0."
    texts = [sentence["text"] for sentence in told["sentences"]]
    assert texts == [
        "The schedule made it due, at 2026-11-24 12:01:00 UTC.",
        "The leader n1 decided to launch it.",
        f"The leader n1 gave it to {run.node}.",
        f"{run.node} took it, and the cluster agreed.",
        f"The script started on {run.node}.",
        "It succeeded, with exit status 0.",
    ]
    decided = told["sentences"][1]
    assert (decided["node"], decided["term"]) == ("n1", 1)
    assert decided["at"] <= told["tick"]
    assert told["runs"][0]["id"] == run.id


async def test_a_tick_that_failed_tells_the_exit_status():
    cluster, run = launched()
    cluster.finish(run, RunState.FAILED)
    assert (await cluster.why(at(60)))["summary"] == "It failed with exit status 1."


async def test_a_tick_that_is_running_names_the_node():
    cluster, run = launched()
    told = await cluster.why(at(60))
    assert told["summary"] == f"It is running on {run.node} now."
    assert f"Run {run.id} is running on {run.node}" in told["now"][0]["text"]


async def test_a_pending_tick_says_what_it_waits_for():
    cluster = Inquiry()
    cluster.add_job(target=Target(labels={"gpu": "yes"}))
    cluster.run_until(at(60))
    told = await cluster.why(at(60))
    assert told["runs"][0]["state"] == "pending"
    assert told["reason"] == "no_target"
    assert told["summary"] == "It waits: no node of the cluster matches the job's target."


async def test_an_assigned_tick_waits_for_its_node():
    cluster = Inquiry()
    cluster.add_job()
    cluster.run_until(at(59.5))
    told = await cluster.why(at(60))
    run = told["runs"][0]
    assert told["summary"] == (
        f"It waits for {run['node']} to take it, not before 2026-11-24 12:01:00 UTC."
    )


async def test_every_attempt_of_a_retried_tick_is_told():
    cluster, run = launched(retries=Retries(count=1, delay_seconds=5))
    cluster.finish(run, RunState.FAILED)
    cluster.run_until(at(70))
    (again,) = cluster.claim_all()
    cluster.finish(again)
    told = await cluster.why(at(60))
    assert f"Attempt 1 on {run.node} failed with exit status 1. A further" in text_of(told)
    assert "retries" in rules_of(told)
    assert told["summary"] == "It succeeded, with exit status 0."


async def test_a_failure_that_a_pause_kept_from_being_tried_again_says_so():
    cluster, run = launched(retries=Retries(count=3, delay_seconds=50))
    cluster.finish(run, RunState.FAILED)
    cluster.do(PauseJob(at=at(70), by="user:ada", job_id=run.job_id, paused=True))
    told = await cluster.why(at(60))
    assert told["summary"] == (
        "It failed with exit status 1 (no further attempt was made: paused)."
    )


def test_every_reason_has_a_test_that_names_it():
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_why*.py"))
    missing = [r for r in Reason if f'"{r}"' not in text and f"Reason.{r.name}" not in text]
    assert missing == []


# Reasons


async def reason_told(cluster, reason, rule, when=NOON + timedelta(seconds=60), job="job"):
    told = await cluster.why(when, job)
    assert told["reason"] == reason
    assert REASONS[Reason(reason)](None).split(";")[0].split(" passed")[0][:20] in text_of(told)
    assert rule in rules_of(told)
    return told


async def test_overlap_names_the_run_that_was_in_hand():
    cluster, run = launched()
    cluster.run_until(at(120))
    told = await reason_told(cluster, "overlap", "overlap", at(120))
    assert f"run {run.id} was in hand" in told["summary"]


async def test_paused_tells_who_paused():
    cluster = Inquiry()
    job = cluster.add_job()
    cluster.do(PauseJob(at=NOON, by="user:ada", job_id=job.id, paused=True))
    cluster.run_until(at(61))
    told = await reason_told(cluster, "paused", "paused")
    assert told["now"][0]["text"].startswith("The job is paused by user:ada since 2026-11-24 12:00")
    assert told["next"]["text"] == "No run will start by itself."


async def test_a_pause_after_the_decision_names_the_person_who_ended_it():
    cluster = Inquiry()
    job = cluster.add_job()
    cluster.run_until(at(59.5))
    cluster.do(PauseJob(at=at(59.6), by="user:ada", job_id=job.id, paused=True))
    told = await reason_told(cluster, "paused", "paused")
    assert told["summary"] == "It was skipped by user:ada: the job was paused."


async def test_cluster_paused():
    cluster = Inquiry()
    cluster.add_job()
    cluster.do(PauseCluster(at=NOON, paused=True))
    cluster.run_until(at(61))
    told = await reason_told(cluster, "cluster_paused", "cluster pause")
    assert told["now"][0]["text"] == "The cluster is paused."


async def test_queue_full():
    cluster, _ = launched(overlap="queue_one")
    cluster.run_until(at(181))
    await reason_told(cluster, "queue_full", "overlap", at(180))


async def test_replaced():
    cluster, _ = launched(overlap="replace")
    cluster.run_until(at(181))
    await reason_told(cluster, "replaced", "overlap", at(120))


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("skip", "misfire is skip, so nothing is caught up"),
        ("run_once", "misfire is run_once, so only the newest missed tick within"),
        ("run_all", "misfire is run_all, so ticks within 100 s are caught up and no others"),
    ],
)
async def test_late_tells_the_misfire_policy(policy, sentence):
    cluster = Inquiry()
    cluster.add_job(misfire=Misfire(policy=policy, window_seconds=100))
    cluster.now = at(300)
    cluster.decide()
    told = await reason_told(cluster, "late", "misfire")
    assert sentence in told["summary"]


async def test_no_quorum():
    cluster = Inquiry()
    cluster.add_job(misfire=Misfire(policy="skip"))
    cluster.now = cluster.led_since = at(300)
    cluster.decide()
    await reason_told(cluster, "no_quorum", "misfire")


async def test_a_tick_that_was_caught_up_says_how_late_and_why():
    cluster = Inquiry()
    cluster.add_job()
    cluster.now = at(130)
    cluster.add_job("other", "@manual")
    cluster.now = at(165)
    cluster.decide()
    told = await cluster.why(at(120))
    assert "45 s late, because misfire is run_once" in text_of(told)


async def test_no_target_when_the_window_ended():
    cluster = Inquiry()
    cluster.add_job(
        schedule="1 12 * * *", target=Target(nodes=("n9",)), misfire=Misfire(window_seconds=60)
    )
    cluster.run_until(at(130))
    told = await reason_told(cluster, "no_target", "target")
    assert told["runs"][0]["state"] == "missed"
    assert told["next"]["placement"]["text"] == "0 of 3 nodes match now"


async def test_no_capacity():
    cluster = Inquiry("n1", "n2")
    for name in ("n1", "n2"):
        cluster.do(PutNode(at=NOON, node=node(name, max_runs=1)))
    hog = cluster.add_job("hog", "@manual", overlap="allow")
    for key in "ab":
        cluster.trigger(hog, key=key)
    cluster.add_job(schedule="1 12 * * *", misfire=Misfire(window_seconds=60))
    cluster.run_until(at(130))
    await reason_told(cluster, "no_capacity", "max_runs of the nodes")


async def test_limit_unsupported():
    cluster = Inquiry("n1", "n2")
    cluster.add_job(
        schedule="1 12 * * *",
        limits=Limits(cpu_percent=50),
        misfire=Misfire(window_seconds=60),
    )
    cluster.run_until(at(130))
    told = await reason_told(cluster, "limit_unsupported", "limits.cpu_percent")
    assert told["runs"][0]["state"] == "missed"


async def test_node_down_for_the_row_of_a_node_that_is_silent():
    cluster = Inquiry("n1", "n2")
    cluster.add_job(target=Target(every_node=True))
    cluster.silent = {"n2": 10}
    cluster.run_until(at(61))
    told = await reason_told(cluster, "node_down", "node silence")
    assert told["summary"] == "2 rows: 1 pending, 1 missed."
    assert "for n2 (part 2 of 2)" in text_of(told)


async def test_node_down_for_a_run_that_was_lost():
    cluster, run = launched()
    cluster.silent = {run.node: 100}
    cluster.decide()
    told = await reason_told(cluster, "node_down", "node silence")
    assert "lost: it may or may not have finished" in told["summary"]


@pytest.mark.parametrize(
    ("state", "reason", "rule"),
    [
        (RunState.LOST, Reason.NODE_RESTARTED, "delivery"),
        (RunState.FAILED, Reason.START_FAILED, None),
        (RunState.FAILED, Reason.LIMIT_MEMORY, "limits.memory_bytes"),
        (RunState.KILLED, Reason.LIMIT_LOG, "limits.log_bytes"),
        (RunState.FAILED, Reason.LIMIT_PROCESSES, "limits.processes"),
        (RunState.LOST, Reason.RUNNER_KILLED, None),
        (RunState.TIMED_OUT, Reason.TIMEOUT, "timeout_seconds"),
        (RunState.TIMED_OUT, None, "timeout_seconds"),
        (RunState.KILLED, Reason.EXPIRED, "misfire"),
    ],
)
async def test_what_a_node_reports_is_told(state, reason, rule):
    cluster, run = launched(timeout_seconds=30)
    cluster.finish(run, state, reason=reason, detail="what the node saw")
    told = await reason_told(cluster, reason or "timeout", rule)
    assert "(what the node saw)" in told["summary"]


async def test_requested_names_who_asked_for_the_end():
    cluster, run = launched()
    cluster.do(RequestKill(at=at(61), by="user:ada", run_id=run.id))
    cluster.finish(run, RunState.KILLED)
    told = await reason_told(cluster, "requested", "requested")
    assert "user:ada asked for its end." in text_of(told)


async def test_deleted():
    cluster = Inquiry()
    job = cluster.add_job()
    cluster.run_until(at(59.5))
    kept = cluster.state.jobs[job.id]
    cluster.do(DeleteJob(at=at(59.6), by="user:ada", job_id=job.id))
    cluster.state.put_job(kept)
    await reason_told(cluster, "deleted", None)


async def test_calendar_names_the_calendar():
    cluster = Inquiry()
    spec = read_calendar({"name": "lunch", "times": ["12:00-12:30"]})
    cluster.do(PutCalendar(at=NOON, calendar=spec))
    cluster.add_job(calendars=("lunch",))
    cluster.run_until(at(61))
    told = await reason_told(cluster, "calendar", "calendars")
    assert "(the calendar lunch)" in told["summary"]
    assert told["next"]["at"] == "2026-11-24T12:30:00.000Z"


@pytest.mark.parametrize("overlap", ["skip", "queue_one"])
async def test_lock_held_names_the_lock_and_its_holder(overlap):
    cluster = Inquiry()
    other = cluster.add_job("other", "@manual", locks=("db",))
    held = cluster.trigger(other)
    cluster.add_job(locks=("db",), overlap=overlap)
    cluster.run_until(at(60))
    told = await reason_told(cluster, "lock_held", "locks")
    assert f"the lock db is held by run {held.id}" in told["summary"]
    waits = f"waits: the lock db is held by run {held.id}."
    assert (waits in told["now"][0]["text"]) == (overlap != "skip")


async def test_dependency_failed_names_the_run_that_failed():
    cluster = Inquiry()
    cluster.add_job("first", "1 12 * * *")
    cluster.add_job("job", "@manual", after=(Dependency(job="first"),))
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    cluster.finish(run, RunState.FAILED)
    told = await reason_told(cluster, "dependency_failed", "after")
    assert f"(run {run.id} of first ended as failed)" in told["summary"]
    assert told["now"][0]["text"] == "It runs when a run of first ends."
