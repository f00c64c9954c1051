"""Notifiers of several nodes over one state, with a clock moved by hand and a sink that can fail."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
from builders import NOON, node

from croncord.clock import ManualClock
from croncord.lifecycle import RunState
from croncord.model import JobSpec, run_id
from croncord.notification import Channel, NotifySettings
from croncord.notify.notifier import Notifier
from croncord.notify.undelivered import Undelivered
from croncord.raft.commands import (
    Assignment,
    AssignRuns,
    Claim,
    ClaimRuns,
    FinishRuns,
    PutJob,
    PutNode,
    RunResult,
    TriggerRun,
)
from croncord.raft.notify_commands import PutChannel, SetNotifySettings
from croncord.raft.solo import SoloReplica


class Seat:
    """The replica as one of several nodes sees it: who leads and who sees a majority is said here."""

    def __init__(self, replica, name):
        self.replica = replica
        self.name = name
        self.leads = False
        self.has_quorum = True
        self._listeners = []

    def __getattr__(self, name):
        return getattr(self.replica, name)

    def status(self):
        return msgspec.structs.replace(
            self.replica.status(),
            name=self.name,
            role="leader" if self.leads else "follower",
            has_quorum=self.has_quorum,
            members=("n1", "n2", "n3"),
        )

    def on_status_change(self, listener):
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def lead(self, leads):
        self.leads = leads
        for listener in self._listeners:
            listener(self.status())


class Sink:
    """Takes notices, unless it is down or slow."""

    def __init__(self):
        self.taken = []
        self.calls = 0
        self.fault = None
        self.slow = None

    async def send(self, _state, channel, delivery):
        self.calls += 1
        if self.slow is not None:
            await self.slow
        fault = self.fault(delivery) if callable(self.fault) else self.fault
        if fault is not None:
            raise fault
        self.taken.append((channel.name, delivery.notice.kind, delivery.id))

    def kinds(self):
        return [kind for _, kind, _ in self.taken]


DOWN = Undelivered("nobody there", reached=False)
REFUSED = Undelivered("answered 400", reached=True)


class Stage:
    """A state, a clock moved by hand, and the notifiers of some nodes."""

    def __init__(self, replica):
        self.replica = replica
        self.clock = ManualClock(NOON)
        self.sink = Sink()
        self.seats = {}
        self.tasks = {}

    @property
    def state(self):
        return self.replica.state

    async def do(self, command):
        outcome = await self.replica.propose(command)
        assert outcome.refusal is None, outcome.refusal
        return outcome.value

    def join(self, name, *, leads=False):
        seat = Seat(self.replica, name)
        seat.leads = leads
        notifier = Notifier(name=name, replica=seat, clock=self.clock, send=self.sink.send)
        self.seats[name] = seat
        self.tasks[name] = asyncio.create_task(notifier.run())
        return seat

    async def kill(self, name):
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)

    async def settle(self):
        for _ in range(200):
            await asyncio.sleep(0)

    async def passes(self, seconds, *, step=1):
        for _ in range(round(seconds / step)):
            await self.clock.advance(step)
            await self.settle()

    async def channel(self, name):
        channel = Channel(
            name=name, kind="webhook", shown="", updated_at=NOON, updated_by="user:ada"
        )
        await self.do(PutChannel(at=NOON, channel=channel))

    async def job(self, name, **fields):
        spec = JobSpec(name=name, script="true\n", **fields)
        at = self.clock.now()
        await self.do(PutJob(at=at, job_id=f"id-{name}", spec=spec, next_due=None))

    async def starts(self, name):
        at, job = self.clock.now(), f"id-{name}"
        run = run_id(job, at, str(self.state.fence))
        await self.do(TriggerRun(at=at, job_id=job, run_id=run))
        assigned = (Assignment(run_id=run, attempt=1, node="n1"),)
        await self.do(AssignRuns(at=at, term=self.state.term, assignments=assigned))
        claims = (Claim(run_id=run, attempt=1),)
        await self.do(ClaimRuns(at=at, node="n1", claims=claims))
        return run

    async def ends(self, run, state="failed"):
        at = self.clock.now()
        result = RunResult(run_id=run, attempt=1, state=RunState(state), finished_at=at)
        await self.do(FinishRuns(at=at, node="n1", results=(result,)))

    async def fails(self, name="job"):
        await self.ends(await self.starts(name))


@asynccontextmanager
async def open_stage():
    replica = SoloReplica("n1")
    await replica.start()
    stage = Stage(replica)
    await stage.do(PutNode(at=NOON, node=node("n1")))
    await stage.channel("ops")
    await stage.do(SetNotifySettings(at=NOON, settings=NotifySettings(channels=("ops",))))
    await stage.job("job")
    try:
        yield stage
    finally:
        for name in stage.tasks:
            await stage.kill(name)
        await replica.stop()
