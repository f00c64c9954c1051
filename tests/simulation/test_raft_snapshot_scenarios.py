"""Two more faults of pysyncobj 0.3.17: what becomes of a node's snapshot and log at its restart."""

import pytest
from raft_stage import elect, settle, without, world_of

from croncord.errors import StoreError
from croncord.raft.engine import Engine
from croncord.raft.engine.pinned import Pinned


def entries_and_snapshot(world):
    elect(world, "n1")
    for _ in range(10):
        world.propose("n1")
    settle(world)
    world.nodes["n2"].snapshot()
    settle(world)
    for _ in range(5):
        world.propose("n1")
    settle(world)
    return world.nodes["n2"].engine.log.last_index


def drops_the_log(self, meta):
    self.log.replace(self._stand_ins(meta))


def test_s8_entries_after_a_snapshot_survive_a_restart():
    for engine_class, kept in ((Engine, True), (without(_check_against_log=drops_the_log), False)):
        with world_of(Engine) as world:
            last = entries_and_snapshot(world)
            world.crash("n2")
            world.engine_class = engine_class
            world.start("n2")
            assert (world.nodes["n2"].engine.log.last_index == last) is kept


def test_s9_a_node_whose_snapshot_is_missing_refuses_to_start():
    with world_of(Engine) as world:
        entries_and_snapshot(world)
        world.crash("n2")
        world.disks["n2"].snapshot = None
        with pytest.raises(StoreError) as refusal:
            world.start("n2")
        assert "rejoins" in refusal.value.hint
        world.engine_class = without(recover=Pinned.recover)
        world.start("n2")  # pysyncobj starts, without the state that is gone
