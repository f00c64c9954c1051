"""For the runner: real processes and a guard against leftovers. For the agent: a scripted world."""

# The store in memory takes every argument of the port and needs only some.
# ruff: noqa: ARG002

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from croncord.clock import ManualClock, SystemClock
from croncord.errors import NoLeader, OutcomeUnknown, StoreError
from croncord.frames import GAP, SYSTEM, decode_frames
from croncord.lifecycle import Reason, RunState
from croncord.model import JobSpec, LogInfo
from croncord.node.agent import Agent
from croncord.node.agent_journal import Note, VolatileJournal
from croncord.node.group_home import NO_GROUPS, GroupHome, find_home, label_of
from croncord.node.kill import carries, process_table
from croncord.node.runner import ProcessRunner
from croncord.node.scripted import Play, ScriptedMachine, ScriptedRunner
from croncord.ports import LaunchRequest, LogChunk, LogKey, LogStatus, ProcessEnd
from croncord.raft.commands import (
    Assignment,
    AssignRuns,
    ClaimRuns,
    ConcludeRuns,
    Conclusion,
    FinishRuns,
    PutJob,
    ReportKill,
    RequestKill,
    TriggerRun,
)
from croncord.raft.solo import SoloReplica

NAMES = {1: "stdout", 2: "stderr", 3: "system"}


class MemoryLogs:
    """`RunLogs` that holds everything in memory; what is written survives a runner's restart."""

    def __init__(self):
        self.held: dict[LogKey, bytes] = {}
        self.closed: set[LogKey] = set()

    async def open(self, key, *, started_at: datetime) -> int:
        return len(self.held.setdefault(key, b""))

    async def append(self, key, offset: int, frames: bytes) -> int:
        held = self.held[key]
        assert offset <= len(held), "a gap between what is held and what comes"
        self.held[key] = held + frames[len(held) - offset :]
        return len(self.held[key])

    async def close(self, key) -> LogInfo:
        self.closed.add(key)
        return LogInfo(bytes=len(self.held[key]), complete=True)

    def status(self, key) -> LogStatus | None:
        if key not in self.held:
            return None
        size = len(self.held[key])
        return LogStatus(size=size, complete=key in self.closed, info=LogInfo(bytes=size))

    async def read(self, key, *, holders=(), offset=0, stream=None, follow=False):
        at = offset
        for frame in decode_frames(self.held[key][offset:])[0]:
            name = NAMES.get(frame.stream)
            if name and stream in (None, name):
                yield LogChunk(name, frame.payload, at, at + frame.size, frame.milliseconds)
            at += frame.size

    async def tail_offset(self, key, lines: int, *, holders=()) -> int:
        return 0

    async def delete(self, keys) -> None:
        for key in keys:
            self.held.pop(key, None)

    # For tests

    def frames(self, key):
        frames, consumed = decode_frames(self.held[key])
        assert consumed == len(self.held[key]), "only whole frames are handed over"
        return frames

    def output(self, key, stream: int = 1) -> bytes:
        return b"".join(f.payload for f in self.frames(key) if f.stream == stream)

    def system(self, key) -> list[str]:
        return [
            f.payload.decode() for f in self.frames(key) if f.stream == SYSTEM and f.flags != GAP
        ]

    async def until_output(self, key, wanted: bytes) -> None:
        """Wait until a script has printed something."""
        while key not in self.held or wanted not in self.output(key):
            await asyncio.sleep(0.005)


class Bench:
    """A runner, its store, and shorthands to use them."""

    def __init__(self, directory: Path, groups: GroupHome = NO_GROUPS):
        self.runs = directory / "runs"
        self.logs = MemoryLogs()
        self.groups = groups
        self.runner = self.fresh_runner()
        self._count = 0

    def fresh_runner(self) -> ProcessRunner:
        return ProcessRunner(self.runs, self.logs, SystemClock(), groups=self.groups)

    def request(self, script: str | bytes, **changes) -> LaunchRequest:
        self._count += 1
        values = {
            "key": LogKey(f"run{os.getpid()}x{self._count}", 1),
            "script": script.encode() if isinstance(script, str) else script,
            "environment": {},
            "working_directory": "/",
            "user": "",
            "timeout_seconds": None,
            "kill_grace_seconds": 5,
            "log_bytes": 16 * 1024 * 1024,
        }
        return LaunchRequest(**(values | changes))

    async def launch(self, script: str | bytes, **changes) -> LogKey:
        request = self.request(script, **changes)
        await self.runner.launch(request)
        return request.key

    async def run(self, script: str | bytes, **changes) -> tuple[LogKey, ProcessEnd]:
        key = await self.launch(script, **changes)
        return key, await self.runner.wait(key)

    def processes_of(self, key: LogKey) -> list[int]:
        """Living processes that carry the mark of a run, without its shim."""
        mark = frozenset({f"CRONCORD_RUN_ID={key.run_id}".encode()})
        return [p.pid for p in process_table().values() if p.is_alive and carries(p.pid, mark)]

    def end_everything(self) -> None:
        """Kill what a test left: shims by their directories, scripts by their marks."""
        mark = f"CRONCORD_RUN_ID=run{os.getpid()}x".encode()
        for pid in process_table():
            with contextlib.suppress(OSError):
                environment = Path(f"/proc/{pid}/environ").read_bytes()
                in_runs = Path(f"/proc/{pid}/cwd").resolve().is_relative_to(self.runs)
                if pid != os.getpid() and (mark in environment or in_runs):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def memory_logs() -> MemoryLogs:
    return MemoryLogs()


@pytest.fixture
async def bench(tmp_path) -> AsyncIterator[Bench]:
    it = Bench(tmp_path)
    await it.runner.start()
    try:
        yield it
    finally:
        await it.runner.stop()
        it.end_everything()


@pytest.fixture
def group_home(tmp_path) -> Iterator[GroupHome]:
    """Real control groups on this machine, removed afterwards."""
    home = find_home(label_of(tmp_path))
    if not home.is_used:
        pytest.skip(home.lacking)
    yield home
    # What a test killed takes a moment to leave.
    while home.places("any", []) and not home.close():
        home.tidy(())
        time.sleep(0.01)


@pytest.fixture
async def grouped_bench(tmp_path, group_home) -> AsyncIterator[Bench]:
    it = Bench(tmp_path, group_home)
    await it.runner.start()
    try:
        yield it
    finally:
        await it.runner.stop()
        it.end_everything()


START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ME = "n1"


class WeatherReplica(SoloReplica):
    """A replica of one that loses contact on command.

    `weather` holds what happens to the next proposals: "lost" before or "unknown" after they took
    effect, "fine"; `no_leader` fails all of them and the barriers.
    """

    def __init__(self, name):
        super().__init__(name)
        self.weather: list[str] = []
        self.no_leader = False
        self.proposed = []

    async def propose(self, command, **options):
        self.proposed.append(command)
        if isinstance(command, ClaimRuns | FinishRuns | ReportKill):
            if self.no_leader:
                raise NoLeader("nobody leads")
            weather = self.weather.pop(0) if self.weather else "fine"
            if weather == "lost":
                raise NoLeader("nobody leads")
            if weather == "unknown":
                await super().propose(command, **options)
                raise OutcomeUnknown("not confirmed")
        return await super().propose(command, **options)

    async def barrier(self, **options):
        if self.no_leader:
            raise NoLeader("nobody leads")
        await super().barrier(**options)


class World:
    """One node in a cluster that agrees at once."""

    def __init__(self, logs):
        self.clock = ManualClock(START)
        self.replica = WeatherReplica(ME)
        self.logs = logs
        self.journal = VolatileJournal()
        self.offset_ms = 0
        self.pressure = ""
        self.plays: dict[str, Play] = {}
        self.machine = ScriptedMachine(
            self.clock, lambda request: self.plays.get(request.key.run_id, Play())
        )
        self.requests = {}
        self.life: asyncio.Task[None] | None = None
        self.agent: Agent | None = None
        self._count = 0

    @property
    def now(self):
        return self.clock.now()

    def boot(self):
        self.agent = Agent(
            name=ME,
            replica=self.replica,
            runner=ScriptedRunner(self.machine, self.logs),
            clock=self.clock,
            journal=self.journal,
            offset=lambda: self.offset_ms,
            pressure=lambda: self.pressure,
        )
        self.life = asyncio.create_task(self.agent.run())

    async def crash(self):
        self.life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.life

    async def pass_time(self, seconds=0.0):
        for _ in range(60):
            await asyncio.sleep(0)
        while seconds > 0:
            step = min(seconds, 0.25)
            await self.clock.advance(step)
            for _ in range(60):
                await asyncio.sleep(0)
            seconds -= step

    async def job(self, **spec):
        spec = JobSpec(**({"name": "job", "script": "true", "overlap": "allow"} | spec))
        await self.replica.propose(PutJob(at=self.now, job_id="j", spec=spec, next_due=None))

    async def assign(self, run_id, attempt=1, node=ME):
        assignment = Assignment(run_id=run_id, attempt=attempt, node=node)
        await self.replica.propose(AssignRuns(at=self.now, term=9, assignments=(assignment,)))

    async def trigger(self, play=None, *, node=ME, due_in=0.0):
        """Ask for a run that is due in so many seconds, and give it to a node."""
        self._count += 1
        run_id = f"r{self._count:03}"
        if play is not None:
            self.plays[run_id] = play
        at = self.now + timedelta(seconds=due_in)
        await self.replica.propose(TriggerRun(at=at, job_id="j", run_id=run_id))
        await self.assign(run_id, node=node)
        return run_id

    async def kill(self, run_id, grace_seconds=5):
        command = RequestKill(
            at=self.now, by="user:ada", run_id=run_id, grace_seconds=grace_seconds
        )
        await self.replica.propose(command)

    async def declare_lost(self, run_id, attempt=1):
        conclusion = Conclusion(
            run_id=run_id, attempt=attempt, state=RunState.LOST, reason=Reason.NODE_DOWN
        )
        await self.replica.propose(ConcludeRuns(at=self.now, term=9, conclusions=(conclusion,)))

    def run(self, run_id):
        return self.replica.state.run(run_id)

    def commands(self, kind):
        return [command for command in self.replica.proposed if isinstance(command, kind)]


class Notebook(VolatileJournal):
    """Notes on a disk that may refuse."""

    def __init__(self):
        super().__init__()
        self.refuses: set[Note] = set()

    async def write(self, note, keys):
        if note in self.refuses:
            raise StoreError("the disk is full")
        await super().write(note, keys)


@pytest.fixture
async def world(memory_logs):
    it = World(memory_logs)
    await it.replica.start()
    await it.job()
    it.boot()
    await it.pass_time()
    yield it
    await it.crash()
    await it.replica.stop()


@pytest.fixture
async def forgetful_world(memory_logs):
    it = World(memory_logs)
    it.journal = Notebook()
    await it.replica.start()
    await it.job()
    it.boot()
    await it.pass_time()
    yield it
    await it.crash()
    await it.replica.stop()
