"""What a node does with the runs that are its own: claim, start, end, report."""

from datetime import timedelta

import pytest

from croncord.lifecycle import Reason, RunState
from croncord.node.scripted import Play, ScriptedMachine
from croncord.ports import LogKey
from croncord.raft.commands import ClaimRuns, FinishRuns, TriggerRun


async def test_an_assigned_run_is_claimed_started_and_reported(world):
    run_id = await world.trigger(Play(seconds=3, exit_code=0, output=b"one\ntwo\n"))
    await world.pass_time(1)
    assert world.run(run_id).state is RunState.RUNNING
    await world.pass_time(3)
    run = world.run(run_id)
    assert (run.state, run.exit_code, run.excerpt) == (RunState.SUCCEEDED, 0, "one\ntwo")
    assert (run.finished_at - run.started_at).total_seconds() == 3
    assert run.log.complete
    assert world.machine.parts == {}, "nothing is kept of what is agreed"
    assert world.journal.keys() == []


@pytest.mark.parametrize(
    ("play", "spec", "state", "reason"),
    [
        (Play(exit_code=3), {}, RunState.FAILED, None),
        (Play(start_error="no bash"), {}, RunState.FAILED, Reason.START_FAILED),
        (Play(seconds=9), {"timeout_seconds": 2}, RunState.TIMED_OUT, Reason.TIMEOUT),
    ],
)
async def test_an_end_is_told_as_it_was(world, play, spec, state, reason):
    await world.job(**spec)
    run_id = await world.trigger(play)
    await world.pass_time(4)
    run = world.run(run_id)
    assert (run.state, run.reason) == (state, reason)
    assert run.detail == play.start_error


async def test_a_run_of_another_node_is_left_alone(world):
    run_id = await world.trigger(node="n2")
    await world.pass_time(5)
    assert world.run(run_id).state is RunState.PENDING
    assert world.machine.starts == []


async def test_a_run_starts_when_it_is_due_by_the_leaders_clock_and_is_claimed_just_before(world):
    world.offset_ms = 30_000  # this node's clock shows half a minute too much
    run_id = await world.trigger(due_in=-30 + 10)
    await world.pass_time(7.5)
    assert world.run(run_id).state is RunState.PENDING, "it can still be called off"
    await world.pass_time(1)
    assert world.run(run_id).state is RunState.RUNNING
    assert world.machine.starts == []
    await world.pass_time(2)
    run = world.run(run_id)
    assert run.state is RunState.SUCCEEDED
    assert timedelta(0) <= run.started_at - run.due_at < timedelta(seconds=1)
    assert run.claimed_at < run.due_at


async def test_what_arrives_while_a_claim_is_under_way_goes_into_one_next_claim(world):
    run_ids = [await world.trigger() for _ in range(20)]
    await world.pass_time(1)
    assert {world.run(run_id).state for run_id in run_ids[-5:]} == {RunState.SUCCEEDED}
    assert len(world.commands(ClaimRuns)) <= 3
    assert len(world.commands(FinishRuns)) <= 3


@pytest.mark.parametrize("weather", [["lost"], ["unknown"], ["lost", "unknown", "lost"]])
async def test_a_claim_or_result_that_gets_lost_is_repeated_and_nothing_starts_twice(
    world, weather
):
    world.replica.weather = [*weather, "fine", *weather]
    run_id = await world.trigger(Play(seconds=1))
    await world.pass_time(20)
    assert world.run(run_id).state is RunState.SUCCEEDED
    assert world.machine.starts == [LogKey(run_id, 1)]


async def test_without_a_majority_nothing_starts(world):
    run_id = await world.trigger()
    world.replica.no_leader = True
    await world.pass_time(30)
    assert world.machine.starts == []
    world.replica.no_leader = False
    await world.pass_time(2)
    assert world.run(run_id).state is RunState.SUCCEEDED


async def test_a_kill_is_carried_out_reported_and_confirmed(world):
    run_id = await world.trigger(Play(seconds=60, term_seconds=2))
    await world.pass_time(1)
    await world.kill(run_id)
    await world.pass_time(1)
    run = world.run(run_id)
    assert run.state is RunState.RUNNING
    assert run.kill.signalled_at is not None
    await world.pass_time(2)
    run = world.run(run_id)
    assert (run.state, run.reason) == (RunState.KILLED, Reason.REQUESTED)
    assert run.kill.confirmed_at is not None


async def test_a_kill_reaches_a_run_that_is_claimed_and_not_started(world):
    run_id = await world.trigger(due_in=1.5)
    await world.pass_time(0.5)
    assert world.run(run_id).state is RunState.RUNNING
    await world.kill(run_id)
    await world.pass_time(3)
    run = world.run(run_id)
    assert (run.state, run.started_at) == (RunState.KILLED, None)
    assert world.machine.starts == []


async def test_a_kill_report_that_gets_lost_is_repeated(world):
    run_id = await world.trigger(Play(seconds=60, term_seconds=5))
    await world.pass_time(1)
    world.replica.weather = ["lost", "unknown"]
    await world.kill(run_id, grace_seconds=60)
    await world.pass_time(3)
    assert world.run(run_id).kill.signalled_at is not None


async def test_a_run_whose_job_changed_runs_as_it_was_decided(world):
    run_id = await world.trigger(due_in=5)
    await world.job(script="false")
    seen = []
    launch = ScriptedMachine.start
    world.machine.start = lambda request: (seen.append(request), launch(world.machine, request))
    await world.pass_time(7)
    assert world.run(run_id).state is RunState.SUCCEEDED
    assert seen[0].script == b"true"


async def test_a_script_finds_its_run_in_its_environment(world):
    await world.job(environment={"A": "job", "B": "job", "CRONCORD_NODE": "forged"})
    seen = []
    launch = ScriptedMachine.start
    world.machine.start = lambda request: (seen.append(request), launch(world.machine, request))
    await world.replica.propose(
        TriggerRun(at=world.now, job_id="j", run_id="r9", environment={"B": "run"})
    )
    await world.assign("r9")
    await world.pass_time(1)
    assert seen[0].environment == {
        "A": "job",
        "B": "run",
        "CRONCORD_JOB": "job",
        "CRONCORD_JOB_ID": "j",
        "CRONCORD_RUN_ID": "r9",
        "CRONCORD_NOMINAL_TIME": "2026-03-01T12:00:00.000Z",
        "CRONCORD_ATTEMPT": "1",
        "CRONCORD_TRIGGER": "manual",
        "CRONCORD_NODE": "n1",
        "CRONCORD_FENCE": "1",
        "CRONCORD_SHARD_INDEX": "0",
        "CRONCORD_SHARD_COUNT": "1",
    }
