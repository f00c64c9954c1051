"""Find every process of a run and end it: TERM, grace, KILL, then look for survivors.

Several nets, because each alone has a hole:

- the control group of the run, where the node may make one: the kernel keeps it, nothing leaves it
  but by root's will, and it is ended at once;
- the tree below the shim: as a "child subreaper" it inherits every orphan, so what the script
  started hangs below it whatever it did with sessions, groups and double forks;
- the mark in the environment (the run's id and attempt) finds what hangs elsewhere, for instance
  after the shim itself was killed;
- the session of the script's first process, while that process lives.

Imported by the shim: standard library only.
"""

# Plain paths: this is loaded for every shim, where pathlib costs memory and buys nothing.
# ruff: noqa: PTH110, PTH123, PTH208

import contextlib
import functools
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from croncord.node.group import Group

KILL_SECONDS: Final = 5.0
"""How long KILL is repeated before what is left is reported as surviving."""

_STAT_BYTES = 4096
_STOP_ROUNDS = 20
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
    threads: int = 1

    @property
    def is_stopped(self) -> bool:
        """Whether a signal stopped it."""
        return self.state == "T"

    @property
    def is_alive(self) -> bool:
        """Whether it can still do something."""
        return self.state not in _DEAD


@functools.cache
def boot_id() -> str:
    """Name of this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def look(pid: int) -> Process | None:
    """Return the process of that pid, None when there is none."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        line = os.read(descriptor, _STAT_BYTES)
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
    # The name in parentheses may hold anything, also spaces and parentheses.
    fields = line[line.rindex(b")") + 2 :].split()
    return Process(
        pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        state=fields[0].decode(),
        started=int(fields[19]),
        threads=int(fields[17]),
    )


def is_running(pid: int, started: int) -> bool:
    """Whether the process that got this pid at that tick is still alive."""
    process = look(pid)
    return process is not None and process.started == started and process.is_alive


def process_table() -> dict[int, Process]:
    """Return all processes this program may see."""
    found = (look(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def below(roots: Iterable[int]) -> Iterator[Process]:
    """Yield the living descendants of the roots, each before its own children are looked up.

    So who stops a process when it is yielded gets all its children: they cannot grow any more.
    """
    children_of = _children_lookup()
    todo, seen = list(roots), set(roots)
    while todo:
        for pid in children_of(todo.pop()):
            process = None if pid in seen else look(pid)
            if process is not None:
                seen.add(pid)
                todo.append(pid)
                if process.is_alive:
                    yield process


def _children_lookup() -> Callable[[int], list[int]]:
    """Return how to find the children of a process: as they are now, if the kernel keeps lists."""
    if os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        return _listed_children
    parents: dict[int, list[int]] = {}
    for process in process_table().values():
        parents.setdefault(process.parent, []).append(process.pid)
    return lambda pid: parents.get(pid, [])


def _listed_children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):  # it is gone, and its children are somebody else's now
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += [int(child) for child in file.read().split()]
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
    marks: frozenset[bytes],
    *,
    roots: Iterable[int] = (),
    main: tuple[int, int] | None = None,
    group: Group | None = None,
) -> Iterator[Process]:
    """Yield the living processes of a run: in its group, below the roots, marked, in its session.

    `main` is pid and start tick of the script's first process: its session counts only while it
    lives, because afterwards the number may belong to somebody else. The caller, its own ancestors
    and the roots are never among them. As in `below`, a process comes before its children.
    """
    seen = {*roots, *_line_of(os.getpid())}
    for pid in group.pids() if group else ():
        process = None if pid in seen else look(pid)
        if process is not None and process.is_alive:
            seen.add(pid)
            yield process
    for process in below(roots):
        if process.pid not in seen:
            seen.add(process.pid)
            yield process
    leader = main[0] if main is not None and is_running(*main) else 0
    for process in process_table().values():
        if process.pid in seen or not process.is_alive:
            continue
        is_in_session = leader != 0 and leader in (process.session, process.group)
        if not is_in_session and not carries(process.pid, marks):
            continue
        seen.add(process.pid)
        yield process
        for child in below([process.pid]):
            if child.pid not in seen:
                seen.add(child.pid)
                yield child


def _line_of(pid: int) -> set[int]:
    """Return the process and its ancestors."""
    line: set[int] = set()
    process = look(pid)
    while process is not None and process.pid not in line:
        line.add(process.pid)
        process = look(process.parent)
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


def _stop_group(process: Process) -> None:
    """Stop all of the process's group at once.

    A fork that is under way when a signal goes to its group starts over and meets the signal
    (kernel/fork.c, copy_process), so a group that forks all the time cannot slip away. A group
    never spans sessions, and every session of a run was made by the run; the caller's is spared.
    """
    if process.group > 1 and process.group != os.getpgrp():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.group, signal.SIGSTOP)


class Ending:
    """The end of a run, in steps so that its caller can go on reading output in between.

    `find` returns what is alive of the run, `group` is its control group if it has one. Times are
    those of `time.monotonic`.
    """

    def __init__(
        self,
        find: Callable[[], Iterator[Process]],
        grace_seconds: float,
        group: Group | None = None,
    ) -> None:
        self._find = find
        self._group = group
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
        left = list(self._find())
        if left and begun >= self._kill_at:
            self._force()
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
            for process in list(self._find()):
                if (process.pid, process.started) not in asked:
                    asked.add((process.pid, process.started))
                    send(process, signal.SIGTERM)
                    send(process, signal.SIGCONT)

    def _force(self) -> None:
        if self._group is not None:
            self._group.kill()
        # Stopped processes fork no more. Each is stopped at the moment it is found, because one that
        # forks and exits all the time would be gone after a whole look.
        stopped: dict[tuple[int, int], Process] = {}
        for _ in range(_STOP_ROUNDS):
            known = len(stopped)
            for process in self._find():
                if (process.pid, process.started) not in stopped:
                    _stop_group(process)
                    send(process, signal.SIGSTOP)
                    stopped[process.pid, process.started] = process
            if len(stopped) == known:
                break
        for process in stopped.values():
            send(process, signal.SIGKILL)
