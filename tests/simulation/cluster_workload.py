"""Random jobs, random people and random faults, all drawn from one seed."""

import asyncio
import random
from dataclasses import dataclass

from cluster_world import SimulatedNode, World

from croncord.errors import CronCordError, OutcomeUnknown
from croncord.lifecycle import RunState
from croncord.model import Job, JobSpec, Misfire, Retries, Target, run_id
from croncord.raft.commands import (
    AnyCommand,
    DeleteJob,
    DrainNode,
    PauseCluster,
    PauseJob,
    PutJob,
    RemoveNode,
    RequestKill,
    TriggerRun,
)
from croncord.service.agreement import Agreement
from croncord.ticks import first_tick

OVERLAPS = ("skip", "queue_one", "queue_all", "replace", "allow")
CALL_SECONDS = 12.0


@dataclass
class Call:
    """What somebody asked for, as Jepsen writes it down."""

    invoked: float
    command: AnyCommand | None = None
    """As it was last proposed."""
    answered: float | None = None
    result: str = "info"
    """ok, fail (surely not done) or info (nobody knows)."""
    value: object = None


class People:
    """Everybody who uses the cluster. They know jobs by id and talk to any node."""

    def __init__(self, world: World, rng: random.Random, *, slowest_seconds: int = 300) -> None:
        self._world = world
        self._rng = rng
        self._slowest = slowest_seconds
        self.calls: list[Call] = []
        self.job_ids: list[str] = []

    async def change(self, build, node: SimulatedNode | None = None) -> Call:
        """Ask one node for a change; wait for its answer, though not for ever."""
        call = Call(self._world.time)
        self.calls.append(call)
        living = [n for n in self._world.nodes.values() if n.life is not None]
        if not living:
            call.result = "fail"
            return call
        node = node or self._rng.choice(living)
        task = node.life.spawn(self._propose(node, call, build))
        await asyncio.wait([task], timeout=CALL_SECONDS)
        if task.done():
            call.answered = self._world.time
        return call

    async def _propose(self, node: SimulatedNode, call: Call, build) -> None:
        agreement = Agreement(node.member, node.clock)

        def noted(at) -> AnyCommand:
            call.command = build(at)
            return call.command

        try:
            value = await agreement.change(noted)
        except CronCordError as error:
            certain = call.command is None or not isinstance(error, OutcomeUnknown)
            call.result = "fail" if certain else "info"
            call.value = error
        else:
            call.result, call.value = "ok", value

    # What people do

    def random_spec(self, name: str) -> JobSpec:
        rng = self._rng
        seconds = rng.choice([0.0, 0.5, 0.5, 2.0, 5.0, 20.0, 70.0, 300.0])
        fail_percent = rng.choice([0, 0, 30, 100])
        term = rng.choice([0.0, 0.0, 1.0, 100.0])
        every = rng.choice(
            [s for s in (1, 2, 3, 5, 10, 15, 30, 60, 120, 300) if s <= self._slowest]
        )
        schedule = rng.choice(
            [
                f"@every {every}s",
                f"@every {every}s",
                f"*/{every} * * * * *" if every < 60 else f"0 */{every // 60} * * * *",
                "* * * * *" if self._slowest >= 60 else "*/7 * * * * *",
                "@manual" if rng.random() < 0.5 else "*/20 * * * * *",
            ]
        )
        names = tuple(self._world.nodes)
        target = Target(
            nodes=tuple(sorted(rng.sample(names, 2))) if rng.random() < 0.2 else (),
            labels={"zone": "b"} if rng.random() < 0.1 else {},
            strategy=rng.choice(["least_loaded", "spread", "hash", "random"]),
            every_node=rng.random() < 0.15,
        )
        return JobSpec(
            name=name,
            script=f"play {seconds} {fail_percent} {term}",
            schedule=(schedule,),
            overlap=rng.choice(OVERLAPS),
            misfire=Misfire(
                policy=rng.choice(["skip", "run_once", "run_all"]),
                window_seconds=rng.choice([20, 60, 600]),
            ),
            delivery=rng.choice(["at_most_once", "at_least_once"]),
            retries=Retries(
                count=rng.choice([0, 0, 1, 3]),
                delay_seconds=rng.choice([0, 1, 10]),
                backoff=rng.choice([1.0, 2.0]),
                other_node=rng.random() < 0.3,
            ),
            timeout_seconds=rng.choice([None, None, 3, 30]),
            kill_grace_seconds=rng.choice([0, 2, 10]),
            jitter_seconds=rng.choice([0, 0, 0, 5]),
            target=target,
        )

    async def create(self, spec: JobSpec, job_id: str = "") -> Call:
        job_id = job_id or f"job{len(self.job_ids)}"
        self.job_ids.append(job_id)
        return await self.change(lambda at: put(job_id, spec, at, 0))

    def known(self) -> list[Job]:
        return list(self._world.account.state.jobs.values())

    def _job(self, job_id: str) -> Job | None:
        return self._world.account.state.jobs.get(job_id)

    async def act(self) -> None:  # noqa: C901 - one branch per deed
        """Do something at random."""
        rng, account = self._rng, self._world.account
        jobs = self.known()
        what = rng.choices(
            ["edit", "rename", "pause", "resume", "trigger", "kill", "delete", "create", "cluster"],
            [3, 2, 2, 4, 4, 8, 1, 2, 1],
        )[0]
        if what == "create" or not jobs:
            if len(jobs) < 8:
                await self.create(self.random_spec(f"new{len(self.job_ids)}"))
            return
        job = rng.choice(jobs)
        if what == "edit":
            spec = self.random_spec(job.name)
            await self.change(lambda at: put(job.id, spec, at, job.version, self._job(job.id)))
        elif what == "rename":  # an edit that leaves the schedule alone
            spec = self.random_spec(job.name)
            kept = {field: getattr(job.spec, field) for field in ("schedule", "target", "overlap")}
            fields = {field: getattr(spec, field) for field in spec.__struct_fields__} | kept
            await self.change(
                lambda at: put(job.id, JobSpec(**fields), at, job.version, self._job(job.id))
            )
        elif what in ("pause", "resume"):
            paused = what == "pause"
            await self.change(lambda at: PauseJob(at=at, job_id=job.id, paused=paused))
        elif what == "trigger":
            key = f"key{rng.randrange(10**9)}"
            node = rng.choice(["", "", rng.choice(list(self._world.nodes))])

            def trigger(at) -> TriggerRun:
                return TriggerRun(
                    at=at,
                    job_id=job.id,
                    run_id=run_id(job.id, at, f"manual:{key}", node),
                    node=node,
                    idempotency_key=key,
                )

            call = await self.change(trigger)
            if call.result == "info":
                await self.change(trigger)
        elif what == "kill":
            runs = [r for r in account.state.open_runs.values() if r.state is RunState.RUNNING]
            nodes = self._world.nodes
            away = [run for run in runs if run.node in nodes and not nodes[run.node].is_up]
            if runs:
                run = rng.choice(away or runs)
                await self.change(lambda at: RequestKill(at=at, run_id=run.id))
        elif what == "delete":
            kill = rng.random() < 0.5
            await self.change(lambda at: DeleteJob(at=at, job_id=job.id, kill=kill))
        else:
            await self.change(lambda at: PauseCluster(at=at, paused=True))
            await asyncio.sleep(rng.uniform(1, 30))
            await self.change(lambda at: PauseCluster(at=at, paused=False))


def put(job_id: str, spec: JobSpec, at, expect_version: int | None, old: Job | None = None):
    """Build what the desk builds."""
    after = max(at, old.decided_until) if old and old.decided_until else at
    due = first_tick(spec, job_id, at, after)
    return PutJob(at=at, job_id=job_id, spec=spec, next_due=due, expect_version=expect_version)


class Faults:
    """Breaks things for a while, then repairs everything."""

    def __init__(self, world: World, rng: random.Random, kinds: frozenset[str]) -> None:
        self._world = world
        self._rng = rng
        self._kinds = sorted(kinds)
        self.log: list[str] = []

    def _say(self, text: str) -> None:
        self.log.append(f"{self._world.time:8.2f} {text}")

    async def run(self, seconds: float) -> None:
        """Break something every few seconds until the time is over."""
        end = self._world.time + seconds
        while self._world.time < end and self._kinds:
            await asyncio.sleep(self._rng.uniform(0.5, 15))
            kind = self._rng.choice(self._kinds)
            await getattr(self, f"_{kind}")()

    def _some(self) -> list[SimulatedNode]:
        """One node, a minority, a majority, the leader, or all."""
        nodes = list(self._world.nodes.values())
        leader = self._world.leader()
        choice = self._rng.randrange(6)
        if choice == 0 and leader is not None:
            return [leader]
        counts = {1: 1, 2: 1, 3: (len(nodes) - 1) // 2, 4: len(nodes) // 2 + 1, 5: len(nodes)}
        return self._rng.sample(nodes, counts.get(choice, 1))

    def _outage_seconds(self) -> float:
        return self._rng.choice([0.3, 2.0, 8.0, 8.0, 25.0, 90.0]) * self._rng.uniform(0.5, 1.5)

    async def _crash(self) -> None:
        hit = self._some()
        power = self._rng.random() < 0.3
        for node in hit:
            if node.life is not None:
                self._say(f"{'power cut' if power else 'kill -9'} {node.name}")
                node.power_cut() if power else node.kill()
                self._world.later(self._outage_seconds(), self._boot, node)

    def _boot(self, node: SimulatedNode) -> None:
        if node.life is None and node.name in self._world.nodes:
            self._say(f"boot {node.name}")
            node.boot()

    async def _freeze(self) -> None:
        for node in self._some():
            if node.is_up:
                self._say(f"freeze {node.name}")
                life = node.life
                life.freeze()
                self._world.later(self._outage_seconds(), self._thaw, node, life)

    def _thaw(self, node: SimulatedNode, life) -> None:
        if node.life is life and not node.is_up:
            self._say(f"thaw {node.name}")
            life.thaw()

    async def _cut(self) -> None:
        hit = {node.name for node in self._some()}
        rest = set(self._world.nodes) - hit
        pairs = {(a, b) for a in hit for b in rest} | {(b, a) for a in hit for b in rest}
        self._open_later(pairs, f"cut {sorted(hit)} off")

    async def _oneway(self) -> None:
        names = list(self._world.nodes)
        pairs = {tuple(self._rng.sample(names, 2)) for _ in range(self._rng.randint(1, 3))}
        self._open_later(pairs, f"cut {sorted(pairs)}")

    def _open_later(self, pairs, text: str) -> None:
        self._say(text)
        self._world.network.cuts |= pairs

        def mend() -> None:
            self._say(f"mend: {text}")
            self._world.network.cuts -= pairs

        self._world.later(self._outage_seconds(), mend)

    async def _clock(self) -> None:
        node = self._rng.choice(list(self._world.nodes.values()))
        node.offset_ms = self._rng.choice([-1500, -300, 0, 0, 300, 1500])
        self._say(f"clock of {node.name} {node.offset_ms:+} ms")

    async def _jump(self) -> None:
        node = self._rng.choice(list(self._world.nodes.values()))
        node.offset_ms = self._rng.choice([-3_600_000, -40_000, 0, 0, 40_000, 3_600_000])
        self._say(f"clock of {node.name} {node.offset_ms:+} ms")

    async def _chaos(self) -> None:
        habits = self._world.habits
        habits.loss = self._rng.choice([0, 0, 0.05, 0.3])
        habits.repeat = self._rng.choice([0, 0, 0.2])
        habits.delay_seconds = self._rng.choice([(0.001, 0.02), (0.001, 0.3), (0.05, 1.0)])
        habits.slow = self._rng.choice([1, 1, 20])
        self._say(f"network {habits}")

    async def _transfer(self) -> None:
        leader = self._world.leader()
        if leader is not None:
            self._say(f"transfer from {leader.name}")
            leader.life.spawn(leader.member.transfer_leadership())

    async def _disk(self) -> None:
        for node in self._some()[:1]:
            if node.life is not None:
                self._say(f"disk of {node.name} full")
                journal = node.journal
                journal.broken = True
                self._world.later(self._outage_seconds(), setattr, journal, "broken", False)

    async def _drain(self) -> None:
        node = self._rng.choice(list(self._world.nodes.values()))
        draining = self._rng.random() < 0.3
        self._say(f"drain {node.name} {draining}")
        build = lambda at: DrainNode(at=at, name=node.name, draining=draining)  # noqa: E731 - one line
        await People(self._world, self._rng).change(build)

    async def _member(self) -> None:
        """Replace one node for good by a new one with an empty disk."""
        world, rng = self._world, self._rng
        if any(node.life is None for node in world.nodes.values()) or len(world.retired) > 3:
            return
        old = rng.choice(list(world.nodes.values()))
        fresh = f"n{len(world.nodes) + len(world.retired) + 1}"
        self._say(f"replace {old.name} by {fresh}")
        old.power_cut()
        del world.nodes[old.name]
        world.retired.append(old)
        await self._change_members(lambda names: names - {old.name})
        people = People(world, rng)
        for _ in range(50):
            call = await people.change(lambda at: RemoveNode(at=at, name=old.name))
            if call.result == "ok" or old.name not in world.account.state.nodes:
                break
            await asyncio.sleep(1)
        world.add_node(fresh).boot()
        await self._change_members(lambda names: names | {fresh})

    async def _change_members(self, change) -> None:
        while True:
            leader = self._world.leader()
            if leader is not None:
                names = set(leader.disk.members())
                wanted = change(names)
                if wanted == names:
                    if leader.member.has_settled_members():
                        return
                else:
                    leader.member.change_members(tuple(sorted(wanted)))
            await asyncio.sleep(0.5)

    def heal(self) -> None:
        """Repair everything."""
        world = self._world
        self._say("heal")
        world.network.cuts.clear()
        habits = world.habits
        habits.loss = habits.repeat = 0.0
        habits.delay_seconds, habits.slow = (0.001, 0.02), 1.0
        habits.believes_seconds = 1.5
        for node in world.nodes.values():
            node.offset_ms = self._rng.choice([-100, 0, 100])
            if node.life is None:
                node.boot()
            elif not node.is_up:
                node.life.thaw()
            node.journal.broken = False
