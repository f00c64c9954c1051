"""Real processes that are killed, frozen and restarted while they work. `pytest -m slow`."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from raft_group import agree, group

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
ROUNDS = int(os.environ.get("CRONCORD_TORTURE_ROUNDS", "60"))


async def keep_proposing(nodes, worker, confirmed, stop):
    for number in itertools.count():
        if stop.is_set():
            return
        job = f"w{worker}-{number}"
        up = [node for node in nodes.values() if node.is_up]
        if not up:
            await asyncio.sleep(0.05)
            continue
        answer = await random.choice(up).ask("put", 12, id=job)
        if answer["ok"]:
            confirmed.append(job)
        else:
            await asyncio.sleep(0.02)


async def disturb(nodes, rng):
    """One fault: a death, a freeze longer than every timeout, or the death of all at once."""
    dice = rng.random()
    up = [node for node in nodes.values() if node.is_up]
    if dice < 0.1:
        for node in up:
            node.signal(signal.SIGKILL)
        for node in up:
            await node.kill()
        for node in nodes.values():
            await node.start()
    elif dice < 0.3:
        node = rng.choice(up)
        node.signal(signal.SIGSTOP)
        await asyncio.sleep(2.5)
        node.signal(signal.SIGCONT)
    elif dice < 0.4:
        await rng.choice(up).ask("snapshot", 2)
    else:
        node = rng.choice(up)
        await node.kill()
        await asyncio.sleep(rng.choice([0.0, 0.3, 1.5]))
        await node.start()
    await asyncio.sleep(rng.choice([0.2, 0.8, 1.5]))
    for node in nodes.values():
        if not node.is_up:
            await node.start()


async def test_what_was_confirmed_is_there_exactly_once_after_all_that(tmp_path):
    rng = random.Random(7)
    confirmed, stop = [], asyncio.Event()
    async with group(tmp_path) as nodes:
        workers = [
            asyncio.create_task(keep_proposing(nodes, worker, confirmed, stop))
            for worker in range(4)
        ]
        for _ in range(ROUNDS):
            await disturb(nodes, rng)
        stop.set()
        await asyncio.gather(*workers)
        for node in nodes.values():
            assert await node.ready
        jobs = await agree(nodes.values())
    missing = [job for job in confirmed if job not in jobs]
    repeated = {job: version for job, version in jobs.items() if version != 1}
    print(f"{len(confirmed)} confirmed, {len(jobs)} applied, {ROUNDS} faults")  # noqa: T201
    assert not missing
    assert not repeated
    assert len(confirmed) > ROUNDS


@contextlib.contextmanager
def busy_cores():
    """Processes that only compute, one per core."""
    command = [sys.executable, "-c", "while True: sum(range(10000))"]
    processes = [subprocess.Popen(command) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def leader_of(nodes):
    """Wait for the leader and for the others to have heard of it."""
    while True:
        answers = {name: await node.ask("status") for name, node in nodes.items()}
        leaders = {answer.get("leader") for answer in answers.values()}
        if len(leaders) == 1 and (name := leaders.pop()) in nodes:
            return nodes[name]
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("kind", ["idle", "under load"])
async def test_failover_after_the_death_of_the_leader(tmp_path, kind):
    trials, took = int(os.environ.get("CRONCORD_FAILOVER_TRIALS", "20")), []
    steady = {"in_flight": 16, "for_seconds": 3600, "per_second": 150}
    async with contextlib.AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(group(tmp_path))
        loads = {}
        if kind == "under load":
            stack.enter_context(busy_cores())
            for node in nodes.values():
                loads[node] = asyncio.create_task(node.ask("load", 3700, **steady))
        for trial in range(trials):
            leader = await leader_of(nodes)
            other = next(node for node in nodes.values() if node is not leader)
            leader.signal(signal.SIGKILL)
            begin = time.monotonic()
            answer = await other.ask("put", 12, id=f"failover-{trial}")
            took.append(time.monotonic() - begin)
            assert answer["ok"]
            await leader.kill()
            await leader.start()
            assert await leader.ready
            if leader in loads:
                await loads[leader]
                loads[leader] = asyncio.create_task(leader.ask("load", 3700, **steady))
            await leader.ask("barrier", 20)
        for task in loads.values():
            task.cancel()
        for node in nodes.values():  # with an hour of load before them they do not end by asking
            await node.kill()
    took.sort()
    print(  # noqa: T201
        f"failover {kind}, {trials} trials: p50 {took[len(took) // 2]:.2f} s, "
        f"p99 {took[max(len(took) * 99 // 100 - 1, 0)]:.2f} s, worst {took[-1]:.2f} s, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
