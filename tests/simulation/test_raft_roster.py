"""The agreed state says who is in, and the voters and the connections follow it."""

import pytest
from raft_stage import elect, world_of

from croncord.raft.engine import Engine
from croncord.raft.engine.pinned import LEADER
from croncord.raft.roster import Roster


def tell(world, names, removed=()):
    """Have every node apply the same words about who is in; `removed` are names of nodes."""
    gone = {world.disk_of(name): name for name in removed}
    disks = {name: world.disk_of(name) if name in world.nodes else "" for name in names}
    for node in list(world.nodes.values()):
        node.engine.follow_roster(Roster(disks, {}, gone))


def members(world, name):
    return sorted(world.nodes[name].engine.members())


@pytest.mark.parametrize("name", ["n1", "n3"])
def test_a_node_that_the_state_removed_goes_also_when_it_leads(name):
    with world_of(Engine) as world:
        elect(world, "n1")
        tell(world, {"n1", "n2", "n3"} - {name}, [name])
        world.heal(60)
        for other in {"n1", "n2", "n3"} - {name}:
            assert members(world, other) == sorted({"n1", "n2", "n3"} - {name})
        assert world.nodes[name].engine.expelled
        assert world.nodes[name].engine.role != LEADER
        term = world.nodes["n2"].engine.term
        world.heal(60)
        assert world.nodes["n2"].engine.term == term


def test_only_who_was_let_in_becomes_a_voter_and_a_removed_disk_stays_out():
    with world_of(Engine) as world:
        elect(world, "n1")
        tell(world, ["n1", "n2", "n3", "s1"])
        world.spares = ["s1", "s2"]
        for name in world.spares:
            world.start(name)
            world.connect_all_to(name)
        world.heal(60)
        assert members(world, "n2") == ["n1", "n2", "n3", "s1"]
        tell(world, ["n1", "n2", "n3"], ["s1"])
        world.heal(60)
        assert members(world, "n2") == ["n1", "n2", "n3"]
        assert world.nodes["s1"].engine.expelled
        assert not world.nodes["s2"].engine.expelled
        world.crash("s1")
        world.start("s1")  # with its old disk
        world.connect_all()
        world.heal(20)
        assert world.nodes["s1"].engine.expelled
        assert members(world, "n2") == ["n1", "n2", "n3"]
