"""Promises that pysyncobj does not make at all: durability, check-quorum, calm, fresh reads."""

import pytest
from raft_stage import elect, inject, isolate, settle, without, world_of

from croncord.errors import StoreError
from croncord.raft.engine import Engine
from croncord.raft.engine.pinned import LEADER


def acknowledges_before_the_sync(self):
    self.send_acks()
    self.transport.flush()


def an_acknowledged_entry_is_lost_with_the_power(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        command = world.propose("n1")
        world.tick("n1", 0.01)
        world.deliver("n1", "n2", 9)
        world.nodes["n2"].engine._after_poll()
        world.deliver("n2", "n1", 9)
        world.tick("n1", 0.01)
        if command not in world.acknowledged:
            return False
        world.crash("n2")
        world.start("n2")
        log = world.nodes["n2"].engine.log
        return not any(command.encode() in entry[0] for entry in log.entries)


def a_leader_without_a_majority_goes_on_for_long(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        isolate(world, "n1")
        for _ in range(30):
            world.tick("n1", 0.05)
        return world.nodes["n1"].engine.role == LEADER


class Patient(Engine):
    """pysyncobj's default time until a leader without a majority steps down."""

    def tick(self, timeout):
        self.conf.leaderFallbackTimeout = 30
        super().tick(timeout)


def votes_for_anybody(self):
    return False


def a_node_that_comes_back_deposes_a_healthy_leader(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        leader = world.nodes["n1"].engine
        inject(
            world,
            "n3",
            "n2",
            {
                "type": "request_vote",
                "term": leader.term + 5,
                "last_log_index": 10**6,
                "last_log_term": leader.term,
                "transfer": False,
                "incarnation": 0,
            },
        )
        return world.nodes["n2"].engine.term > leader.term


def stale_read(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        isolate(world, "n1")
        answers = []
        world.nodes["n1"].engine.ask_read_index(answers.append)
        for _ in range(10):
            world.tick("n1", 0.05)
        return any(index is not None for index in answers)


def a_slow_disk_of_the_leader_starts_an_election(engine_class, syncs_for=2.0):
    with world_of(engine_class) as world:
        elect(world, "n1")
        leader = world.nodes["n1"].engine
        write = leader.log.write

        def write_slowly():
            for _ in range(int(syncs_for / 0.1)):
                world.now += 0.1
                if leader.turn.acquire(blocking=False):  # as the other thread does
                    leader.beat()
                    leader.turn.release()
                settle(world, ["n2", "n3"], rounds=1, seconds=0)
                for name in ("n2", "n3"):
                    world.deliver("n1", name, 9)
            write()

        leader.log.write = write_slowly
        world.propose("n1")
        world.tick("n1", 0.01)
        return any(world.nodes[name].engine.term > leader.term for name in ("n2", "n3"))


def lags_and_gets_a_snapshot(world):
    """n3 misses 20 entries, which the others keep only in a snapshot, and has it all received."""
    elect(world, "n1")
    for _ in range(5):
        world.propose("n1")
    settle(world)
    isolate(world, "n3")
    for _ in range(20):
        world.propose("n1")
    settle(world, ["n1", "n2"])
    world.nodes["n1"].snapshot()
    settle(world, ["n1", "n2"])
    lagging = world.nodes["n3"]
    assert lagging.snapshot()
    lagging.engine.snapshots._polls = 1_000  # its own is written for long
    world.connect_all()
    settle(world, rounds=20)
    return lagging


def installs_at_once(self):
    writing, self.snapshots._writing = self.snapshots._writing, None
    Engine._install_received(self)
    self.snapshots._writing = writing


def an_older_snapshot_takes_the_place_of_a_received_one(engine_class):
    with world_of(engine_class) as world:
        lagging = lags_and_gets_a_snapshot(world)
        lagging.engine.snapshots._polls = 0
        settle(world, rounds=20)
        assert lagging.ops == world.nodes["n1"].ops
        world.crash("n3")
        try:
            world.start("n3")
        except StoreError:
            return True
        return False


def trusts_no_log_that_differs(self, meta):
    mine = self.log.at(meta.index)
    if mine is not None and mine[2] != meta.term:
        raise StoreError("Snapshot and journal disagree")
    Engine._check_against_log(self, meta)


def a_crash_amid_the_installation_leaves_a_node_that_cannot_start(engine_class):
    """The snapshot is in its place; the log still holds what an earlier leader had not got agreed."""
    with world_of(engine_class) as world:
        elect(world, "n3")
        isolate(world, "n3")
        for _ in range(30):
            world.propose("n3")
        world.tick("n3", 0.05)
        elect(world, "n1")
        for _ in range(20):
            world.propose("n1")
        settle(world, ["n1", "n2"])
        world.nodes["n1"].snapshot()
        settle(world, ["n1", "n2"])
        world.crash("n3")
        world.disks["n3"].snapshot = world.disks["n1"].snapshot
        try:
            world.start("n3")
        except StoreError:
            return True
        world.connect_all()
        world.heal(60)
        assert world.nodes["n3"].ops == world.nodes["n1"].ops
        return False


SCENARIOS = [
    (a_slow_disk_of_the_leader_starts_an_election, without(beat=lambda _self: None)),
    (
        an_older_snapshot_takes_the_place_of_a_received_one,
        without(_install_received=installs_at_once),
    ),
    (
        a_crash_amid_the_installation_leaves_a_node_that_cannot_start,
        without(_check_against_log=trusts_no_log_that_differs),
    ),
    (
        an_acknowledged_entry_is_lost_with_the_power,
        without(_after_poll=acknowledges_before_the_sync),
    ),
    (a_node_that_comes_back_deposes_a_healthy_leader, without(leader_is_heard=votes_for_anybody)),
    (stale_read, without(majority=lambda _self, _count: True)),
    (a_leader_without_a_majority_goes_on_for_long, Patient),
]


@pytest.mark.parametrize(("scenario", "ablated"), SCENARIOS, ids=[s.__name__ for s, _ in SCENARIOS])
def test_the_layer_keeps_its_promise_and_would_not_without_its_rule(scenario, ablated):
    assert not scenario(Engine)
    assert scenario(ablated)


def test_a_leader_whose_disk_hangs_is_replaced_in_the_end():
    assert a_slow_disk_of_the_leader_starts_an_election(Engine, syncs_for=6.0)
