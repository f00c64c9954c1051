"""What can still be known and done when the shim of a run is gone without a result.

That happens when the machine was restarted (`lost`), or when somebody killed the shim
(`runner_killed`). The run counts as lost then: nothing is invented. Processes that the script left behind are ended, because nobody would
watch over them any more and a new attempt may start elsewhere.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from croncord.model import milliseconds
from croncord.node import rundir
from croncord.node.group import Group, group_of
from croncord.node.kill import Ending, Process, boot_id, find_processes, marks_of, send
from croncord.ports import LogKey


def plain_result(outcome: str, detail: str, finished_ms: int) -> dict[str, Any]:
    """Return the result of an attempt of which nothing else is known."""
    return {
        "outcome": outcome,
        "started_ms": None,
        "finished_ms": finished_ms,
        "exit_code": None,
        "signal": None,
        "cpu_seconds": None,
        "max_rss_bytes": None,
        "signalled_ms": None,
        "survivors": [],
        "detail": detail,
    }


async def conclude(
    directory: Path, key: LogKey, meta: dict[str, Any] | None, killed_at: datetime | None
) -> dict[str, Any]:
    """Return the result of an attempt whose shim is dead, after ending what is left of it.

    `meta` is what that shim said about itself; `killed_at` is when this program killed the shim itself, because it did not answer.
    """
    started_ms = (rundir.read_json(str(directory), rundir.MAIN) or {}).get("started_ms")
    survivors: tuple[int, ...] = ()
    outcome = "lost"
    if (meta or {}).get("boot") != boot_id():
        detail = "the machine was restarted while it ran"
    else:
        group = _group(directory)
        find = _finder(directory, key, group)
        found, survivors = await _end(find, _grace_seconds(directory), group)
        outcome, detail = "runner_killed", "the process that watched over it was killed"
        if found:
            detail += f"; {found} processes of the script were ended"
    if killed_at is not None:
        detail = "the process that watched over it did not answer and was ended with the script"
    result = plain_result(outcome, detail, time.time_ns() // 1_000_000)
    result["started_ms"] = started_ms
    result["survivors"] = list(survivors)
    if killed_at is not None:
        result |= {"outcome": "killed", "signalled_ms": milliseconds(killed_at)}
    return result


async def end_shim(directory: Path, shim: Process, key: LogKey, grace_seconds: int) -> None:
    """End a shim that does not answer, and everything below it."""
    group = _group(directory)
    await _end(_finder(directory, key, group, shim), grace_seconds, group)
    send(shim, signal.SIGKILL)


async def _end(
    find: Callable[[], Iterator[Process]], grace_seconds: float, group: Group | None
) -> tuple[int, tuple[int, ...]]:
    found = len(list(find()))
    if not found:
        return 0, ()
    ending = Ending(find, grace_seconds, group)
    while not ending.is_over:
        await asyncio.sleep(max(0.0, ending.next_step_at - time.monotonic()))
        ending.step()
    return found, ending.survivors


def _finder(
    directory: Path, key: LogKey, group: Group | None, shim: Process | None = None
) -> Callable[[], Iterator[Process]]:
    marks = marks_of(key.run_id, key.attempt)
    said = rundir.read_json(str(directory), rundir.MAIN)
    main = (said["pid"], said["started"]) if said else None
    roots = () if shim is None else (shim.pid,)
    return lambda: find_processes(marks, roots=roots, main=main, group=group)


def _group(directory: Path) -> Group | None:
    return group_of(rundir.read_json(str(directory), rundir.ORDER) or {})


def _grace_seconds(directory: Path) -> float:
    order = rundir.read_json(str(directory), rundir.ORDER) or {}
    return float(order.get("kill_grace_seconds", 0))
