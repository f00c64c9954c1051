"""What stands beside a running script: one small process that sees it through to its end.

The shim holds the script's pipes, its time limit and its exit status, writes frames to the spool
and the result at the end. It needs nobody: daemon and zygote may die, be upgraded, come back.

Imported by the zygote: standard library and `croncord.frames` only. No threads.
"""

# Plain paths: this is loaded for every shim, where pathlib costs memory and buys nothing.

import contextlib
import ctypes
import functools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

from croncord.node import rundir
from croncord.node.capture import STDERR, STDOUT, Capture
from croncord.node.control import Control, Turnstile
from croncord.node.group import Group, group_of
from croncord.node.kill import Ending, Process, boot_id, find_processes, look, marks_of
from croncord.node.launch import Launched, LaunchError, launch
from croncord.node.mask import Mask
from croncord.node.usage import Gauge, cpu_seconds

DRAIN_SECONDS: Final = 2.0
"""How long output is still read after the script has ended but somebody holds its pipes open."""

_PIPE_BYTES = 65_535
_LAST_FRAMES = 17  # a pipe holds at most a mebibyte
_NAMED_LEFTOVERS = 10
# The result has to fit into its reserved room and into one frame.
_NAMED_SURVIVORS = 100
_DETAIL_CHARACTERS = 1000
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def become_shim(directory: str, tell: Callable[[str, dict[str, Any]], None]) -> NoReturn:
    """Turn this freshly forked process into the shim of that directory, until the script's end.

    What is ignored and that SIGCHLD only wakes it up, it has from the zygote.

    `tell` is called once: with an empty string and this shim's `meta` when the script runs or the
    result says why not, with a sentence when not even a result can be written. The process ends
    quietly, calling nothing, when the directory is taken already.
    """
    os.setsid()
    os.umask(0o077)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _prctl(_PR_SET_NAME, b"croncord-shim", 0, 0, 0)
    try:
        os.chdir(directory)
        _redirect_descriptors()
        me = look(os.getpid())
        meta = {"boot": boot_id(), "pid": os.getpid(), "started": me.started if me else 0}
        shim = Shim() if rundir.take(".", meta) else None
    except OSError as error:
        tell(f"its directory cannot be used: {error.strerror}", {})
        os._exit(1)
    if shim is not None:
        shim.see_through(lambda: tell("", meta))
    os._exit(0)


def _redirect_descriptors() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    trouble = os.open(rundir.TROUBLE, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for wanted, file in enumerate((nothing, trouble, trouble)):
        os.dup2(file, wanted)
    os.close(nothing)
    os.close(trouble)


class Shim:
    """Sees one script through. The working directory is the run's directory."""

    def __init__(self) -> None:
        order = rundir.read_json(".", rundir.ORDER)
        if order is None:
            raise FileNotFoundError(0, "the order in it is missing or damaged")
        self._order = order
        secrets = rundir.take_secrets(".")
        order["environment"] |= secrets
        self._marks = marks_of(order["run_id"], order["attempt"])
        self._result = os.open(rundir.RESULT, os.O_CREAT | os.O_WRONLY, 0o600)
        os.posix_fallocate(self._result, 0, rundir.RESULT_BYTES)
        spool = os.open(rundir.SPOOL, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        tail_bytes = 0 if order["on_limit"] == "kill" else order["log_bytes"] // 2
        masks = {stream: Mask(secrets.values()) for stream in (STDOUT, STDERR)}
        head_bytes = order["log_bytes"] - tail_bytes
        self._capture = Capture(spool, head_bytes, tail_bytes, masks)
        self._turnstile = Turnstile()
        self._control = Control(
            rundir.CONTROL,  # relative: the whole path may be too long for a socket
            self._turnstile,
            functools.partial(self._begin_ending, "killed"),
        )
        self._pipes: dict[int, int] = {}
        """The stream of each pipe that is open."""
        self._main = 0
        self._status: int | None = None
        self._started_ms = 0
        self._started = 0.0
        self._ended: float | None = None
        self._has_children = True
        self._cpu_seconds = 0.0
        self._max_rss_bytes = 0
        self._outcome = "exited"
        self._ending: Ending | None = None
        self._signalled_ms: int | None = None
        self._notes: list[str] = []
        self._group: Group | None = None
        self._gauge = Gauge(order["memory_bytes"], order["processes"])

    def see_through(self, tell_ready: Callable[[], None]) -> None:
        """Start the script, stay until it has ended, write the result."""
        self._watch_children()
        self._begin(time.monotonic())
        try:
            self._make_group()
            launched = launch(self._order, self._group)
            self._begin(launched.at)
        except LaunchError as error:
            self._outcome, self._notes = "start_failed", [str(error)]
            self._has_children = False
            self._write_result()
            tell_ready()
            return
        self._adopt(launched)
        tell_ready()
        while not self._is_over():
            self._turn()
        self._read_the_rest()
        self._write_result()

    def _begin(self, at: float) -> None:
        self._started = at
        self._started_ms = time.time_ns() // 1_000_000 - int((time.monotonic() - at) * 1000)

    def _make_group(self) -> None:
        group = group_of(self._order)
        if group is None:
            return
        try:
            group.make(self._order)
        except OSError as error:
            group.remove()
            if self._order["cpu_percent"] is not None:
                told = f"limits.cpu_percent cannot be held: {error.strerror}"
                raise LaunchError(told) from error
            # All else works without a group as well: the tree is looked at and searched for.
            self._notes.append(f"it ran without a control group: {error.strerror}")
            return
        self._group = group
        self._gauge = Gauge(self._order["memory_bytes"], self._order["processes"], group)

    def _adopt(self, launched: Launched) -> None:
        self._main = launched.pid
        main = look(launched.pid)
        known = {
            "pid": launched.pid,
            "started": main.started if main else 0,
            "started_ms": self._started_ms,
        }
        with contextlib.suppress(OSError):  # only a help for the case that this shim gets killed
            rundir.write_json(".", rundir.MAIN, known)
        if launched.notes:
            self._notes.append(launched.notes)
        for pipe, stream in ((launched.stdout, STDOUT), (launched.stderr, STDERR)):
            self._pipes[pipe] = stream
            self._turnstile.add(pipe, functools.partial(self._read, pipe))

    def _read(self, pipe: int) -> bool:
        """Take what there is, at most a frame; returns whether there was anything."""
        data = os.read(pipe, _PIPE_BYTES)
        if data:
            self._capture.take(self._pipes[pipe], data)
            self._control.tell_news()
            if self._capture.is_over_limit and self._order["on_limit"] == "kill":
                self._break_limit("limit_log", self._order["kill_grace_seconds"])
        else:
            self._turnstile.remove(pipe)
            os.close(pipe)
            del self._pipes[pipe]
        return bool(data)

    def _read_the_rest(self) -> None:
        """Take what is in the pipes when nobody waits for more, also on a machine that stalled."""
        for pipe in list(self._pipes):
            os.set_blocking(pipe, False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(_LAST_FRAMES):
                    if not self._read(pipe):
                        break

    # Time

    def _turn(self) -> None:
        wake_at = self._wake_at()
        self._turnstile.turn(None if wake_at is None else wake_at - time.monotonic())
        self._reap()
        if self._capture.glimpse():
            self._control.tell_news()
        if self._is_watching and time.monotonic() >= self._gauge.next_at:
            broken = self._gauge.look()
            if broken:  # no grace: meanwhile the machine would suffer from it
                self._break_limit(broken, 0.0)
        limit_at = self._limit_at()
        if limit_at is not None and time.monotonic() >= limit_at:
            self._begin_ending("timed_out", self._order["kill_grace_seconds"])
        if self._ending is not None and not self._ending.is_over:
            if not self._has_children or time.monotonic() >= self._ending.next_step_at:
                self._ending.step()
            if self._ending.is_over:
                self._ended = time.monotonic()

    def _wake_at(self) -> float | None:
        if self._ending is not None and not self._ending.is_over:
            return self._ending.next_step_at
        if self._ended is not None:
            return self._ended + DRAIN_SECONDS
        wishes = (self._gauge.next_at, self._limit_at(), self._capture.glimpse_at)
        return min(wish for wish in wishes if wish is not None)

    @property
    def _is_watching(self) -> bool:
        return self._ending is None and self._ended is None

    def _break_limit(self, outcome: str, grace_seconds: float) -> None:
        if self._is_watching:
            self._begin_ending(outcome, grace_seconds)
            if self._gauge.detail:
                self._notes.append(self._gauge.detail)

    def _limit_at(self) -> float | None:
        limit = self._order["timeout_seconds"]
        if limit is None or self._status is not None or self._ending is not None:
            return None
        return self._started + float(limit)

    def _is_over(self) -> bool:
        is_ended = self._status is not None if self._ending is None else self._ending.is_over
        if not is_ended or self._ended is None:
            return False
        return not self._pipes or time.monotonic() >= self._ended + DRAIN_SECONDS

    # Processes

    def _watch_children(self) -> None:
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._turnstile.add(woken, lambda: _empty(woken))

    def _reap(self) -> None:
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self._has_children = False
                return
            self._has_children = True
            if pid == 0:
                return
            self._cpu_seconds += used.ru_utime + used.ru_stime
            self._max_rss_bytes = max(self._max_rss_bytes, used.ru_maxrss * 1024)
            if pid == self._main:
                self._status = status
                self._ended = time.monotonic()
                self._explain_end()

    def _explain_end(self) -> None:
        """Name the limit that the kernel had to hold, also if only a child felt it; end the rest."""
        broken = self._gauge.ask() if self._ending is None else ""
        if broken:
            self._begin_ending(broken, 0.0)
            self._outcome = broken
            self._notes.append(self._gauge.detail)

    def _find(self) -> Iterator[Process]:
        return find_processes(self._marks, roots=(os.getpid(),), group=self._group)

    def _begin_ending(self, outcome: str, grace_seconds: float) -> None:
        if self._ending is not None:
            self._ending.hasten(grace_seconds)
            return
        if self._status is None:
            self._outcome = outcome
        self._signalled_ms = self._milliseconds(time.monotonic())
        self._ending = Ending(self._find, grace_seconds, self._group)

    def _milliseconds(self, at: float) -> int:
        """Since 1970, for a time of the monotonic clock: a clock correction bends no duration."""
        return self._started_ms + int((at - self._started) * 1000)

    # The end

    def _write_result(self) -> None:
        self._note_leftovers()
        survivors = list(self._ending.survivors) if self._ending else []
        if len(survivors) > _NAMED_SURVIVORS:
            self._notes.append(f"{len(survivors)} processes survived")
        if self._capture.dropped_bytes:
            self._notes.append(f"{self._capture.dropped_bytes} bytes of output were dropped")
        ended = time.monotonic() if self._ended is None else self._ended
        result: dict[str, Any] = {
            "outcome": self._outcome,
            "started_ms": self._started_ms if self._main else None,
            "finished_ms": self._milliseconds(ended),
            "exit_code": None,
            "signal": None,
            "cpu_seconds": round(self._processor_seconds(), 3) if self._main else None,
            "max_rss_bytes": self._peak_bytes() if self._main else None,
            "signalled_ms": self._signalled_ms,
            "survivors": survivors[:_NAMED_SURVIVORS],
            "detail": "; ".join(self._notes)[:_DETAIL_CHARACTERS],
        }
        if self._status is not None and os.WIFEXITED(self._status):
            result["exit_code"] = os.WEXITSTATUS(self._status)
        elif self._status is not None:
            result["signal"] = os.WTERMSIG(self._status)
        text = json.dumps(result).encode()
        os.pwrite(self._result, text, 0)
        os.ftruncate(self._result, len(text))
        self._capture.end(text)
        if self._group is not None:
            self._group.remove()

    def _processor_seconds(self) -> float:
        """Return what the tree used: by its group, or as far as its processes were collected."""
        counted = self._group.cpu_seconds() if self._group is not None else None
        return self._cpu_seconds if counted is None else max(counted, self._cpu_seconds)

    def _peak_bytes(self) -> int:
        """Return the most in use: of one process as the kernel counts, of all when looked at."""
        return max(self._max_rss_bytes, self._gauge.peak_bytes)

    def _note_leftovers(self) -> None:
        left = []
        if self._ending is None and self._has_children:
            left = sorted(process.pid for process in self._find())
        if left:
            self._cpu_seconds += cpu_seconds(left)
            named = ", ".join(str(pid) for pid in left[:_NAMED_LEFTOVERS])
            self._notes.append(
                f"{len(left)} processes it started still run and were left alone (pid {named})"
            )


def _empty(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 512):
            pass
