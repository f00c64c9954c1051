"""What a node does after a crash, after silence, and when it cannot make notes."""

import asyncio

import pytest
from msgspec import structs

from croncord.lifecycle import Reason, RunState
from croncord.model import Misfire
from croncord.node.agent_journal import Note
from croncord.node.scripted import Play
from croncord.ports import LogKey


async def test_a_result_waits_for_a_majority_even_over_a_restart(world):
    run_id = await world.trigger(Play(seconds=1, exit_code=4))
    await world.pass_time(0.5)
    world.replica.no_leader = True
    await world.pass_time(30)
    assert world.run(run_id).state is RunState.RUNNING
    await world.crash()
    world.boot()
    await world.pass_time(5)
    world.replica.no_leader = False
    await world.pass_time(10)
    assert (world.run(run_id).state, world.run(run_id).exit_code) == (RunState.FAILED, 4)
    assert world.machine.starts == [LogKey(run_id, 1)]


async def test_a_kill_is_carried_out_after_a_restart(world):
    run_id = await world.trigger(Play(seconds=60))
    await world.pass_time(1)
    await world.crash()
    await world.kill(run_id)
    world.boot()
    await world.pass_time(1)
    assert world.run(run_id).state is RunState.KILLED


async def test_a_kill_that_was_agreed_needs_no_majority_to_be_carried_out_after_a_restart(world):
    run_id = await world.trigger(Play(seconds=60))
    await world.pass_time(1)
    await world.crash()
    await world.kill(run_id)
    world.replica.no_leader = True
    world.boot()
    await world.pass_time(5)
    assert world.machine.running() == []
    world.replica.no_leader = False
    await world.pass_time(10)
    assert world.run(run_id).state is RunState.KILLED


async def test_a_running_script_is_adopted_after_a_restart(world):
    run_id = await world.trigger(Play(seconds=10, exit_code=7))
    await world.pass_time(2)
    await world.crash()
    await world.pass_time(2)
    world.boot()
    await world.pass_time(8)
    assert (world.run(run_id).state, world.run(run_id).exit_code) == (RunState.FAILED, 7)
    assert world.machine.starts == [LogKey(run_id, 1)]


async def test_a_script_that_ended_while_the_daemon_was_away_has_its_true_result(world):
    run_id = await world.trigger(Play(seconds=3, output=b"bye\n"))
    await world.pass_time(1)
    await world.crash()
    await world.pass_time(30)
    world.boot()
    await world.pass_time(1)
    run = world.run(run_id)
    assert (run.state, run.excerpt) == (RunState.SUCCEEDED, "bye")
    assert (run.finished_at - run.started_at).total_seconds() == 3


async def test_a_machine_that_lost_power_reports_its_runs_as_lost(world):
    run_id = await world.trigger(Play(seconds=10))
    await world.pass_time(1)
    await world.crash()
    world.machine.reboot()
    world.boot()
    await world.pass_time(1)
    assert (world.run(run_id).state, world.run(run_id).reason) == (
        RunState.LOST,
        Reason.NODE_RESTARTED,
    )


async def test_a_claimed_run_that_never_started_starts_after_a_restart_in_its_window(world):
    run_id = await world.trigger(due_in=1.5)
    await world.pass_time(0.5)
    await world.crash()
    await world.pass_time(20)
    world.boot()
    await world.pass_time(1)
    assert world.run(run_id).state is RunState.SUCCEEDED
    assert world.machine.starts == [LogKey(run_id, 1)]


async def test_a_claimed_run_that_never_started_is_too_late_after_its_window(world):
    await world.job(misfire=Misfire(window_seconds=60))
    run_id = await world.trigger(due_in=1.5)
    await world.pass_time(0.5)
    await world.crash()
    await world.clock.advance(120)
    world.boot()
    await world.pass_time(1)
    run = world.run(run_id)
    assert (run.state, run.reason, run.started_at) == (RunState.LOST, Reason.NODE_RESTARTED, None)
    assert "too late" in run.detail
    assert world.machine.starts == []


async def test_a_late_start_waits_for_the_word_of_a_majority(world):
    run_id = await world.trigger(due_in=1.5)
    await world.pass_time(0.5)
    await world.crash()
    await world.pass_time(20)
    world.replica.no_leader = True
    world.boot()
    await world.pass_time(20)
    assert world.machine.starts == []
    await world.declare_lost(run_id)
    world.replica.no_leader = False
    await world.pass_time(3)
    assert world.machine.starts == [], "what was declared lost meanwhile does not start"
    assert world.run(run_id).state is RunState.LOST


@pytest.mark.parametrize("note", [Note.STARTING, None])
async def test_a_run_the_runner_never_heard_of_is_not_started_on_a_guess(world, note):
    run_id = await world.trigger(due_in=1.5)
    await world.pass_time(0.5)
    await world.crash()
    await world.journal.forget([LogKey(run_id, 1)])
    if note is not None:
        await world.journal.write(note, [LogKey(run_id, 1)])
    world.boot()
    await world.pass_time(5)
    run = world.run(run_id)
    assert (run.state, run.reason) == (RunState.LOST, Reason.NODE_RESTARTED)
    assert world.machine.starts == []


async def test_a_run_declared_lost_goes_on_and_the_truth_replaces_it(world):
    run_id = await world.trigger(Play(seconds=10))
    await world.pass_time(1)
    await world.declare_lost(run_id)
    await world.pass_time(3)
    assert world.run(run_id).state is RunState.LOST
    assert world.machine.running() == [LogKey(run_id, 1)]
    await world.pass_time(10)
    assert world.run(run_id).state is RunState.SUCCEEDED


async def test_an_attempt_that_was_replaced_elsewhere_is_ended(world):
    await world.job(delivery="at_least_once")
    run_id = await world.trigger(Play(seconds=1000))
    await world.pass_time(1)
    await world.declare_lost(run_id)
    await world.assign(run_id, attempt=2, node="n2")
    await world.pass_time(2)
    run = world.run(run_id)
    assert (run.attempt, run.node, run.state) == (2, "n2", RunState.PENDING)
    assert world.machine.parts == {}


async def test_an_attempt_whose_row_the_state_has_let_go_of_is_ended(world):
    await world.job(delivery="at_least_once")
    run_id = await world.trigger(Play(seconds=1000))
    await world.pass_time(1)
    await world.declare_lost(run_id)
    await world.assign(run_id, attempt=2, node="n2")
    state = world.replica.state
    state.close_run(structs.replace(state.open_runs[run_id], state=RunState.KILLED))
    state.recent.clear()
    await world.pass_time(2)
    assert world.machine.parts == {}


async def test_a_node_that_drains_claims_nothing_more_and_leaves_what_runs(world):
    running = await world.trigger(Play(seconds=60))
    ending = await world.trigger(Play(seconds=2))
    await world.pass_time(1)
    draining = asyncio.create_task(world.agent.drain(timeout_seconds=5))
    await world.pass_time(1)
    late = await world.trigger()
    await world.pass_time(2)
    await draining
    assert world.run(ending).state is RunState.SUCCEEDED
    assert world.run(late).state is RunState.PENDING
    await world.crash()
    assert world.machine.running() == [LogKey(running, 1)]


async def test_a_node_that_cannot_make_notes_claims_nothing(forgetful_world):
    world = forgetful_world
    world.journal.refuses = {Note.CLAIMING}
    run_id = await world.trigger()
    await world.pass_time(5)
    assert world.run(run_id).state is RunState.PENDING
    world.journal.refuses = set()
    await world.pass_time(2)
    assert world.run(run_id).state is RunState.SUCCEEDED


async def test_a_start_that_cannot_be_noted_does_not_happen(forgetful_world):
    world = forgetful_world
    world.journal.refuses = {Note.STARTING}
    run_id = await world.trigger()
    await world.pass_time(2)
    run = world.run(run_id)
    assert (run.state, run.reason) == (RunState.FAILED, Reason.START_FAILED)
    assert run.detail == "the disk is full"
    assert world.machine.starts == []
