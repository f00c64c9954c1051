"""What a script is held to by the kernel from its first instruction: limits, umask, priorities.

Called in the forked child while it is still the shim's user, because only that one may raise some.

Imported by the shim: standard library only.
"""

import ctypes
import os
import resource
from typing import Any, Final

from croncord.node.group import Group
from croncord.node.usage import threads_of_user

_IOPRIO_SET: Final = {
    "x86_64": 251,
    "aarch64": 30,
    "riscv64": 30,
    "loongarch64": 30,
    "ppc64le": 273,
    "s390x": 282,
    "armv7l": 314,
    "i686": 289,
}
"""Number of the system call, which the C library has no name for."""
_WHO_PROCESS = 1
_CLASS_SHIFT = 13
_IDLE = 3
_BEST_EFFORT = 2
_libc = ctypes.CDLL(None, use_errno=True)


def constrain(order: dict[str, Any], group: Group | None) -> None:
    """Bind this process, and all it will start, to what its order says. Raises OSError.

    What its group holds is not set again.
    """
    os.umask(order["umask"])
    if order["nice"]:
        os.setpriority(os.PRIO_PROCESS, 0, order["nice"])
    if order["ionice"] != "none":
        _set_io_priority(order["ionice"])
    if order["open_files"] is not None:
        _lower(resource.RLIMIT_NOFILE, order["open_files"])
    uid = os.getuid() if order["uid"] is None else order["uid"]
    # This limit counts all threads of the user, also those of other runs, and never holds root;
    # there, and in a namespace of its own, the shim's looks have to do.
    is_held = group is not None and group.holds_processes
    if order["processes"] is not None and not is_held and uid != 0:
        _lower(resource.RLIMIT_NPROC, threads_of_user(uid) + order["processes"])


def _lower(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def _set_io_priority(wanted: str) -> None:
    name, _, level = wanted.partition(":")
    value = _IDLE << _CLASS_SHIFT if name == "idle" else _BEST_EFFORT << _CLASS_SHIFT | int(level)
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is None:
        raise OSError(0, "the call for it is not known on this kind of machine")
    if _libc.syscall(number, _WHO_PROCESS, 0, value) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
