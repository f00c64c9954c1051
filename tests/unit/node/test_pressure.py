"""A machine that is short of something takes no run, says why, and the run goes elsewhere."""

import msgspec
import pytest
from builders import Cluster

from croncord.lifecycle import RunState
from croncord.model import Target
from croncord.node.pressure import Room, pressure
from croncord.node.scripted import Play

FINE = Room(
    memory_bytes=8 << 30,
    memory_total_bytes=16 << 30,
    disk_bytes=100 << 30,
    disk_total_bytes=1000 << 30,
    threads=30_000,
    threads_total=32_768,
)


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ({}, ""),
        ({"memory_bytes": 100 << 20}, "short of memory (100 MiB are left)"),
        ({"disk_bytes": 500 << 20}, "short of disk (500 MiB are left)"),
        ({"disk_bytes": 2 << 30}, ""),
        ({"disk_bytes": 500 << 20, "disk_total_bytes": 10 << 30}, ""),
        ({"threads": 100}, "short of processes (100 are left)"),
        (
            {"threads": 1, "memory_bytes": 0},
            "short of memory (0 MiB are left), processes (1 are left)",
        ),
    ],
)
def test_a_machine_says_what_it_is_short_of(left, told):
    assert pressure(msgspec.structs.replace(FINE, **left)) == told


async def test_a_node_under_pressure_claims_nothing_until_it_is_over(world):
    world.pressure = "short of memory"
    run_id = await world.trigger(Play(seconds=1))
    await world.pass_time(3)
    assert world.run(run_id).state is RunState.PENDING
    assert world.machine.starts == []
    world.pressure = ""
    await world.pass_time(3)
    assert world.run(run_id).state is RunState.SUCCEEDED


def test_a_run_goes_to_a_node_that_is_not_under_pressure():
    cluster = Cluster("n1", "n2", "n3")
    job = cluster.add_job(schedule="@manual")
    cluster.pressed = {"n2": "short of disk"}
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.state.open_runs.values()
    assert run.node == "n3"


def test_the_leader_takes_it_when_all_others_are_under_pressure():
    cluster = Cluster("n1", "n2", "n3")
    job = cluster.add_job(schedule="@manual")
    cluster.pressed = {"n2": "short of disk", "n3": "short of disk"}
    cluster.trigger(job)
    cluster.decide()
    assert [run.node for run in cluster.state.open_runs.values()] == ["n1"]


def test_what_a_node_did_not_claim_before_it_came_under_pressure_is_moved():
    cluster = Cluster("n1", "n2", "n3")
    job = cluster.add_job(schedule="@manual")
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.state.open_runs.values()
    cluster.pressed = {run.node: "short of memory"}
    cluster.decide()
    (moved,) = cluster.state.open_runs.values()
    assert moved.node not in (None, run.node)
    assert moved.attempt == run.attempt


def test_a_run_for_that_node_only_waits_there():
    cluster = Cluster("n1", "n2", "n3")
    job = cluster.add_job(schedule="@manual", target=Target(nodes=("n2",)))
    cluster.pressed = {"n2": "short of memory"}
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.state.open_runs.values()
    assert (run.node, run.state) == (None, RunState.PENDING)
    cluster.pressed = {}
    cluster.decide()
    (run,) = cluster.state.open_runs.values()
    assert run.node == "n2"
