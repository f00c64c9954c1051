"""SIGKILL at each step to the disk: whatever was confirmed survives, and the node starts again.

`CRONCORD_CRASH_POINTS=200 pytest -m slow tests/unit/raft/test_raft_crash_points.py` goes through
the first 200 writes and syncs of the journal and of snapshots.
"""

import itertools
import os
import shutil
import time

import pytest
from raft_death import PHASES
from raft_group import agree, group

POINTS = int(os.environ.get("CRONCORD_CRASH_POINTS", "24"))
pytestmark = [pytest.mark.slow, pytest.mark.cluster]


async def put_on_each(nodes, job):
    """Propose on every node that is up; returns what was confirmed."""
    answers = {}
    for node in nodes:
        if node.is_up:
            name = f"{job}-{node.name}"
            answers[name] = await node.ask("put", 12, id=name)
    return [name for name, answer in answers.items() if answer["ok"]]


async def work_until_death(victim, other, job, seconds=60, *, snapshots=False):
    """Keep a node writing; returns what was confirmed, and whether it died."""
    confirmed, end = [], time.monotonic() + seconds
    for number in itertools.count():
        if not victim.is_up or time.monotonic() > end:
            break
        confirmed += await put_on_each((victim, other), f"{job}-{number}")
        if snapshots and victim.is_up:
            await victim.ask("snapshot", 2)
    return confirmed, not victim.is_up


async def start_again(victim):
    await victim.kill()
    await victim.start()
    assert await victim.ready, "it does not start again"


@pytest.mark.parametrize("kind", ["journal", "snapshot"])
async def test_death_at_any_step_to_the_disk_leaves_a_node_that_starts_and_agrees(tmp_path, kind):
    confirmed = []
    async with group(tmp_path) as nodes:
        victim = nodes["bob"]
        for point in range(1, POINTS + 1):
            phase = PHASES[point % len(PHASES)]
            await victim.kill()
            await victim.start(f"{kind}:{point}:{phase}")
            await victim.ready
            done, died = await work_until_death(
                victim, nodes["ada"], f"{kind}-{point}", snapshots=kind == "snapshot"
            )
            assert died, f"step {point} was never reached"
            confirmed += done
            await start_again(victim)
        jobs = await agree(nodes.values())
    print(f"{POINTS} deaths, {len(confirmed)} confirmed, {len(jobs)} applied")  # noqa: T201
    assert not [job for job in confirmed if job not in jobs]
    assert set(jobs.values()) == {1}


async def test_death_at_any_step_of_receiving_a_snapshot_does_so_too(tmp_path):
    confirmed, deaths = [], 0
    async with group(tmp_path) as nodes:
        victim, other = nodes["bob"], nodes["ada"]
        for number in range(50):
            confirmed += await put_on_each((other,), f"before-{number}")
        for point, phase in itertools.product(range(1, 50), PHASES):
            await victim.kill()
            shutil.rmtree(tmp_path / "bob")
            await victim.start(f"snapshot:{point}:{phase}")
            await victim.ready
            done, died = await work_until_death(victim, other, f"{point}-{phase}", 4)
            confirmed += done
            await start_again(victim)
            if not died and phase == PHASES[-1]:
                break
            deaths += died
        jobs = await agree(nodes.values())
    print(f"{deaths} deaths, {len(confirmed)} confirmed, {len(jobs)} applied")  # noqa: T201
    assert deaths > len(PHASES)
    assert not [job for job in confirmed if job not in jobs]
    assert set(jobs.values()) == {1}
