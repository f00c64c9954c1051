"""People who use the cluster: what each asks for is drawn from the seed."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from cluster_jobs import CALENDARS, LABEL, JobMaker
from cluster_world import SimulatedNode, World

from croncord.errors import CronCordError, OutcomeUnknown
from croncord.lifecycle import RunState
from croncord.model import Job, JobSpec, run_id
from croncord.raft.commands import (
    AnyCommand,
    Backfill,
    CancelBackfill,
    DeleteJob,
    PauseCluster,
    PauseJob,
    PutCalendar,
    PutJob,
    RequestKill,
    SetLabelLimits,
    TriggerRun,
)
from croncord.service.agreement import Agreement
from croncord.ticks import first_tick, ticks_after

CALL_SECONDS = 12.0
DEEDS = {
    "edit": 3,
    "rename": 2,
    "pause": 2,
    "resume": 5,
    "trigger": 4,
    "kill": 8,
    "delete": 1,
    "create": 2,
    "cluster": 1,
    "backfill": 2,
    "cancel": 1,
    "calendar": 1,
    "label": 1,
}
"""What people do, and how often."""


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

    def __init__(
        self,
        world: World,
        rng: random.Random,
        *,
        slowest_seconds: int = 300,
        narrowed: Mapping[str, Sequence[object]] | None = None,
        deeds: Mapping[str, int] = DEEDS,
    ) -> None:
        self._world = world
        self._rng = rng
        self._maker = JobMaker(rng, slowest_seconds, narrowed)
        self._deeds = deeds
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
        """Draw a definition that names what there is."""
        names = [job.name for job in self.known()]
        return self._maker.spec(name, self._world.instant(), list(self._world.nodes), names)

    async def begin(self, jobs: int) -> None:
        """Make the calendars and the first jobs."""
        for name in CALENDARS:
            await self._set_calendar(name)
        for index in range(jobs):
            await self.create(self.random_spec(f"job{index}"))

    async def create(self, spec: JobSpec, job_id: str = "") -> Call:
        """Create a job."""
        job_id = job_id or f"job{len(self.job_ids)}"
        self.job_ids.append(job_id)
        return await self.change(lambda at: put(job_id, spec, at, 0))

    def known(self) -> list[Job]:
        """Return the jobs that there are."""
        return list(self._world.account.state.jobs.values())

    def _job(self, job_id: str) -> Job | None:
        return self._world.account.state.jobs.get(job_id)

    async def act(self) -> None:
        """Do something at random."""
        rng = self._rng
        jobs = self.known()
        what = rng.choices(list(self._deeds), list(self._deeds.values()))[0]
        if what == "create" or not jobs:
            if len(jobs) < 8:
                await self.create(self.random_spec(f"new{len(self.job_ids)}"))
            return
        await getattr(self, f"_{what}")(rng.choice(jobs))

    async def _edit(self, job: Job) -> None:
        spec = self.random_spec(job.name)
        await self.change(lambda at: put(job.id, spec, at, job.version, self._job(job.id)))

    async def _rename(self, job: Job) -> None:
        """An edit that leaves the schedule alone."""
        spec = self.random_spec(job.name)
        kept = {field: getattr(job.spec, field) for field in ("schedule", "target", "overlap")}
        fields = {field: getattr(spec, field) for field in spec.__struct_fields__} | kept
        await self.change(
            lambda at: put(job.id, JobSpec(**fields), at, job.version, self._job(job.id))
        )

    async def _pause(self, job: Job) -> None:
        await self.change(lambda at: PauseJob(at=at, job_id=job.id, paused=True))

    async def _resume(self, job: Job) -> None:
        paused = [other for other in self.known() if other.spec.paused]
        job = self._rng.choice(paused or [job])
        await self.change(lambda at: PauseJob(at=at, job_id=job.id, paused=False))

    async def _trigger(self, job: Job) -> None:
        rng = self._rng
        key = f"key{rng.randrange(10**9)}"
        node = rng.choice(["", "", rng.choice(list(self._world.nodes))])
        alone = rng.random() < 0.2

        def trigger(at) -> TriggerRun:
            return TriggerRun(
                at=at,
                job_id=job.id,
                run_id=run_id(job.id, at, f"manual:{key}", node),
                node=node,
                idempotency_key=key,
                fire_dependents=not alone,
            )

        call = await self.change(trigger)
        if call.result == "info":
            await self.change(trigger)

    async def _kill(self, _job: Job) -> None:
        state, nodes = self._world.account.state, self._world.nodes
        runs = [run for run in state.open_runs.values() if run.state is RunState.RUNNING]
        away = [run for run in runs if run.node in nodes and not nodes[run.node].is_up]
        if runs:
            run = self._rng.choice(away or runs)
            await self.change(lambda at: RequestKill(at=at, run_id=run.id))

    async def _delete(self, job: Job) -> None:
        kill = self._rng.random() < 0.5
        await self.change(lambda at: DeleteJob(at=at, job_id=job.id, kill=kill))

    async def _cluster(self, _job: Job) -> None:
        await self.change(lambda at: PauseCluster(at=at, paused=True))
        await asyncio.sleep(self._rng.uniform(1, 30))
        await self.change(lambda at: PauseCluster(at=at, paused=False))

    async def _backfill(self, job: Job) -> None:
        rng = self._rng
        since = self._world.instant(self._world.time - rng.uniform(30, 600))
        ticks = ticks_after(job.spec, job.id, since, since)
        now = self._world.instant()
        past = tuple(t for t in islice(ticks, rng.randint(1, 8)) if t < now)
        name, parallel = f"fill{rng.randrange(10**9)}", rng.randint(1, 3)
        fires = rng.random() < 0.5

        def backfill(at) -> Backfill:
            return Backfill(
                at=at,
                job_id=job.id,
                backfill_id=name,
                ticks=past,
                max_parallel=parallel,
                fire_dependents=fires,
            )

        if past:
            call = await self.change(backfill)
            if call.result == "info":
                await self.change(backfill)

    async def _cancel(self, _job: Job) -> None:
        state = self._world.account.state
        runs = [run for run in state.open_runs.values() if run.backfill]
        if runs:
            run, kill = self._rng.choice(runs), self._rng.random() < 0.5
            await self.change(
                lambda at: CancelBackfill(
                    at=at, job_id=run.job_id, backfill_id=run.backfill, kill=kill
                )
            )

    async def _calendar(self, _job: Job) -> None:
        await self._set_calendar(self._rng.choice(CALENDARS))

    async def _set_calendar(self, name: str) -> None:
        spec = self._maker.calendar(name, self._world.instant())
        await self.change(lambda at: PutCalendar(at=at, calendar=spec))

    async def _label(self, _job: Job) -> None:
        limits = self._rng.choice([{}, {LABEL: 1}, {LABEL: 3}])
        await self.change(lambda at: SetLabelLimits(at=at, limits=limits))


def put(job_id: str, spec: JobSpec, at, expect_version: int | None, old: Job | None = None):
    """Build what the desk builds."""
    after = max(at, old.decided_until) if old and old.decided_until else at
    due = first_tick(spec, job_id, at, after)
    return PutJob(at=at, job_id=job_id, spec=spec, next_due=due, expect_version=expect_version)
