"""Starts a script that needs nothing done between the fork and the exec: the usual and cheap case.

`posix_spawn` lends the new process the shim's memory until its exec. A fork copies the page tables,
then every page that either of the two touches, and throws all away again: half of what a shim cost.

Imported by the shim: standard library only.
"""

import os
import signal
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from croncord.node.group import Group

IGNORED: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGPIPE,
    signal.SIGXFSZ,
)
"""What zygote and shim ignore, and a script must not, because an exec changes nothing about it."""
FALLBACK_DIRECTORY: Final = "/"

_OWN_UMASK = 0o077


class Stumble(Exception):
    """The script did not start; says at which stage, see `croncord.node.launch`."""

    def __init__(self, stage: str, error: OSError | ValueError) -> None:
        super().__init__(str(error))
        self.stage = stage
        self.number = (error.errno or 0) if isinstance(error, OSError) else 0


def is_plain(order: Mapping[str, Any]) -> bool:
    """Whether all that the order wants can be had by inheritance."""
    return (
        order["uid"] is None
        and order["nice"] == 0
        and order["ionice"] == "none"
        and order["open_files"] is None
        and order["processes"] is None
        and order["memory_bytes"] is None
        and order["cpu_percent"] is None
    )


WAIT_SECONDS_MAX: Final = 0.5
"""A shim is made a tenth of a second ahead; more to wait is a clock that differs from its node's."""


class Started(NamedTuple):
    """A script that began."""

    pid: int
    note: str
    """For the reader; normally empty."""
    at: float
    """By the machine's monotonic clock."""


def spawn(order: Mapping[str, Any], group: Group | None, out: int, err: int) -> Started:
    """Start the script of a plain order when its instant has come.

    The script inherits directory, umask and group, so this process takes them on for a moment.
    Raises Stumble.
    """
    stage, note = "group", ""
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        if group is not None:
            group.join()
        wait_for_instant(order)
        os.umask(order["umask"])
        stage = "directory"
        note = enter(order)
        stage = "script"
        os.close(os.open(order["script"], os.O_RDONLY))
        stage = "interpreter"
        argv = order["argv"]
        pid = os.posix_spawn(
            argv[0],
            argv,
            order["environment"],
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out, 1),
                (os.POSIX_SPAWN_DUP2, err, 2),
            ),
            setsid=True,
            setsigmask=(),
            setsigdef=IGNORED,
        )
        at = time.monotonic()
    except (OSError, ValueError) as error:  # a value with a zero byte, for one
        raise Stumble(stage, error) from error
    finally:
        if group is not None:
            group.leave()
        os.umask(_OWN_UMASK)
        os.fchdir(own)
        os.close(own)
    return Started(pid, note, at)


def wait_for_instant(order: Mapping[str, Any]) -> None:
    """Wait until the script may start.

    Joining a control group can take the kernel 20 ms and more, so it is done before.
    """
    time.sleep(min(WAIT_SECONDS_MAX, max(0.0, order["not_before"] - time.monotonic())))


def enter(order: Mapping[str, Any]) -> str:
    """Enter the script's directory; returns a note when it had to be another. Raises OSError."""
    try:
        os.chdir(order["directory"])
    except OSError as error:
        if order["directory_is_wanted"]:
            raise
        os.chdir(FALLBACK_DIRECTORY)
        said = f"the home directory {order['directory']} cannot be entered ({error.strerror}); "
        return f"{said}it ran in {FALLBACK_DIRECTORY}"
    return ""
