"""The layer under random faults, seed by seed. `pytest -m slow` runs thousands."""

import os

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


@pytest.mark.parametrize("faults", FAULTS, ids=lambda f: "+".join(sorted(f)) or "calm")
@pytest.mark.parametrize("seed", range(2))
def test_every_promise_holds_under(seed, faults):
    assert run(seed, faults=faults, steps=500) > 0


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
        faults = FAULTS[seed % len(FAULTS)] if seed % 2 else ALL_FAULTS
        try:
            run(seed, faults=faults)
        except Exception as error:
            raise AssertionError(f"seed {seed}, faults {sorted(faults)}") from error


@pytest.mark.slow
def test_every_promise_holds_for_fresh_seeds():
    for _ in range(100):
        seed = int.from_bytes(os.urandom(4))
        try:
            run(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}, all faults") from error
