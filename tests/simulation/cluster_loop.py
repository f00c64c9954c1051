"""An event loop whose time is a number, and on which whole processes can be stopped dead.

Nothing waits: when nothing is left to run, time jumps to the next timer. What a simulated process
does carries its `Life`; the loop keeps the steps of a frozen life (SIGSTOP) until it goes on, and
drops those of a dead one (SIGKILL), so that not even a `finally` runs.
"""

import asyncio
import contextvars
import heapq
from enum import Enum


class LifeState(Enum):
    RUNNING = "running"
    FROZEN = "frozen"
    OVER = "over"


class Life:
    """One run of one process, from its start to its end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._loop = asyncio.get_running_loop()
        self._loop.lives.append(self)
        self.state = LifeState.RUNNING
        self.held: list[asyncio.Handle] = []
        self.context = contextvars.Context()
        self.context.run(LIFE.set, self)

    def spawn(self, work, name: str = "") -> asyncio.Task:
        """Run a coroutine as part of this process."""
        return self._loop.create_task(work, name=name, context=self.context.copy())

    def call_later(self, seconds: float, deed, *arguments) -> asyncio.TimerHandle:
        """Call a function as part of this process; not at all when the process has ended by then."""
        return self._loop.call_later(seconds, deed, *arguments, context=self.context)

    def freeze(self) -> None:
        """Stop, as SIGSTOP does."""
        self.state = LifeState.FROZEN

    def thaw(self) -> None:
        """Go on with what piled up."""
        self.state = LifeState.RUNNING
        held, self.held = self.held, []
        self._loop._ready.extend(held)

    def end(self) -> None:
        """Stop for ever, as SIGKILL does."""
        self.state = LifeState.OVER


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


class NothingLeftToDo(AssertionError):
    """Everybody waits for somebody else, for ever."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Single-threaded, without files or sockets; the same steps in the same order every time."""

    def __init__(self) -> None:
        super().__init__()
        self._instant = 0.0
        self.lives: list[Life] = []

    def time(self) -> float:
        return self._instant

    def _run_once(self) -> None:
        self._drop_cancelled_timers()
        if not self._ready:
            if not self._scheduled:
                raise NothingLeftToDo
            self._instant = max(self._instant, self._scheduled[0].when())
        while self._scheduled and self._scheduled[0].when() <= self._instant:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            self._ready.append(timer)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if handle._cancelled:
                continue
            life = handle._context.get(LIFE)
            if life is None or life.state is LifeState.RUNNING:
                handle._run()
            else:  # what the dead still had to do is kept for `bury`
                life.held.append(handle)

    def _drop_cancelled_timers(self) -> None:
        if self._timer_cancelled_count > 200:
            living = []
            for timer in self._scheduled:
                if timer._cancelled:
                    timer._scheduled = False
                else:
                    living.append(timer)
            heapq.heapify(living)
            self._scheduled, self._timer_cancelled_count = living, 0
        while self._scheduled and self._scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)._scheduled = False

    def _process_events(self, event_list) -> None:
        raise NotImplementedError

    def _write_to_self(self) -> None:
        """Called for work from other threads, of which there are none."""


def simulate(work) -> object:
    """Run a coroutine on a loop of its own to its end; returns what it returns.

    An exception that nobody awaited fails it too.
    """
    loop = SimulatedLoop()
    broken: list[dict] = []

    def stop(_loop: asyncio.AbstractEventLoop, context: dict) -> None:
        broken.append(context)
        loop.stop()

    loop.set_exception_handler(stop)
    task = loop.create_task(work)
    try:
        loop.run_until_complete(task)
    except RuntimeError:
        if not broken:  # else it is the loop that says that it was stopped
            raise
    finally:
        _bury(loop)
        loop.close()
    if broken:
        raise AssertionError(f"a step failed: {broken[0]}") from broken[0].get("exception")
    return task.result()


def _bury(loop: SimulatedLoop) -> None:
    """Let everything that is left clean up, so that Python has nothing to complain about."""
    loop.set_exception_handler(lambda _loop, _context: None)
    for life in loop.lives:
        life.thaw()
    for task in (rest := asyncio.all_tasks(loop)):
        task.cancel()
    if rest:
        loop.run_until_complete(asyncio.wait(rest, timeout=60))
