"""A checker that finds no bug checks nothing: each planted bug has to be found."""

import cluster_bugs_between  # noqa: F401 - its bugs join the list
import pytest
from cluster_bugs import BUGS, planted
from cluster_story import hunt_of, run_story

KNOWN_SEEDS = {
    "catch_up_outside_the_window": 3,
    "claim_accepted_after_reassign": 14,
    "decisions_of_an_old_term_count": 28,
    "forgotten_open_runs": 0,
    "kill_forgotten_on_restart": 6,
    "late_result_overwrites_a_retry": 9,
    "launch_before_commit": 0,
    "lock_by_job_name": 0,
    "lost_is_launched_again": 1,
    "lost_stays_lost": 7,
    "next_from_now_after_failover": 0,
    "overlap_is_not_looked_at": 0,
    "pause_is_not_seen_by_decisions_under_way": 0,
    "pause_leaves_what_was_decided": 6,
    "reassign_of_a_claimed_run": 0,
    "restore_that_merges": 0,
    "result_lost_during_election": 1,
    "retry_without_end": 0,
    "run_ids_by_chance": 0,
    "skipped_ticks_leave_no_row": 0,
    "start_before_the_instant": 0,
    "ticks_beyond_the_batch_are_dropped": 0,
    "unknown_outcome_taken_for_a_claim": 29,
    "wall_clock_in_apply": 0,
}
"""A seed that shows each bug, so that the default run is short. Others are tried when it does not."""
SEEDS = 40
"""Within so many seeds each bug is found."""


def found(name, seeds):
    """Return the first seed under which the verifiers tell a planted bug."""
    with planted(name) as bug:
        for seed in seeds:
            _story, violations = run_story(hunt_of(seed))
            if bug.kinds & {violation.kind for violation in violations}:
                return seed
    return None


@pytest.mark.parametrize("name", sorted(BUGS))
def test_a_planted_bug_is_found(name):
    first = KNOWN_SEEDS[name]
    others = [seed for seed in range(SEEDS) if seed != first]
    assert found(name, [first, *others]) is not None, f"{name}: {BUGS[name].about}"


@pytest.mark.parametrize("seed", range(4))
def test_without_a_bug_nothing_is_found(seed):
    _story, violations = run_story(hunt_of(seed))
    assert violations == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BUGS))
def test_a_planted_bug_is_found_from_scratch(name):
    assert found(name, range(SEEDS)) is not None, f"{name}: {BUGS[name].about}"
