"""Planted bugs in the rules between jobs: locks, dependents, calendars, backfills, limits, the ledger."""

import asyncio

from cluster_bugs import Patch, bug, handle

from croncord.lifecycle import RunState
from croncord.logs.ledger_fill import LedgerFiller
from croncord.node import agent, backfilling, lock_desk, ticking
from croncord.raft import dependents, endings, nodes_apply, runs_apply
from croncord.raft.commands import TriggerRun
from croncord.raft.state import ClusterState


@bug("lock")
def locks_are_taken_unseen(patch: Patch) -> None:
    """A run starts whoever holds its lock."""
    patch(lock_desk.LockDesk, "blocker", lambda *_arguments: "")
    patch(ClusterState, "lock_blocker", lambda *_arguments: "")


@bug("lock")
def locks_are_let_go_with_the_leader(patch: Patch) -> None:
    """Only what this leader gave out is known to be held."""

    def forgetful(self, run_id, locks, granted=None):
        state = self

        def is_mine(holder) -> bool:
            run = state.open_runs.get(holder)
            return run is None or run.assigned_term == state.term

        for name, places in map(lock_desk.name_and_places, locks):
            held = {**state._held.get(name, {}), **(granted or {}).get(name, {})}
            held = {holder: count for holder, count in held.items() if is_mine(holder)}
            held.pop(run_id, None)
            if len(held) >= min([places, *held.values()]):
                return f"{name} is held"
        return ""

    patch(ClusterState, "lock_blocker", forgetful)


@bug("unexplained")
def dependents_of_a_lost_run_are_forgotten(patch: Patch) -> None:
    """What a leader declares ends nothing for those that run after."""
    rows_after = dependents.rows_after

    def deaf(state, ended, command):
        return () if ended.state is RunState.LOST else rows_after(state, ended, command)

    patch(endings, "rows_after", deaf)


@bug("after", "unexplained")
def success_is_taken_for_always(patch: Patch) -> None:
    """Jobs that wait for a success run after a failure too."""
    patch(dependents, "_FAILURES", frozenset({RunState.KILLED}))


@bug("double", "extra", "inconsistent")
def a_late_truth_starts_dependents_again(patch: Patch) -> None:
    """The result of a lost run counts as another end."""

    def eager(state, row, command):
        state.lost.pop(row.id, None)
        return end_run(state, row, command)

    end_run = endings.end_run
    patch(runs_apply, "end_run", eager)


@bug("calendar")
def calendars_are_not_asked_after_an_outage(patch: Patch) -> None:
    """What is caught up runs whatever its calendars say."""
    patch(ticking._Ticking, "_is_open", lambda _self, _tick: True)
    decide = ticking._Ticking._decide_tick

    def hasty(self, tick, launched):
        calendars = self._calendars
        self._calendars = () if self._lateness.is_late(tick) else calendars
        yield from decide(self, tick, launched)
        self._calendars = calendars

    patch(ticking._Ticking, "_decide_tick", hasty)


@bug("backfill", "room")
def backfills_know_no_limit(patch: Patch) -> None:
    """All of a backfill runs at once."""
    patch(backfilling.BackfillTurns, "has_turn", lambda *_arguments: True)
    patch(runs_apply, "_has_turn", lambda *_arguments: True)


@bug("double")
def an_idempotency_key_is_forgotten(patch: Patch) -> None:
    """A repeated request for a run is another run."""

    def forgetful(state, command):
        state.keys.pop(f"{command.job_id}/{command.idempotency_key}", None)
        return runs_apply.trigger_run(state, command)

    handle(patch, TriggerRun, forgetful)


@bug("room")
def a_plan_does_not_see_its_own_orders(patch: Patch) -> None:
    """Two assignments under way fill one place. Ours once: seeds 159, 181."""
    patch(ClusterState, "has_room", lambda *_arguments: True)


@bug("runaway")
def what_a_leader_declares_is_no_failure(patch: Patch) -> None:
    """A job whose runs get lost is never paused."""
    patch(endings, "_FAILURES", frozenset({RunState.FAILED, RunState.TIMED_OUT}))


@bug("ghost")
def retries_go_on_in_a_pause(patch: Patch) -> None:
    """Who failed during a pause is tried again. Ours once: seeds 0, 17, 108."""
    patch(runs_apply, "may_try_again", lambda *_arguments: True)


@bug("pace")
def caught_up_all_at_once(patch: Patch) -> None:
    """`per_minute` is not looked at."""
    patch(ticking, "starts", lambda _misfire, lateness, _runs: iter(lambda: lateness.now, None))


@bug("diverged")
def a_ledger_is_never_filled(patch: Patch) -> None:
    """Who has a gap keeps it."""

    async def idle(_self) -> None:
        await asyncio.sleep(1e9)

    patch(LedgerFiller, "run", idle)


@bug("unkilled")
def what_is_out_of_sight_goes_on(patch: Patch) -> None:
    """A process whose row the state has let go of is left alone. Ours once: seed 190."""
    is_unwanted = agent.Agent._is_unwanted

    def trusting(self, key) -> bool:
        known = self._replica.state.run(key.run_id) is not None
        return known and is_unwanted(self, key)

    patch(agent.Agent, "_is_unwanted", trusting)


@bug("unexplained")
def a_node_that_joins_gets_no_row(patch: Patch) -> None:
    """`on_join` is not looked at."""
    patch(nodes_apply, "_run_on_join", lambda *_arguments: [])
