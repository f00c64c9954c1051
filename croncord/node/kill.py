"""Find every process of a run and end it: TERM, grace, KILL, then look for survivors.

Three nets, because each alone has a hole:

- the tree below the shim: as a "child subreaper" it inherits every orphan, so what the script
  started hangs below it whatever it did with sessions, groups and double forks;
- the mark in the environment (the run's id and attempt) finds what hangs elsewhere, for instance
  after the shim itself was killed;
- the session of the script's first process, while that process lives.

Imported by the shim: standard library only.
"""

# Plain paths: this is loaded for every shim, where pathlib costs memory and buys nothing.
# ruff: noqa: PTH123, PTH208

import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

KILL_SECONDS: Final = 5.0
"""How long KILL is repeated before what is left is reported as surviving."""

_STOP_ROUNDS = 5
_DEAD = frozenset("ZXx")
_POLL_SECONDS = 0.05


class Process(NamedTuple):
    """One line of the process table."""

    pid: int
    parent: int
    group: int
    session: int
    state: str
    started: int
    """Clock ticks since boot: together with the pid it names a process for good."""

    @property
    def is_alive(self) -> bool:
        """Whether it can still do something."""
        return self.state not in _DEAD


def boot_id() -> str:
    """Name of this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def look(pid: int) -> Process | None:
    """Return the process of that pid, None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything, also spaces and parentheses.
    fields = line[line.rindex(b")") + 2 :].split()
    return Process(
        pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        state=fields[0].decode(),
        started=int(fields[19]),
    )


def is_running(pid: int, started: int) -> bool:
    """Whether the process that got this pid at that tick is still alive."""
    process = look(pid)
    return process is not None and process.started == started and process.is_alive


def process_table() -> dict[int, Process]:
    """Return all processes this program may see."""
    found = (look(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def descendants(table: dict[int, Process], roots: Iterable[int]) -> set[int]:
    """Pids below the roots, without the roots."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        below = [pid for pid in children.get(todo.pop(), ()) if pid not in found]
        found.update(below)
        todo += below
    return found


def carries(pid: int, marks: frozenset[bytes]) -> bool:
    """Whether the process was started with all these `NAME=value` in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return marks <= set(file.read().split(b"\0"))
    except OSError:  # gone, or somebody else's: not ours then
        return False


def marks_of(run_id: str, attempt: int) -> frozenset[bytes]:
    """Return what every process of an attempt has in its environment, unless it cleaned it."""
    return frozenset((f"CRONCORD_RUN_ID={run_id}".encode(), f"CRONCORD_ATTEMPT={attempt}".encode()))


def find_processes(
    marks: frozenset[bytes], *, roots: Iterable[int] = (), main: tuple[int, int] | None = None
) -> list[Process]:
    """Return the living processes of a run: below the roots, marked, or in the main's session.

    `main` is pid and start tick of the script's first process; its session counts only while it
    lives, because afterwards the number may belong to somebody else. The caller, its own ancestors
    and the roots are never among the result.
    """
    table = process_table()
    found = descendants(table, roots)
    found.update(pid for pid in table if carries(pid, marks))
    if main is not None and main[0] in table and table[main[0]].started == main[1]:
        found.update(p.pid for p in table.values() if main[0] in (p.session, p.group))
    found |= descendants(table, found)
    spared = {*roots, *_ancestors(table, os.getpid())}
    return [table[pid] for pid in found - spared if pid in table and table[pid].is_alive]


def _ancestors(table: dict[int, Process], pid: int) -> set[int]:
    line = set()
    while pid in table and pid not in line:
        line.add(pid)
        pid = table[pid].parent
    return line


def send(process: Process, signum: int) -> None:
    """Send a signal to exactly this process; nothing happens when it is gone."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        now = look(process.pid)
        if now is not None and now.started == process.started:
            signal.pidfd_send_signal(handle, signum)
    except (ProcessLookupError, PermissionError):
        pass  # gone meanwhile, or not ours to end: it will be reported as a survivor
    finally:
        os.close(handle)


class Ending:
    """The end of a run, in steps so that its caller can go on reading output in between.

    `find` returns what is alive of the run. Times are those of `time.monotonic`.
    """

    def __init__(self, find: Callable[[], list[Process]], grace_seconds: float) -> None:
        self._find = find
        self._kill_at = time.monotonic() + grace_seconds
        self._give_up_at = self._kill_at + KILL_SECONDS
        self.survivors: tuple[int, ...] = ()
        """Pids that were alive when it gave up."""
        self.is_over = False
        self.next_step_at = 0.0
        self._ask()

    def hasten(self, grace_seconds: float) -> None:
        """Shorten the grace."""
        self._kill_at = min(self._kill_at, time.monotonic() + grace_seconds)
        self._give_up_at = self._kill_at + KILL_SECONDS
        self.next_step_at = 0.0

    def step(self) -> None:
        """Go on; call it again at `next_step_at` until `is_over`."""
        begun = time.monotonic()
        left = self._find()
        if left and begun >= self._kill_at:
            self._force(left)
        if not left:
            self.is_over = True
        elif begun >= self._give_up_at:
            self.survivors = tuple(sorted(process.pid for process in left))
            self.is_over = True
        # On a machine with very many processes a look is dear: spend a tenth of the time on it.
        pause = max(_POLL_SECONDS, 10 * (time.monotonic() - begun))
        self.next_step_at = time.monotonic() + pause
        if begun < self._kill_at:
            self.next_step_at = min(self.next_step_at, self._kill_at)

    def _ask(self) -> None:
        # A second look finds what was forked during the first. Later ones get no TERM: they may be
        # what the script's own clean-up started.
        asked: set[tuple[int, int]] = set()
        for _ in range(2):
            for process in self._find():
                if (process.pid, process.started) not in asked:
                    asked.add((process.pid, process.started))
                    send(process, signal.SIGTERM)
                    send(process, signal.SIGCONT)

    def _force(self, left: list[Process]) -> None:
        # Stopped processes fork no more, so the set that is killed is whole.
        stopped: dict[tuple[int, int], Process] = {}
        for _ in range(_STOP_ROUNDS):
            fresh = {(p.pid, p.started): p for p in left if (p.pid, p.started) not in stopped}
            if not fresh:
                break
            for process in fresh.values():
                send(process, signal.SIGSTOP)
            stopped |= fresh
            left = self._find()
        for process in stopped.values():
            send(process, signal.SIGKILL)
