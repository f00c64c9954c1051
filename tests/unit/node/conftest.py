"""A runner on real processes, an output store in memory, and a guard against leftovers."""

# The store in memory takes every argument of the port and needs only some.
# ruff: noqa: ARG002

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from croncord.clock import SystemClock
from croncord.frames import GAP, SYSTEM, decode_frames
from croncord.model import LogInfo
from croncord.node.kill import carries, process_table
from croncord.node.runner import ProcessRunner
from croncord.ports import LaunchRequest, LogChunk, LogKey, LogStatus, ProcessEnd

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

    def __init__(self, directory: Path):
        self.runs = directory / "runs"
        self.logs = MemoryLogs()
        self.runner = self.fresh_runner()
        self._count = 0

    def fresh_runner(self) -> ProcessRunner:
        return ProcessRunner(self.runs, self.logs, SystemClock())

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
