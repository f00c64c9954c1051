"""A group of node processes (`raft_member.py`) whose answers may never come."""

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import sys
from pathlib import Path

MEMBER = Path(__file__).with_name("raft_member.py")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Member:
    """A node process whose answers may never come."""

    def __init__(self, name, directory, members):
        self.name, self._directory, self._members = name, directory, members
        self.process = None
        self.under = ()
        """A command that runs the process, such as a tracer."""
        self.ended_with = None
        """Exit status of the last process, negative for a signal."""
        self._numbers = itertools.count()
        self._waiting = {}
        self._reader = None

    @property
    def is_up(self):
        return self.process is not None

    async def start(self, *extra):
        log = (self._directory / f"{self.name}.log").open("ab")
        with log:
            self.process = await asyncio.create_subprocess_exec(
                *self.under,
                sys.executable,
                str(MEMBER),
                self.name,
                str(self._directory / self.name),
                "a shared secret",
                json.dumps(self._members),
                *extra,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=1 << 24,
            )
        self._reader = asyncio.create_task(self._read(self.process))
        self.ready = asyncio.get_running_loop().create_future()

    async def _read(self, process):
        while line := await process.stdout.readline():
            if line == b"ready\n":
                self.ready.set_result(True)
                continue
            if not line.endswith(b"\n"):
                break  # killed amid an answer
            answer = json.loads(line)
            future = self._waiting.pop(answer["n"], None)
            if future is not None and not future.done():
                future.set_result(answer)
        self.ended_with = await process.wait()
        if not self.ready.done():
            self.ready.set_result(False)
        if self.process is process:
            self.process = None
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"ok": False, "error": "died"})
        self._waiting.clear()

    def last_words(self):
        """The end of the log, for reports."""
        return "".join((self._directory / f"{self.name}.log").read_text().splitlines(True)[-30:])

    async def ask(self, do, seconds=15, **fields):
        if self.process is None:
            return {"ok": False, "error": "died"}
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"n": number, "do": do, **fields}) + "\n"
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(line.encode())
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return {"ok": False, "error": "timeout"}

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def kill(self):
        if self.process is not None:
            self.signal(signal.SIGKILL)
        if self._reader is not None:
            await self._reader

    async def close(self):
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.stdin.close()
        if self._reader is not None:
            await self._reader


@contextlib.asynccontextmanager
async def group(directory, names=("ada", "bob", "cyd")):
    members = {name: f"127.0.0.1:{free_port()}" for name in names}
    nodes = {name: Member(name, directory, members) for name in names}
    try:
        for node in nodes.values():
            await node.start()
            assert await node.ready
        yield nodes
    finally:
        for node in nodes.values():
            await node.close()


async def agree(nodes):
    """All nodes, once settled: their jobs with versions."""
    states = [await node.ask("barrier", 30) for node in nodes]
    assert all(state["ok"] for state in states), states
    states = [await node.ask("barrier", 30) for node in nodes]
    assert len({state["digest"] for state in states}) == 1
    return states[0]["jobs"]
