"""Machines of the simulation: what outlives a daemon, and the witness of what really ran.

`Machine.started` is written by the scripts, so to speak, never by CronCord: every process that
began, where and when, and how it ended.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from croncord.errors import Conflict, NotFound, StoreError
from croncord.model import LogInfo
from croncord.ports import LaunchRequest, LogKey, ProcessEnd


@dataclass
class Witness:
    """One process: what its script saw, in true time."""

    key: LogKey
    node: str
    job_id: str
    nominal: str
    trigger: str
    fence: int
    shard: tuple[int, int]
    began: float
    ended: float | None = None
    how: str = ""
    """`exited 0`, `killed`, `timed_out`, `power`; empty while it runs."""


@dataclass
class Part:
    """What the shim knows of one attempt."""

    request: LaunchRequest
    over: asyncio.Event
    witness: Witness | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    signalled_at: datetime | None = None
    outcome: str = ""
    exit_code: int | None = None


class Script:
    """What a script says it does: `play SECONDS FAIL_PERCENT TERM_SECONDS`, chance by its run."""

    def __init__(self, request: LaunchRequest) -> None:
        words = request.script.decode().split()
        self.seconds = float(words[1])
        chance = hashlib.blake2b(f"{request.key}".encode(), digest_size=2).digest()
        self.exit_code = 3 if int.from_bytes(chance) % 100 < int(words[2]) else 0
        self.term_seconds = float(words[3])


class Machine:
    """A host. Scripts run on it whatever becomes of the daemon; a power cut ends them all."""

    def __init__(self, name: str, world) -> None:
        self.name = name
        self._world = world
        self._orders: dict[LogKey, LaunchRequest] = {}
        self.parts: dict[LogKey, Part] = {}
        self.notes: dict[LogKey, str] = {}
        """What the agent's journal holds on disk."""

    def now(self) -> datetime:
        """The machine's clock, which the daemon shares."""
        return self._world.clock_of(self.name)

    def order(self, request: LaunchRequest, seconds: float) -> Part:
        """Take an order that starts after that long; what is ordered is on disk at once."""
        part = self.parts.get(request.key)
        if part is None:
            part = self.parts[request.key] = Part(request, asyncio.Event())
            self._orders[request.key] = request
            self._world.later(seconds, self._start, request.key)
        return part

    def take_orders(self) -> None:
        """Drop what was ordered and never started; from now on it never will."""
        for key in self._orders:
            del self.parts[key]
        self._orders.clear()

    def _start(self, key: LogKey) -> None:
        request = self._orders.pop(key, None)
        if request is None:
            return
        part, said = self.parts[key], request.environment
        part.witness = Witness(
            key=key,
            node=self.name,
            job_id=said["CRONCORD_JOB_ID"],
            nominal=said["CRONCORD_NOMINAL_TIME"],
            trigger=said["CRONCORD_TRIGGER"],
            fence=int(said["CRONCORD_FENCE"]),
            shard=(int(said["CRONCORD_SHARD_INDEX"]), int(said["CRONCORD_SHARD_COUNT"])),
            began=self._world.time,
        )
        part.started_at = self.now()
        self._world.began(part.witness)
        script = Script(request)
        self._world.later(script.seconds, self._exit, part, script.exit_code)
        if request.timeout_seconds is not None:
            self._world.later(request.timeout_seconds, self._time_out, part)

    def _exit(self, part: Part, exit_code: int) -> None:
        if not part.over.is_set() and not part.outcome:
            part.exit_code = exit_code
            self._finish(part, "exited", f"exited {exit_code}")

    def _time_out(self, part: Part) -> None:
        self.end(part, part.request.kill_grace_seconds, "timed_out")

    def end(self, part: Part, grace_seconds: float, outcome: str) -> None:
        """TERM, then KILL after the grace."""
        if part.over.is_set() or part.outcome:
            return
        part.outcome, part.signalled_at = outcome, self.now()
        seconds = min(Script(part.request).term_seconds, grace_seconds)
        self._world.later(seconds, self._finish, part, outcome, outcome)

    def _finish(self, part: Part, outcome: str, how: str) -> None:
        if part.over.is_set():
            return
        part.outcome, part.ended_at = outcome, self.now()
        if part.witness is not None:
            part.witness.ended, part.witness.how = self._world.time, how
        part.over.set()

    def power_cut(self) -> None:
        """Everything on the machine stops at once."""
        self.take_orders()
        for part in self.parts.values():
            self._finish(part, "lost", "power")

    def wipe(self) -> None:
        """A new disk."""
        self.power_cut()
        self.parts.clear()
        self.notes.clear()

    def forget(self, keys: Sequence[LogKey]) -> None:
        parts = self.parts
        running = [key for key in keys if key in parts and not parts[key].over.is_set()]
        for key in set(keys) - set(running):
            parts.pop(key, None)
        if running:
            raise Conflict(f"these have not ended: {running}")


class SimulatedRunner:
    """Port `Runner`: one life of a daemon's runner on a machine."""

    def __init__(self, machine: Machine, rng) -> None:
        self._machine = machine
        self._rng = rng

    async def start(self) -> Sequence[LogKey]:
        self._machine.take_orders()
        return sorted(self._machine.parts)

    async def launch(self, request: LaunchRequest) -> None:
        # Known at once, as the real one does it: a kill that comes now waits for the start.
        early_seconds = max(0.0, request.not_before - asyncio.get_running_loop().time())
        self._machine.order(request, early_seconds + self._rng.uniform(0, 0.06))
        await asyncio.sleep(early_seconds + 0.06)

    async def wait(self, key: LogKey) -> ProcessEnd:
        part = self._part(key)
        await part.over.wait()
        await asyncio.sleep(self._rng.uniform(0, 0.05))  # the output is handed over
        return ProcessEnd(
            key=key,
            outcome=part.outcome,
            started_at=part.started_at,
            finished_at=part.ended_at,
            exit_code=part.exit_code,
            signal=15 if part.outcome in ("killed", "timed_out") else None,
            signalled_at=part.signalled_at,
            log=LogInfo(complete=True),  # scripts of the simulation print nothing
        )

    async def kill(self, key: LogKey, *, grace_seconds: int) -> None:
        part = self._part(key)
        while part.witness is None and not part.over.is_set():
            await asyncio.sleep(0.02)
        self._machine.end(part, grace_seconds, "killed")

    async def forget(self, *keys: LogKey) -> None:
        self._machine.forget(keys)

    async def stop(self) -> None:
        """Scripts go on."""

    def _part(self, key: LogKey) -> Part:
        part = self._machine.parts.get(key)
        if part is None:
            raise NotFound("this machine does not know the attempt")
        return part


class SimulatedJournal:
    """Port `AgentJournal`: what is synced survives, what was taken away may come back."""

    def __init__(self, machine: Machine, rng) -> None:
        self._disk = machine.notes
        self._rng = rng
        self._notes = dict(machine.notes)
        self._forgotten: set[LogKey] = set()
        self.broken = False

    def note(self, key: LogKey) -> str | None:
        return self._notes.get(key)

    def keys(self) -> list[LogKey]:
        return list(self._notes)

    async def write(self, note, keys: Sequence[LogKey]) -> None:
        await asyncio.sleep(self._rng.uniform(0, 0.02))
        if self.broken:
            raise StoreError("no room")
        for key in self._forgotten:
            self._disk.pop(key, None)
        self._forgotten.clear()
        self._disk.update(dict.fromkeys(keys, note))
        await asyncio.sleep(self._rng.uniform(0, 0.005))
        self._notes.update(dict.fromkeys(keys, note))

    async def forget(self, keys) -> None:
        for key in keys:
            if self._notes.pop(key, None) is not None:
                self._forgotten.add(key)


class SkewedClock:
    """Port `Clock`: true time, off by what the world says for this machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def now(self) -> datetime:
        return self._machine.now()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def later_than(start: datetime, seconds: float) -> datetime:
    """An instant of the simulation, in whole milliseconds."""
    return start + timedelta(milliseconds=int(seconds * 1000))
