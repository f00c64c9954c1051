"""A checker that finds no bug checks nothing: each planted bug has to be found."""

import cluster_bugs_between  # noqa: F401 - its bugs join the list
import pytest
from cluster_bugs import BUGS, planted
from cluster_hunts import HUNTS, hunt_of
from cluster_story import run_story

pytestmark = pytest.mark.simulation

KNOWN_SEEDS = {
    "a_ledger_is_never_filled": 0,
    "a_node_that_joins_gets_no_row": 3,
    "a_plan_does_not_see_its_own_orders": 0,
    "backfills_know_no_limit": 3,
    "calendars_are_not_asked_after_an_outage": 2,
    "caught_up_all_at_once": 5,
    "dependents_of_a_lost_run_are_forgotten": 3,
    "forgotten_open_runs": 0,
    "kill_forgotten_on_restart": 7,
    "late_result_overwrites_a_retry": 0,
    "launch_before_commit": 0,
    "lock_by_job_name": 0,
    "locks_are_let_go_with_the_leader": 1,
    "locks_are_taken_unseen": 1,
    "lost_is_launched_again": 4,
    "lost_stays_lost": 2,
    "next_from_now_after_failover": 0,
    "overlap_is_not_looked_at": 0,
    "reassign_of_a_claimed_run": 0,
    "restore_that_merges": 0,
    "result_lost_during_election": 2,
    "retries_go_on_in_a_pause": 2,
    "retry_without_end": 0,
    "run_ids_by_chance": 0,
    "skipped_ticks_leave_no_row": 0,
    "start_before_the_instant": 0,
    "success_is_taken_for_always": 1,
    "ticks_beyond_the_batch_are_dropped": 0,
    "wall_clock_in_apply": 0,
    "what_a_leader_declares_is_no_failure": 2,
    "what_is_out_of_sight_goes_on": 9,
}
"""A seed that shows the bug, for those that show soon, so that the default run is short. Others are
tried when it does not: any change of the program makes other stories of the seeds."""
SEEDS = 40
"""Within so many seeds each bug is found."""


def found(name, seeds):
    """Return the first seed under which the verifiers tell a planted bug."""
    with planted(name) as bug:
        for seed in seeds:
            _story, violations = run_story(hunt_of(seed, name))
            if bug.kinds & {violation.kind for violation in violations}:
                return seed
    return None


@pytest.mark.parametrize("name", sorted(KNOWN_SEEDS))
def test_a_planted_bug_is_found(name):
    first = KNOWN_SEEDS[name]
    others = [seed for seed in range(SEEDS) if seed != first]
    assert found(name, [first, *others]) is not None, f"{name}: {BUGS[name].about}"


@pytest.mark.parametrize("seed", range(4))
def test_without_a_bug_nothing_is_found(seed):
    _story, violations = run_story(hunt_of(seed))
    assert violations == []


@pytest.mark.parametrize("name", sorted(HUNTS))
def test_without_its_bug_a_hunt_of_its_own_finds_nothing(name):
    _story, violations = run_story(hunt_of(0, name))
    assert violations == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BUGS))
def test_a_planted_bug_is_found_from_scratch(name):
    assert found(name, range(SEEDS)) is not None, f"{name}: {BUGS[name].about}"
