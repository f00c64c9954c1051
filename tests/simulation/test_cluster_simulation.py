"""The launch ledger under random faults, seed by seed. `pytest -m slow` plays 2,000."""

import os
from pathlib import Path

import pytest
from cluster_hunts import hunt_of
from cluster_story import check, plan_of, run_story

pytestmark = pytest.mark.simulation

CORPUS = Path(__file__).parent / "data" / "failed_seeds.txt"
"""Seeds that once showed a bug in the product, each with what it was."""


def corpus():
    lines = CORPUS.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_every_tick_is_accounted_for_whatever_fails(seed):
    check(seed)


@pytest.mark.parametrize("seed", corpus())
def test_what_failed_once_does_not_fail_again(seed):
    check(seed)


def test_every_tick_is_accounted_for_under_fresh_seeds(capsys):
    seeds = [int.from_bytes(os.urandom(4)) for _ in range(4)]
    with capsys.disabled():
        print(f"\nfresh seeds: {' '.join(map(str, seeds))} ", end="")  # noqa: T201 - to be replayed
    for seed in seeds:
        check(seed)


def test_the_same_seed_is_the_same_story():
    def told(seed):
        story, _ = run_story(hunt_of(seed))
        return story.world.account.state.digest(), story.faults.log, story.world.witnesses

    assert told(1) == told(1)


def test_a_plan_is_drawn_from_its_seed_alone():
    assert plan_of(5) == plan_of(5) != plan_of(6)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(40))
def test_every_tick_is_accounted_for_under_thousands_of_seeds(block):
    for seed in range(10_000 + 50 * block, 10_050 + 50 * block):
        check(seed)
