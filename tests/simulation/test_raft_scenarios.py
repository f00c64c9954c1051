"""Faults that pysyncobj 0.3.17 shows, one by one, against the layer; and that each needs its cure.

Every scenario runs twice: with the engine as it is, where the fault must not appear, and with the
one rule taken out that prevents it (pysyncobj's own rule put back), where it must.
"""

import pickle

import pytest
from raft_ablations import (
    A_NEWER_VERSION,
    AppliesAsPysyncobj,
    CommitsUnvouched,
    ElectsAfterPause,
    ForgetsWhereToResume,
    SendsAsPysyncobj,
    believes_any_term,
    cuts_always,
    drops_the_log,
    everybody,
    success_moves_back,
)
from raft_disk import SimDisk
from raft_stage import answer, elect, inject, isolate, settle, without, world_of
from raft_world import Violation

from croncord.errors import StoreError
from croncord.raft.engine import Engine
from croncord.raft.engine.founding import Founding
from croncord.raft.engine.membership import Roles
from croncord.raft.engine.pinned import CANDIDATE, LEADER, Halted, Pinned
from croncord.raft.entrylog import plain
from croncord.raft.requests import AppliedRequests

# -- s1 ----------------------------------------------------------------------------------------


def s1_unconfirmed_entries_become_agreed_during_a_snapshot_transfer(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        isolate(world, "n1")
        for _ in range(3):
            world.propose("n1")
        world.tick("n1", 0.05)
        elect(world, "n2")
        for _ in range(20):
            world.propose("n2")
        settle(world, ["n2", "n3"])
        world.nodes["n2"].snapshot()
        settle(world, ["n2", "n3"])
        try:
            world.connect_all()
            world.heal(80)
        except (Violation, Halted):
            return True
        return False


# -- s2 ----------------------------------------------------------------------------------------


def s2_two_membership_changes_are_in_flight_at_once(engine_class):
    with world_of(engine_class, voters=5) as world:
        elect(world, "n1")
        engine = world.nodes["n1"].engine
        first = engine.request_change("rem", "n2", "n2:1")
        assert first
        return engine.request_change("rem", "n3", "n3:1")


# -- s3 ----------------------------------------------------------------------------------------


def s3_an_acknowledgement_of_an_earlier_term_counts(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        elect(world, "n2")
        elect(world, "n1")
        engine = world.nodes["n1"].engine
        before = engine.commit_index
        world.propose("n1")
        world.tick("n1", 0.01)
        inject(world, "n2", "n1", answer(engine.term - 1, engine.log.last_index + 1))
        world.tick("n1", 0.01)
        return engine.commit_index > before


# -- s4 ----------------------------------------------------------------------------------------


def s4_a_repeated_message_cuts_acknowledged_entries(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        start = world.nodes["n1"].engine.log.last_index
        for _ in range(5):
            world.propose("n1")
        settle(world)
        leader, follower = world.nodes["n1"].engine, world.nodes["n2"].engine
        before = follower.log.last_index
        first = leader.log.at(start + 1)
        inject(
            world,
            "n1",
            "n2",
            {
                **leader.heading(),
                "prevLogIdx": start,
                "prevLogTerm": leader.log.at(start)[2],
                "entries": [list(first)],
            },
        )
        return follower.log.last_index < before


# -- s5 ----------------------------------------------------------------------------------------


def s5_a_failing_command_is_applied_again_at_every_tick(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        node = world.nodes["n1"]
        calls = []

        def fails(index, term, entry):
            calls.append(index)
            raise RuntimeError("a fault in applying")

        node.committed = fails
        world.propose("n1")
        halted = False
        for _ in range(12):
            world.now += 0.05
            for name in world.nodes:
                if name == "n1" and halted:
                    continue
                try:
                    world.tick(name)
                except Halted:
                    halted = True
                except RuntimeError:
                    pass
            for source, target in sorted(world.queues):
                world.deliver(source, target, 10**6)
        return len(calls) > 1


# -- s10 ---------------------------------------------------------------------------------------


def s10_a_pause_starts_an_election_although_the_leader_lives(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        term = world.nodes["n1"].engine.term
        for _ in range(30):  # n2 is frozen for three seconds; heartbeats wait in its socket
            world.now += 0.1
            for name in ("n1", "n3"):
                world.tick(name)
            for pair in (("n1", "n3"), ("n3", "n1")):
                world.deliver(*pair, 99)
        world.tick("n2")
        paused = world.nodes["n2"].engine
        return paused.role == CANDIDATE or paused.term > term


# -- s15, s16 ----------------------------------------------------------------------------------


def s15_a_forwarded_command_is_lost_with_its_connection(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        command = world.propose("n3")
        world.tick("n3", 0.01)
        world.cut("n1", "n3")
        world.connect_all()
        world.heal(60)
        return command not in world.acknowledged


def s16_a_command_repeated_on_a_new_leader_is_applied_twice(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        world.propose("n3")
        world.tick("n3", 0.01)
        world.deliver("n3", "n1", 9)
        world.tick("n1", 0.01)
        world.deliver("n1", "n2", 9)
        world.crash("n1")
        try:
            elect(world, "n2")
            world.heal(40)
        except Violation:
            return True
        return any(len(set(n.ops)) < len(n.ops) for n in world.nodes.values())


# -- s17 ---------------------------------------------------------------------------------------


def s17_an_observer_acts_as_leader(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        world.observers = ["o1"]
        world.start("o1")
        world.connect_all_to("o1")
        world.heal(20)
        leader = world.nodes["n1"].engine
        inject(
            world,
            "o1",
            "n1",
            {
                "type": "append_entries",
                "term": leader.term + 1000,
                "commit_index": 10**9,
                "probe": 0,
                "prevLogIdx": leader.log.last_index,
                "prevLogTerm": leader.log[-1][2],
                "entries": [],
            },
        )
        return leader.role != LEADER


# -- s14 ---------------------------------------------------------------------------------------


def s14_after_an_entry_of_a_newer_version_others_are_applied_again(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        applied = []
        for node in world.nodes.values():
            node.committed = lambda _index, _term, _entry: None
        world.nodes["n1"].committed = lambda _index, _term, entry: applied.append(entry)
        engine = world.nodes["n1"].engine
        engine.log.add(A_NEWER_VERSION, engine.log.last_index + 1, engine.term)
        for _ in range(3):
            world.nodes["n1"].propose("once")
        for _ in range(10):
            settle(world, ["n1", "n2"], rounds=1)
        assert len(set(applied)) == 3
        return len(applied) > 3


# -- s18 ---------------------------------------------------------------------------------------


def large_command_arrives(engine_class, size):
    with world_of(engine_class, batch=1000) as world:
        elect(world, "n1")
        command = "z" * size
        world.nodes["n1"].propose(command)
        try:
            settle(world, rounds=20)
        except (EOFError, pickle.UnpicklingError):
            return False
        return all(command in node.ops for node in world.nodes.values())


def s18_a_large_command_has_two_last_pieces(engine_class):
    """The command ends within two batches, its pickle does not: the second piece is a last one."""
    assert large_command_arrives(engine_class, 1900)
    return not large_command_arrives(engine_class, 1970)


# -- s19 ---------------------------------------------------------------------------------------


def s19_an_observers_snapshot_names_wrong_members(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        world.observers = ["o1"]
        world.start("o1")
        world.connect_all_to("o1")
        world.propose("n1")
        world.heal(30)
        observer = world.nodes["o1"]
        assert observer.snapshot()
        world.heal(5)
        meta, _state = observer.engine.snapshots.load()
        return set(meta.members) != {"n1", "n2", "n3"}


# -- s20 ---------------------------------------------------------------------------------------


def s20_a_divergent_follower_never_catches_up(engine_class):
    with world_of(engine_class, batch=100) as world:
        elect(world, "n2")
        isolate(world, "n2")
        for _ in range(8):
            world.propose("n2")
        world.tick("n2", 0.05)
        elect(world, "n1")
        for _ in range(60):
            world.propose("n1")
        settle(world, ["n1", "n3"])
        world.connect_all()
        n1, n2 = world.nodes["n1"].engine, world.nodes["n2"].engine
        before = n2.log.last_index
        n1.next_index[next(p for p in n1.peers if p.id == "n2")] = before + 1
        for _ in range(40):
            for name in world.nodes:  # a new burst leaves before the answers to the last arrive
                world.propose("n1")
                world.tick(name, 0.01)
            for pair in (("n1", "n2"), ("n2", "n1"), ("n1", "n3"), ("n3", "n1")):
                world.deliver(*pair, 10**6)
        return n2.commit_index < n1.commit_index - 20


# -- s21 ---------------------------------------------------------------------------------------


def s21_a_late_success_takes_a_follower_back(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        for _ in range(10):
            world.propose("n1")
        settle(world)
        engine = world.nodes["n1"].engine
        peer = next(p for p in engine.peers if p.id == "n2")
        before = engine.next_index[peer]
        inject(world, "n2", "n1", answer(engine.term, before - 5))
        return engine.next_index[peer] < before


# -- s22 ---------------------------------------------------------------------------------------


def s22_a_wiped_node_votes_acknowledged_writes_away(engine_class):
    with world_of(engine_class) as world:
        elect(world, "n1")
        isolate(world, "n3")
        for _ in range(10):
            world.propose("n1")
        settle(world, ["n1", "n2"])
        assert world.acknowledged
        world.crash("n2")
        world.disks["n2"] = SimDisk()
        world.crash("n1")
        world.start("n2")
        world.connect_all()
        try:
            world.heal(300)
            for node in world.nodes.values():
                if node.engine.role == LEADER:
                    world.check_new_leader(node)
        except Violation:
            return True
        return False


SCENARIOS = [
    (s1_unconfirmed_entries_become_agreed_during_a_snapshot_transfer, CommitsUnvouched),
    (
        s2_two_membership_changes_are_in_flight_at_once,
        without(change_cluster=Pinned.change_cluster),
    ),
    (s3_an_acknowledgement_of_an_earlier_term_counts, without(_on_answer=believes_any_term)),
    (s4_a_repeated_message_cuts_acknowledged_entries, without(_append=cuts_always)),
    (s5_a_failing_command_is_applied_again_at_every_tick, without(hand_over=Pinned.hand_over)),
    (s10_a_pause_starts_an_election_although_the_leader_lives, ElectsAfterPause),
    (s15_a_forwarded_command_is_lost_with_its_connection, without(_requeue=lambda _self: None)),
    (s17_an_observer_acts_as_leader, without(FROM_OBSERVERS=frozenset({"append_entries"}))),
    (s14_after_an_entry_of_a_newer_version_others_are_applied_again, AppliesAsPysyncobj),
    (s18_a_large_command_has_two_last_pieces, SendsAsPysyncobj),
    (s19_an_observers_snapshot_names_wrong_members, without(members_as_of=everybody)),
    (s20_a_divergent_follower_never_catches_up, ForgetsWhereToResume),
    (s21_a_late_success_takes_a_follower_back, without(_on_answer=success_moves_back)),
    (s22_a_wiped_node_votes_acknowledged_writes_away, without(is_founded=lambda _self: True)),
]


@pytest.mark.parametrize("scenario", [s for s, _ in SCENARIOS], ids=lambda s: s.__name__)
def test_the_layer_is_free_of(scenario):
    assert not scenario(Engine)


@pytest.mark.parametrize(("scenario", "ablated"), SCENARIOS, ids=[s.__name__ for s, _ in SCENARIOS])
def test_the_fault_is_there_when_its_cure_is_taken_out(scenario, ablated):
    assert scenario(ablated)


def test_a_command_repeated_on_a_new_leader_is_applied_once(monkeypatch):
    assert not s16_a_command_repeated_on_a_new_leader_is_applied_twice(Engine)
    monkeypatch.setattr(AppliedRequests, "note", lambda _self, _request: True)
    assert s16_a_command_repeated_on_a_new_leader_is_applied_twice(Engine)


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


def test_s14_entries_of_a_kind_that_pysyncobj_would_execute_do_nothing():
    with world_of(Engine) as world:
        elect(world, "n1")
        engine = world.nodes["n1"].engine
        engine.log.add(b"\x03" + b"cos\nsystem\n", engine.log.last_index + 1, engine.term)
        command = world.propose("n2")
        settle(world)
        assert all(node.ops == world.nodes["n1"].ops for node in world.nodes.values())
        assert command in world.acknowledged


def test_the_overrides_name_what_they_are_for():
    for part in Engine.__mro__:
        if part.__module__.startswith("croncord") and part is not Engine:
            assert part.__doc__, part


def test_plain_gives_entries_of_the_wire_their_stored_form():
    assert plain([bytearray(b"x"), 3, 1]) == (b"x", 3, 1)
    assert issubclass(Engine, Roles)
    assert issubclass(Engine, Founding)
