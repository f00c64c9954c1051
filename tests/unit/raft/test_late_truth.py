"""What a node says about an attempt that was taken for lost, while the next one has not begun."""

import pytest
from builders import Cluster

from croncord.lifecycle import RunState
from croncord.model import Retries
from croncord.raft.commands import PauseCluster

GOOD, FAILED = RunState.SUCCEEDED, RunState.FAILED


def taken_for_lost(**fields):
    """A run whose first attempt is taken for lost and whose second one waits."""
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", delivery="at_least_once", **fields)
    cluster.trigger(job)
    cluster.decide()
    (first,) = cluster.claim_all()
    cluster.silent = {first.node: 100}
    cluster.decide()
    cluster.silent = {}
    (waiting,) = cluster.state.open_runs.values()
    assert (waiting.state, waiting.attempt) == (RunState.PENDING, 2)
    return cluster, first


@pytest.mark.parametrize("state", [GOOD, FAILED])
def test_the_run_ends_as_its_attempt_did_and_no_further_one_begins(state):
    cluster, first = taken_for_lost()
    cluster.finish(first, state)
    assert not cluster.state.open_runs
    row = cluster.state.run(first.id)
    assert (row.state, row.attempt, row.node, row.attempts) == (state, 1, first.node, ())
    assert cluster.claim_all() == []


def test_a_failure_is_tried_again_for_what_it_was():
    cluster, first = taken_for_lost(retries=Retries(count=1, delay_seconds=30))
    cluster.finish(first, FAILED)
    (waiting,) = cluster.state.open_runs.values()
    assert (waiting.attempt, [each.state for each in waiting.attempts]) == (2, [FAILED])


def test_once_the_next_attempt_runs_the_truth_about_the_one_before_changes_nothing():
    cluster, first = taken_for_lost()
    cluster.decide()
    (second,) = cluster.claim_all()
    cluster.finish(first, GOOD)
    assert cluster.state.run(first.id).state is RunState.RUNNING
    cluster.finish(second, GOOD)
    assert cluster.state.run(first.id).attempt == 2


def test_it_is_known_before_a_pause_ends_the_wait():
    cluster, first = taken_for_lost()
    cluster.finish(first, GOOD)
    cluster.do(PauseCluster(at=cluster.now, paused=True))
    assert cluster.state.run(first.id).state is GOOD
