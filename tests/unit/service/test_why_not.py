"""`why` for ticks that the schedule never had, for those to come, and for what keeps a job from running."""

from datetime import UTC, datetime

import pytest
from builders import NOON, at, node
from questions import Inquiry, launched, rules_of, text_of

from croncord.errors import Invalid, NotFound
from croncord.lifecycle import RunState
from croncord.model import Dependency, Retries, Target
from croncord.raft.commands import (
    DrainNode,
    PutNode,
)

# Ticks that the schedule never had


BERLIN = {"timezone": "Europe/Berlin", "schedule": "30 2 * * *"}


async def test_a_skipped_wall_time_is_dst_gap():
    cluster = Inquiry(now=datetime(2026, 3, 28, tzinfo=UTC))
    cluster.add_job(**BERLIN, dst="skip")
    cluster.run_until(datetime(2026, 3, 28, 12, tzinfo=UTC))
    told = await cluster.why("2026-03-29T02:30")
    assert (told["kind"], told["reason"]) == ("clock_change", "dst_gap")
    assert told["summary"] == (
        "Sun 29 Mar 2026: 02:30 does not exist in Europe/Berlin: that run is left out."
    )
    assert rules_of(told) == {"dst skip"}


async def test_a_skipped_wall_time_that_ran_at_the_change_tells_its_row():
    cluster = Inquiry(now=datetime(2026, 3, 29, tzinfo=UTC))
    cluster.add_job(**BERLIN, dst="once")
    cluster.run_until(datetime(2026, 3, 29, 1, tzinfo=UTC))
    (run,) = cluster.claim_all()
    cluster.finish(run)
    told = await cluster.why("2026-03-29T02:30")
    assert (told["kind"], told["reason"]) == ("clock_change", "dst_gap")
    assert [row["id"] for row in told["runs"]] == [run.id]
    assert told["summary"] == "It succeeded, with exit status 0."


async def test_a_repeated_wall_time_is_dst_repeat():
    cluster = Inquiry(now=datetime(2026, 10, 24, 12, tzinfo=UTC))
    cluster.add_job(**BERLIN, dst="once")
    first = await cluster.why("2026-10-25T00:30:00Z")
    second = await cluster.why("2026-10-25T01:30:00Z")
    assert (first["kind"], first["reason"]) == ("future", None)
    assert (second["kind"], second["reason"]) == ("clock_change", "dst_repeat")
    assert "runs once, the first time (CEST)" in second["summary"]


async def test_a_time_between_ticks_names_its_neighbours():
    cluster = Inquiry()
    cluster.add_job(schedule="*/5 * * * *")
    cluster.run_until(at(301))
    told = await cluster.why(at(390))
    assert told["sentences"][0]["text"] == (
        "The schedule has no tick at 2026-11-24 12:06:30 UTC: the last before it is "
        "2026-11-24 12:05:00 UTC and the next is 2026-11-24 12:10:00 UTC. "
        "The nearest is 2026-11-24 12:05:00 UTC."
    )
    assert told["kind"] == "row"


async def test_a_tick_to_come_is_said_to_be_in_the_future():
    cluster = Inquiry("n1", "n2", "n3")
    cluster.add_job()
    cluster.do(DrainNode(at=NOON, name="n2", draining=True))
    told = await cluster.why(at(600))
    assert told["kind"] == "future"
    assert told["next"]["at"] == "2026-11-24T12:01:00.000Z"
    assert told["next"]["text"] == (
        "The next tick is 2026-11-24 12:01:00 UTC, on one of (target.strategy least_loaded) "
        "n1, n3; 3 of 3 nodes match now, 2 of them can take a run."
    )


async def test_a_tick_before_the_job_existed():
    cluster = Inquiry()
    cluster.add_job()
    assert (await cluster.why(at(-600)))["kind"] == "before_creation"


async def test_a_tick_before_the_schedule_was_changed():
    cluster = Inquiry()
    cluster.add_job(schedule="0 13 * * *")
    cluster.now = at(600)
    cluster.add_job(schedule="* * * * *")
    cluster.state.versions["id-job"] = cluster.state.versions["id-job"][1:]
    assert (await cluster.why(at(300)))["kind"] == "before_edit"


async def test_a_tick_that_is_due_and_undecided_is_not_called_missed():
    cluster = Inquiry()
    cluster.add_job()
    cluster.now = at(300)
    cluster.replica.quorum = False
    told = await cluster.why(at(120))
    assert told["kind"] == "undecided"
    assert told["now"][0]["text"] == "No leader has a majority, so nothing is launched."


async def test_a_tick_that_the_ledger_keeps_no_more():
    cluster, run = launched(overlap="allow")
    cluster.finish(run)
    cluster.run_until(at(600))
    cluster.state.recent.clear()
    cluster.rows.clear()
    for row in cluster.open_runs():
        cluster.state.close_run(row)
    cluster.state.recent.clear()
    assert (await cluster.why(at(60)))["kind"] == "forgotten"


# Now


async def test_a_manual_job_says_that_it_waits_to_be_asked():
    cluster = Inquiry()
    cluster.add_job(schedule="@manual")
    told = await cluster.why()
    assert told["kind"] == "none"
    assert told["now"][0]["text"].startswith("The job has no schedule")


async def test_a_job_that_is_not_due_says_when_it_is():
    cluster = Inquiry()
    cluster.add_job(schedule="0 13 * * *")
    told = await cluster.why()
    assert told["now"][0]["text"] == (
        "Nothing is due now: the next tick is 2026-11-24 13:00:00 UTC, in 60 min."
    )


async def test_a_retry_that_waits_is_named():
    cluster, run = launched(retries=Retries(count=1, delay_seconds=50))
    cluster.finish(run, RunState.FAILED)
    told = await cluster.why()
    assert told["now"][0]["text"].startswith(f"Attempt 2 of run {run.id} waits until")
    assert told["now"][0]["rule"] == "retries"


async def test_a_run_asked_for_by_hand_names_who_asked():
    cluster = Inquiry()
    job = cluster.add_job(schedule="@manual")
    cluster.trigger(job)
    told = await cluster.why()
    assert "user:ada asked for it." in text_of(told)


async def test_without_a_time_the_last_row_is_told_even_when_the_next_tick_is_nearer():
    cluster, run = launched()
    cluster.finish(run)
    cluster.now = at(118)
    told = await cluster.why()
    assert (told["kind"], told["runs"][0]["id"]) == ("row", run.id)
    assert told["sentences"][0]["text"].startswith("The schedule made it due")


async def test_a_run_after_another_tells_what_it_follows_from():
    cluster = Inquiry()
    cluster.add_job("first", "1 12 * * *")
    cluster.add_job("job", "@manual", after=(Dependency(job="first"),))
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    cluster.finish(run)
    cluster.decide()
    told = await cluster.why()
    assert f"It follows from the end of run {run.id}, as the cluster recorded" in text_of(told)
    assert "The leader n1 gave it to" in text_of(told)


async def test_a_run_on_a_node_that_joined_says_so():
    cluster = Inquiry()
    cluster.add_job(schedule="@manual", target=Target(on_join=True))
    cluster.do(PutNode(at=at(5), node=node("n9")))
    told = await cluster.why()
    assert "n9 joined the cluster" in text_of(told)


async def test_a_time_that_is_none_and_a_job_that_is_not_there_are_told():
    cluster = Inquiry()
    cluster.add_job()
    with pytest.raises(Invalid):
        await cluster.why("yesterday")
    with pytest.raises(NotFound):
        await cluster.why("", job="nope")
