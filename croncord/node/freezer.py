"""Freezes this node's daemon for a drill. Real processes are stopped, and others start them again.

The daemon cannot end its own freeze, so it starts two watchers (`freezer_worker`) in a session of
their own. Both know when it is over; either is enough, and the end of the daemon or of the request
that asked changes nothing. Scripts, shims and the runner are other processes and go on.
"""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

from croncord.drills import FreezeOrder
from croncord.errors import Conflict
from croncord.node import freezer_worker

_log = logging.getLogger(__name__)


class Freezer:
    """Takes one order at a time."""

    def __init__(self) -> None:
        self._under_way: asyncio.Task[None] | None = None

    async def freeze(self, order: FreezeOrder) -> None:
        """Have this process stopped half a second from now. Raises Conflict while one is under way."""
        if self._under_way is not None and not self._under_way.done():
            raise Conflict("this node is being frozen already", hint="Wait until it is over.")
        _log.warning("frozen for a drill: %d s, asked by %s", order.seconds, order.by or "nobody")
        path = str(Path(freezer_worker.__file__))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", path, str(os.getpid()), str(order.seconds)),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,
        )
        self._under_way = asyncio.create_task(self._watch(process))

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        if await process.wait() == 0:
            _log.warning("the drill is over, this node goes on")
        else:
            # The first process of a container ignores the signal; nothing was frozen then.
            _log.warning("the drill could not freeze this node: its process did not stop")
