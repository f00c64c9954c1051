"""One seed from beginning to end: a calm start, faults, then everything healed and watched.

`python tests/simulation/cluster_story.py SEED [SEED ...]` tells what happened; `--scan FROM COUNT`
tries many.
"""

# ruff: noqa: T201 - a tool talks to people on standard output

import asyncio
import contextlib
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cluster_faults import OUTAGES_SECONDS, Faults
from cluster_loop import simulate
from cluster_verifiers import verify
from cluster_workload import DEEDS, People
from cluster_world import Habits, Violation, World

from croncord.node.planner import Limits
from croncord.raft.commands import DrainNode, PauseCluster

ALL_FAULTS = frozenset(
    {
        "crash",
        "freeze",
        "cut",
        "oneway",
        "clock",
        "chaos",
        "transfer",
        "disk",
        "drain",
        "member",
        "wipe",
    }
)
RECOVERY_SECONDS = 30.0
"""After everything is healed, ticks from then on must be met."""
WATCH_SECONDS = 75.0


@dataclass
class Plan:
    """What one seed means."""

    seed: int
    nodes: int = 3
    jobs: int = 5
    faults: frozenset[str] = ALL_FAULTS
    calm_seconds: float = 20.0
    fault_seconds: float = 150.0
    people_pause_seconds: float = 6.0
    habits: Habits = field(default_factory=Habits)
    limits: Limits = field(default_factory=Limits)
    max_runs: int = 0
    narrowed: Mapping[str, Sequence[object]] = field(default_factory=dict)
    """Fields of jobs that take only some values."""
    outages_seconds: Sequence[float] = OUTAGES_SECONDS
    deeds: Mapping[str, int] = field(default_factory=lambda: DEEDS)


@dataclass
class Story:
    """What happened."""

    plan: Plan
    world: World
    people: People
    faults: Faults
    healed_at: float = 0.0
    ends_at: float = 0.0


def plan_of(seed: int) -> Plan:
    """Draw the parameters of a seed."""
    rng = random.Random(f"plan {seed}")
    faults = ALL_FAULTS
    if rng.random() < 0.6:
        faults = frozenset(rng.sample(sorted(ALL_FAULTS), rng.randint(1, 4)))
    elif rng.random() < 0.15:
        faults = ALL_FAULTS | {"jump"}
    return Plan(
        seed=seed,
        nodes=rng.choice([3, 3, 5]),
        jobs=rng.randint(2, 6),
        faults=faults,
        fault_seconds=rng.choice([60.0, 150.0, 240.0]),
        people_pause_seconds=rng.choice([1.0, 6.0, 20.0]),
        habits=Habits(
            believes_seconds=rng.choice([1.2, 1.5, 8.0, 40.0]),
            snapshot_entries=rng.choice([20, 100, 1000]),
        ),
        limits=Limits(
            lost_after_seconds=rng.choice([8.0, 20.0, 60.0]),
            batch=rng.choice([1, 2, 1000]),
        ),
        max_runs=rng.choice([0, 0, 0, 3]),
    )


async def live(plan: Plan) -> Story:
    """Play a plan to its end."""
    names = tuple(f"n{index + 1}" for index in range(plan.nodes))
    world = World(
        seed=plan.seed,
        node_names=names,
        limits=plan.limits,
        habits=plan.habits,
        labels={name: {"zone": "ab"[index % 2]} for index, name in enumerate(names)},
        max_runs=plan.max_runs,
    )
    rng = random.Random(f"people {plan.seed}")
    people = People(world, rng, narrowed=plan.narrowed, deeds=plan.deeds)
    rng = random.Random(f"faults {plan.seed}")
    faults = Faults(world, rng, plan.faults, plan.outages_seconds)
    story = Story(plan, world, people, faults)
    await world.begin()
    await people.begin(plan.jobs)
    await asyncio.sleep(plan.calm_seconds)
    acting = asyncio.create_task(_act_for_ever(world, people, plan.people_pause_seconds))
    await faults.run(plan.fault_seconds)
    acting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await acting
    faults.heal()
    story.healed_at = world.time
    await _settle(world, people)
    await asyncio.sleep(max(0.0, story.healed_at + RECOVERY_SECONDS - world.time))
    world.account.is_calm = True
    await asyncio.sleep(WATCH_SECONDS)
    story.ends_at = world.time
    return story


async def _act_for_ever(world: World, people: People, pause_seconds: float) -> None:
    rng = random.Random(f"acts {world.seed}")
    acts = set()
    while True:
        await asyncio.sleep(rng.expovariate(1 / pause_seconds))
        acts = {act for act in acts if not act.done()}
        if len(acts) < 5:
            acts.add(asyncio.create_task(people.act()))


async def _settle(world: World, people: People) -> None:
    """After the faults nothing is paused or drained."""
    until = world.time + RECOVERY_SECONDS - 8
    while world.time < until:  # what was asked for before may still take effect
        state = world.account.state
        if state.paused:
            await people.change(lambda at: PauseCluster(at=at, paused=False))
        for node in [node for node in state.nodes.values() if node.draining]:
            await people.change(
                lambda at, name=node.name: DrainNode(at=at, name=name, draining=False)
            )
        await asyncio.sleep(0.5)


async def _told(plan: Plan) -> tuple[Story, list[Violation]]:
    story = await live(plan)
    found = verify(story)
    story.world.is_over = True
    return story, found


def run_story(plan: Plan) -> tuple[Story, list[Violation]]:
    """Play a plan and judge it."""
    return simulate(_told(plan))


def check(seed: int) -> None:
    """Raise when a promise is broken under a seed."""
    _story, found = run_story(plan_of(seed))
    if found:
        again = f"python tests/simulation/cluster_story.py {seed}"
        listed = "\n".join(str(each) for each in found[:10])
        raise AssertionError(f"seed {seed} (again: {again})\n{listed}")


def _main(arguments: list[str]) -> int:
    logging.disable()  # what fails on purpose would drown the verdicts
    if arguments[0] == "--scan":
        first, count = int(arguments[1]), int(arguments[2])
        seeds = range(first, first + count)
    else:
        seeds = [int(word) for word in arguments]
    bad = 0
    for seed in seeds:
        begun = time.perf_counter()
        plan = plan_of(seed)
        story, found = run_story(plan)
        seconds = time.perf_counter() - begun
        bad += bool(found)
        starts = len(story.world.witnesses)
        print(
            f"seed {seed}: {story.ends_at:.0f} s in {seconds:.2f} s, {starts} starts, {plan.nodes} nodes, {sorted(plan.faults) if plan.faults != ALL_FAULTS else 'all'}: {dict(Counter(v.kind for v in found)) or 'good'}"
        )
        if len(seeds) < 4:
            print("\n".join(story.faults.log))
            sys.stdout.flush()
        for each in found[: 3 if len(seeds) > 3 else 20]:
            print("   ", each)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
