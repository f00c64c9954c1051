"""From an order to a running script: fork, become its user, enter its directory, exec.

Imported by the shim: standard library only. This is the only place that forks a script.
"""

# Plain paths: this is loaded for every shim, where pathlib costs memory and buys nothing.
# ruff: noqa: PTH110

import contextlib
import errno
import os
import signal
import time
from typing import Any, Final, NamedTuple, NoReturn

from croncord.node.constraints import constrain
from croncord.node.group import Group
from croncord.node.spawn import (
    IGNORED,
    Started,
    Stumble,
    enter,
    is_plain,
    spawn,
    wait_for_instant,
)

_STAGES: Final = {
    "fork": "no process could be made for it",
    "session": "the script could not get a session of its own",
    "group": "the script cannot be brought into its control group",
    "limits": "the limits and priorities of the job cannot be set",
    "user": "the script cannot run as {user}",
    "directory": "the working directory {directory} cannot be entered",
    "script": "{user} cannot read the script at {script}",
    "interpreter": "{interpreter} cannot be started",
}
_FIRST_FREE_DESCRIPTOR = 3
_NO_STATUS = 127
_WORDS_BYTES = 65_536


class LaunchError(Exception):
    """The script could not be started; the message says why."""


class Launched(NamedTuple):
    """A started script."""

    pid: int
    stdout: int
    stderr: int
    notes: str
    """What its reader should know, as a sentence; normally empty."""
    at: float
    """When it began, by the machine's monotonic clock."""


def launch(order: dict[str, Any], group: Group | None = None) -> Launched:
    """Start the script of an order, see `croncord.node.order`, in that control group.

    Raises LaunchError when it could not be started; then no process is left.
    """
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    start = spawn if is_plain(order) else _fork
    try:
        started = start(order, group, out_write, err_write)
    except Stumble as stumble:
        os.close(out_read)
        os.close(err_read)
        raise LaunchError(_sentence(order, stumble)) from stumble
    finally:
        os.close(out_write)
        os.close(err_write)
    return Launched(started.pid, out_read, err_read, started.note, started.at)


def _fork(order: dict[str, Any], group: Group | None, out: int, err: int) -> Started:
    """Start a script that has to be prepared by its own process. Raises Stumble."""
    word_read, word_write = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(word_read)
        raise Stumble("fork", error) from error
    else:
        if pid == 0:
            _become_script(order, group, out, err, word_write)
    finally:
        os.close(word_write)
    said = b""
    # Ends when the exec closes the other end, or when the child gives up.
    while part := os.read(word_read, _WORDS_BYTES):
        said += part
    os.close(word_read)
    note, _, failure = said.decode(errors="replace").partition("\0")
    if failure:
        os.waitpid(pid, 0)
        stage, number, text = failure.split("\0", 2)
        raise Stumble(stage, OSError(int(number), text) if int(number) else ValueError(text))
    return Started(pid, note, time.monotonic())


def _become_script(
    order: dict[str, Any], group: Group | None, out: int, err: int, word: int
) -> NoReturn:
    stage = "session"
    try:
        os.setsid()
        _reset_signals()
        _place_descriptors(out, err, word)
        word = _FIRST_FREE_DESCRIPTOR
        stage = "group"
        if group is not None:
            group.join()
        wait_for_instant(order)
        stage = "limits"
        constrain(order, group)
        stage = "user"
        if order["uid"] is not None:
            os.setgroups(order["groups"])
            os.setgid(order["gid"])
            os.setuid(order["uid"])
        stage = "directory"
        os.write(word, enter(order).encode(errors="replace"))
        stage = "script"
        os.close(os.open(order["script"], os.O_RDONLY))
        stage = "interpreter"
        argv = order["argv"]
        os.execve(argv[0], argv, order["environment"])  # noqa: S606  running scripts is the trade
    # Whatever it is, the parent must hear of it: this process may never return into the shim's code.
    except BaseException as error:  # noqa: BLE001
        number = error.errno if isinstance(error, OSError) and error.errno else 0
        with contextlib.suppress(OSError):
            os.write(word, f"\0{stage}\0{number}\0{error}".encode(errors="replace"))
    os._exit(_NO_STATUS)


def _reset_signals() -> None:
    # Ignored signals stay ignored over exec; handlers do not.
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _place_descriptors(out: int, err: int, word: int) -> None:
    """Make 0 empty, 1 and 2 the pipes, 3 the word pipe, and close everything else."""
    # The shim keeps 0 to 2 open, so none of these sits on a number that is wanted.
    nothing = os.open(os.devnull, os.O_RDONLY)
    for wanted, end in enumerate((nothing, out, err)):
        os.dup2(end, wanted)
    os.dup2(word, _FIRST_FREE_DESCRIPTOR, inheritable=False)
    os.closerange(_FIRST_FREE_DESCRIPTOR + 1, os.sysconf("SC_OPEN_MAX"))


def _sentence(order: dict[str, Any], stumble: Stumble) -> str:
    cause = os.strerror(stumble.number) if stumble.number else str(stumble)
    interpreter = order["argv"][0]
    if stumble.stage == "interpreter":
        cause = _why_not(interpreter, stumble.number) or cause
    what = _STAGES[stumble.stage].format(
        user=order["user"],
        directory=order["directory"],
        script=order["script"],
        interpreter=f"the interpreter {interpreter}",
    )
    return f"{what}: {cause}"


def _why_not(interpreter: str, number: int) -> str:
    if number == errno.ENOENT:
        if os.path.exists(interpreter):
            return "its own loader is missing; it may be built for another kind of machine"
        return "there is no such file on this machine"
    if number == errno.ENOEXEC:
        return "it is not a program this machine can run"
    if number == errno.E2BIG:
        return "the environment is too large for this machine"
    return ""
