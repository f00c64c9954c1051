"""Setting a scene in the simulated world: elect this one, cut that one off, repeat a message."""

from raft_world import CALM, World

from croncord.raft.engine import Engine
from croncord.raft.engine.pinned import LEADER


def without(**rules):
    """The engine with some of its rules replaced."""
    return type("Ablated", (Engine,), rules)


def world_of(engine_class, seed=1, voters=3, batch=100_000, kept=1):
    world = World(seed, voters=voters, faults=CALM, engine_class=engine_class)
    world.batch = batch
    for node in world.nodes.values():
        node.engine.conf.appendEntriesBatchSizeBytes = batch
        node.engine.entries_kept = kept
    for _ in range(40):
        world.heal(1)
    return world


def elect(world, name):
    """Make one node the leader, as if its timeout had ended first."""
    engine = world.nodes[name].engine
    world.now += 1.3
    engine.election_deadline = world.now - 0.01
    engine._last_tick = world.now
    for node in world.nodes.values():
        if node.name != name:
            node.engine.election_deadline = world.now + 1
            node.engine._last_tick = world.now
            if node.engine.role == LEADER:
                node.engine.role = 0
                node.engine.leader = None
    reachable = [name, *(n.id for n in engine.connected)]
    for _ in range(6):
        settle(world, reachable, rounds=1)
        if engine.role == LEADER:
            break
    assert engine.role == LEADER
    settle(world, reachable)


def settle(world, names=None, rounds=8, seconds=0.05):
    for _ in range(rounds):
        world.now += seconds
        for name in names or list(world.nodes):
            if name in world.nodes:
                world.tick(name)
        for source, target in sorted(world.queues):
            if names is None or (source in names and target in names):
                world.deliver(source, target, 10**6)


def isolate(world, name):
    for other in list(world.nodes):
        if other != name:
            world.cut(name, other)


def inject(world, source, target, message):
    """Deliver one message out of order."""
    receiver = world.nodes[target]
    node = next(n for n in receiver.engine.connected if n.id == source)
    receiver.transport._onMessageReceived(node, message)


def answer(term, next_index, **fields):
    return {
        "type": "next_node_idx",
        "term": term,
        "next_node_idx": next_index,
        "reset": False,
        "success": True,
        "probe": 0,
        "founded": True,
        **fields,
    }
