"""The layer under random faults, seed by seed. `pytest -m slow` runs thousands."""

import os
from pathlib import Path

import pytest
from raft_world import ALL_FAULTS, CALM, Violation, run

from croncord.raft.engine import Engine

FAULTS = [
    CALM,
    frozenset({"cut", "oneway"}),
    frozenset({"chaos"}),
    frozenset({"cut", "crash"}),
    frozenset({"cut", "pause", "snapshot"}),
    frozenset({"crash", "wipe", "snapshot"}),
    frozenset({"cut", "crash", "member"}),
    frozenset({"cut", "observer", "snapshot"}),
    ALL_FAULTS,
]


CORPUS = Path(__file__).parent / "data" / "failed_raft_seeds.txt"
"""Seeds that once broke a promise, each with what it was."""


def corpus():
    lines = CORPUS.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def check(seed):
    """Run a seed under the faults that belong to it."""
    faults = FAULTS[seed % len(FAULTS)] if seed % 2 else ALL_FAULTS
    try:
        run(seed, faults=faults)
    except Exception as error:
        raise AssertionError(f"seed {seed}, faults {sorted(faults)}") from error


@pytest.mark.parametrize("faults", FAULTS, ids=lambda f: "+".join(sorted(f)) or "calm")
@pytest.mark.parametrize("seed", range(2))
def test_every_promise_holds_under(seed, faults):
    assert run(seed, faults=faults, steps=500) > 0


def test_what_broke_once_does_not_break_again():
    for seed in corpus():
        check(seed)


def test_every_promise_holds_for_a_sample_of_fresh_seeds(capsys):
    seeds = [int.from_bytes(os.urandom(4)) for _ in range(8)]
    with capsys.disabled():
        print(f"\nfresh seeds: {' '.join(map(str, seeds))} ", end="")  # noqa: T201 - to be replayed
    for seed in seeds:
        check(seed)


class ForgetsToSync(Engine):
    def _after_poll(self):
        self.send_acks()

    def tick(self, timeout):
        self.log.dirty, dirty = False, self.log.dirty  # nothing is written until a term changes
        super().tick(timeout)
        self.log.dirty = self.log.dirty or dirty


def test_the_simulation_notices_a_disk_that_is_not_synced():
    def breaks(seed):
        try:
            run(seed, steps=600, faults=frozenset({"crash"}), engine_class=ForgetsToSync)
        except Violation:
            return True
        return False

    assert any(breaks(seed) for seed in range(20))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(50))
def test_every_promise_holds_for_thousands_of_seeds(block):
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check(seed)
