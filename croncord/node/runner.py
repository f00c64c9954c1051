"""Starts scripts and follows them: the port `Runner` over zygote, shims and run directories.

A directory `RUNS/<run id>.<attempt>` is everything that is known of an attempt; a daemon that comes
back finds its attempts there. See `croncord.node.rundir` for what lies in one.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from croncord.clock import Clock
from croncord.errors import Conflict, NotFound
from croncord.model import milliseconds
from croncord.node import order, rundir
from croncord.node.forker import Forker
from croncord.node.group_home import NO_GROUPS, GroupHome
from croncord.node.refusal import StartRefused
from croncord.node.remains import plain_result
from croncord.node.supervision import Supervision, process_end
from croncord.ports import LaunchRequest, LogKey, ProcessEnd, RunLogs

log = logging.getLogger(__name__)

PROGRESS_MAX: Final = 200
"""Of so many runs progress is reported while they run: the table of it goes to every node."""

STOPPED_LOOK_SECONDS: Final = 1.0
"""How often shims are looked after: a script may stop its own."""

_WAKE_SECONDS = 0.2


class _Attempt(NamedTuple):
    """What the runner holds of one attempt until it is forgotten."""

    supervision: Supervision
    launched: asyncio.Event
    end: asyncio.Task[ProcessEnd]


class ProcessRunner:
    """Runs scripts on this machine. `runs` is a directory of its own.

    `groups` is where their control groups are made.
    """

    def __init__(
        self,
        runs: Path,
        logs: RunLogs,
        clock: Clock,
        *,
        groups: GroupHome = NO_GROUPS,
        python: str = sys.executable,
    ) -> None:
        self._runs = runs
        self._logs = logs
        self._clock = clock
        self._groups = groups
        self._forker = Forker(python)
        self._attempts: dict[LogKey, _Attempt] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """How many attempts have not ended."""
        return sum(1 for attempt in self._attempts.values() if not attempt.end.done())

    @property
    def zygote_pid(self) -> int:
        """Pid of the process that shims are forked from; 0 when there is none."""
        return self._forker.pid

    def progress(self) -> dict[str, float]:
        """Return what running scripts told as `::progress`, in percent by run id."""
        told: dict[str, float] = {}
        for key, attempt in self._attempts.items():
            percent = attempt.supervision.progress
            if percent is not None and not attempt.end.done():
                told[key.run_id] = percent
                if len(told) >= PROGRESS_MAX:
                    break
        return told

    async def start(self) -> list[LogKey]:
        """Start the zygote; adopt the attempts of an earlier life and return them."""
        keys = await asyncio.to_thread(self._survey)
        await self._forker.start()
        self._watch = asyncio.create_task(self._keep_awake(), name="shims-awake")
        for key in keys:
            supervision, launched = self._supervision(key), asyncio.Event()
            launched.set()
            self._admit(supervision, launched, supervision.see_through())
        return keys

    async def launch(self, request: LaunchRequest) -> None:
        """Start a script; returns when it runs, or when `wait` will say why not."""
        attempt = self._attempts.get(request.key)
        if attempt is None:
            supervision, launched = self._supervision(request.key), asyncio.Event()
            story = self._run(request, supervision, launched)
            attempt = self._admit(supervision, launched, story)
        await attempt.launched.wait()

    async def wait(self, key: LogKey) -> ProcessEnd:
        """Return how the attempt ended. Raises NotFound for one that is not known."""
        return await asyncio.shield(self._known(key).end)

    async def kill(self, key: LogKey, *, grace_seconds: int) -> None:
        """TERM to the whole tree, KILL after the grace; returns when TERM was sent.

        Does nothing when the attempt has ended. Raises NotFound for one that is not known.
        """
        attempt = self._known(key)
        while not attempt.launched.is_set():
            attempt.supervision.shim.wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WAKE_SECONDS):
                    await attempt.launched.wait()
        if not attempt.end.done():
            await attempt.supervision.shim.kill(grace_seconds)

    async def forget(self, *keys: LogKey) -> None:
        """Remove the directories of ended attempts. Raises Conflict when one still runs."""
        running = [key for key in keys if self._is_running(key)]
        ended = [key for key in keys if key not in running]
        for key in ended:
            self._attempts.pop(key, None)
        await asyncio.to_thread(self._remove, ended)
        if running:
            raise Conflict(f"these have not ended: {', '.join(map(order.directory_name, running))}")

    def _is_running(self, key: LogKey) -> bool:
        attempt = self._attempts.get(key)
        return attempt is not None and not attempt.end.done()

    async def stop(self) -> None:
        """Let go of everything; running scripts go on under their shims."""
        tasks: list[asyncio.Task[Any]] = [attempt.end for attempt in self._attempts.values()]
        if self._watch is not None:
            tasks.append(self._watch)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._attempts.clear()
        await self._forker.stop()
        await asyncio.to_thread(self._groups.close)

    def _admit(
        self,
        supervision: Supervision,
        launched: asyncio.Event,
        story: Coroutine[Any, Any, ProcessEnd],
    ) -> _Attempt:
        end = asyncio.create_task(story)
        end.add_done_callback(lambda _: supervision.close())
        attempt = self._attempts[supervision.key] = _Attempt(supervision, launched, end)
        return attempt

    async def _run(
        self, request: LaunchRequest, supervision: Supervision, launched: asyncio.Event
    ) -> ProcessEnd:
        now_ms = milliseconds(self._clock.now())
        try:
            try:
                directory = await asyncio.to_thread(self._prepare, request, now_ms, supervision)
                supervision.shim.meta = await self._forker.fork(directory)
            finally:
                launched.set()
        except (StartRefused, OSError) as error:
            reason = error if isinstance(error, StartRefused) else f"its directory: {error}"
            result = plain_result("start_failed", str(reason), now_ms)
            try:
                await asyncio.to_thread(order.write_end, self._runs, request.key, result, now_ms)
            except OSError:  # no room even for that: it is told all the same
                return process_end(request.key, result)
        return await supervision.see_through()

    def _prepare(self, request: LaunchRequest, now_ms: int, supervision: Supervision) -> Path:
        directory = order.write_order(self._runs, request, now_ms, self._groups)
        supervision.open_spool()
        return directory

    async def _keep_awake(self) -> None:
        while True:
            await asyncio.sleep(STOPPED_LOOK_SECONDS)
            for attempt in tuple(self._attempts.values()):
                if not attempt.end.done():
                    # Out of descriptors, perhaps: it is looked after again in a second.
                    with contextlib.suppress(OSError):
                        attempt.supervision.shim.keep_awake()

    def _survey(self) -> list[LogKey]:
        """Find what earlier lives left, and drop what never started."""
        self._runs.mkdir(mode=0o711, parents=True, exist_ok=True)
        order.remove_drafts(self._runs)
        keys = []
        for directory in sorted(self._runs.iterdir()):
            key = order.key_of(directory.name)
            if key is None:
                log.warning("%s is no run's directory; it is left alone", directory)
            elif rundir.take(str(directory), {}):
                log.warning("attempt %d of run %s was ordered and never started", *_names(key))
                order.remove_directory(directory)
            else:
                keys.append(key)
        self._groups.tidy(order.directory_name(key) for key in keys)
        return keys

    def _remove(self, keys: Iterable[LogKey]) -> None:
        for key in keys:
            order.remove_directory(self._directory(key))
            self._groups.let_go(order.directory_name(key))

    def _known(self, key: LogKey) -> _Attempt:
        attempt = self._attempts.get(key)
        if attempt is None:
            raise NotFound(f"this node does not know attempt {key.attempt} of run {key.run_id}")
        return attempt

    def _supervision(self, key: LogKey) -> Supervision:
        return Supervision(key, self._directory(key), self._logs)

    def _directory(self, key: LogKey) -> Path:
        return self._runs / order.directory_name(key)


def _names(key: LogKey) -> tuple[int, str]:
    return key.attempt, key.run_id
