"""A machine on which nothing runs: scripts act out what a test or a simulation says.

`ScriptedMachine` is what outlives the daemon (the shims and run directories of the real one),
`ScriptedRunner` one life of the daemon on it. Only the clock that is given makes time pass.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from croncord.clock import Clock
from croncord.errors import Conflict, NotFound
from croncord.frames import END, STDOUT, encode_frame
from croncord.model import LogInfo
from croncord.ports import LaunchRequest, LogKey, Outcome, ProcessEnd, RunLogs


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """What a script does."""

    seconds: float = 0.0
    """How long it runs when nobody ends it."""
    exit_code: int = 0
    output: bytes = b""
    term_seconds: float | None = 0.0
    """How long it takes to end after TERM; None: only KILL ends it."""
    start_error: str = ""
    """Why it cannot be started."""


class Part:
    """One script being played."""

    def __init__(self, request: LaunchRequest, play: Play, started_at: datetime) -> None:
        self.request = request
        self.play = play
        self.started_at = started_at
        self.signalled_at: datetime | None = None
        self.outcome: Outcome | None = None
        self.ended_at: datetime | None = None
        self.over = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []


class ScriptedMachine:
    """Everything on a machine that goes on without the daemon."""

    def __init__(self, clock: Clock, play: Callable[[LaunchRequest], Play]) -> None:
        self.clock = clock
        self._play = play
        self.parts: dict[LogKey, Part] = {}
        """What is known of each attempt until it is forgotten."""
        self.starts: list[LogKey] = []
        """Every start that really happened, in order: the witness against double launches."""

    def reboot(self) -> None:
        """Stop everything at once, as a power cut does; what ran is lost."""
        for part in self.parts.values():
            self._finish(part, "lost")

    def running(self) -> list[LogKey]:
        """Return the attempts whose script has not ended."""
        return [key for key, part in self.parts.items() if not part.over.is_set()]

    def start(self, request: LaunchRequest) -> None:
        """Begin to play; the same attempt is begun once."""
        if request.key in self.parts:
            return
        play = self._play(request)
        part = self.parts[request.key] = Part(request, play, self.clock.now())
        if play.start_error:
            self._finish(part, "start_failed")
            return
        self.starts.append(request.key)
        self._after(part, play.seconds, "exited")
        if request.timeout_seconds is not None:
            self._after(part, request.timeout_seconds, "timed_out")

    def end(self, part: Part, grace_seconds: float, outcome: Outcome) -> None:
        """Send TERM, and KILL after the grace."""
        if part.over.is_set() or part.outcome:
            return
        part.outcome = outcome
        part.signalled_at = self.clock.now()
        term_seconds = part.play.term_seconds
        takes = grace_seconds if term_seconds is None else min(term_seconds, grace_seconds)
        if takes <= 0:
            self._finish(part, outcome)
        else:
            self._after(part, takes, outcome)

    def _after(self, part: Part, seconds: float, outcome: Outcome) -> None:
        async def act() -> None:
            await self.clock.sleep(seconds)
            if outcome == "timed_out" and not part.outcome:
                self.end(part, part.request.kill_grace_seconds, outcome)
            elif outcome in ("exited", part.outcome):
                self._finish(part, part.outcome or outcome)

        part.tasks.append(asyncio.create_task(act()))

    def _finish(self, part: Part, outcome: Outcome) -> None:
        if part.over.is_set():
            return
        part.outcome = outcome
        part.ended_at = self.clock.now()
        part.over.set()
        own = asyncio.current_task()
        for task in part.tasks:
            if task is not own:
                task.cancel()


class ScriptedRunner:
    """One life of the daemon's runner on a scripted machine."""

    def __init__(self, machine: ScriptedMachine, logs: RunLogs) -> None:
        self._machine = machine
        self._logs = logs

    async def start(self) -> Sequence[LogKey]:
        """Return everything the machine still knows."""
        return sorted(self._machine.parts)

    async def launch(self, request: LaunchRequest) -> None:
        """Begin to play a script when its instant has come."""
        await self._machine.clock.sleep(request.not_before - self._machine.clock.monotonic())
        self._machine.start(request)

    async def wait(self, key: LogKey) -> ProcessEnd:
        """Return when the script has been played to its end. Raises NotFound."""
        part = self._part(key)
        await part.over.wait()
        info = await self._hand_over(part)
        outcome = part.outcome or "lost"
        was_started = outcome != "start_failed"
        return ProcessEnd(
            key=key,
            outcome=outcome,
            started_at=part.started_at if was_started else None,
            finished_at=part.ended_at or part.started_at,
            exit_code=part.play.exit_code if outcome == "exited" else None,
            signal=15 if outcome in ("killed", "timed_out") else None,
            cpu_seconds=0.0 if was_started else None,
            max_rss_bytes=0 if was_started else None,
            signalled_at=part.signalled_at,
            detail=part.play.start_error,
            log=info,
            excerpt=part.play.output.decode(errors="replace").rstrip("\n"),
        )

    async def kill(self, key: LogKey, *, grace_seconds: int) -> None:
        """End a script after what it takes it. Raises NotFound."""
        self._machine.end(self._part(key), grace_seconds, "killed")

    async def forget(self, *keys: LogKey) -> None:
        """Forget scripts that have ended. Raises Conflict when one still plays."""
        parts = self._machine.parts
        running = [key for key in keys if key in parts and not parts[key].over.is_set()]
        for key in set(keys) - set(running):
            parts.pop(key, None)
        if running:
            raise Conflict(f"these have not ended: {running}")

    async def stop(self) -> None:
        """Let go; the machine goes on."""

    def _part(self, key: LogKey) -> Part:
        part = self._machine.parts.get(key)
        if part is None:
            raise NotFound(f"this node does not know attempt {key.attempt} of run {key.run_id}")
        return part

    async def _hand_over(self, part: Part) -> LogInfo:
        key = part.request.key
        frames = encode_frame(STDOUT, part.play.output, 0) if part.play.output else b""
        held = await self._logs.open(key, started_at=part.started_at)
        await self._logs.append(key, held, (frames + encode_frame(END, b"{}", 0))[held:])
        return await self._logs.close(key)
