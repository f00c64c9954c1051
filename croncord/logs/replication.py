"""Copies of other nodes' outputs: this node dials the one that writes and follows it.

    want(key, sources, closed=None)   the run is active: follow the first source, and take from the
                                      others what they have when it does not answer
    want(key, sources, closed=info)   the run is over: take what is missing, check the digest, seal
    drop(key)                         no longer this node's business: stop; what is held stays

A run that ended without a digest, because its node was lost, is asked for once at every source;
the longest prefix stays.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from croncord.logs.copying import Copying, Reach, Wish
from croncord.logs.local import LocalLogs
from croncord.model import LogInfo
from croncord.ports import LogKey, Peers

PAUSE_SECONDS: Final = 0.2
FOLLOWING_MAX: Final = 512
"""Active runs beyond it are copied when they have ended."""
PULLING_MAX: Final = 8

_log = logging.getLogger(__name__)


class Replicator:
    """Keeps the copies this node is to keep. Made and called on the event loop."""

    def __init__(
        self,
        local: LocalLogs,
        peers: Peers,
        *,
        node: str,
        address_of: Callable[[str], str | None],
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Take the local store, the way to other nodes, and this node's name.

        `address_of` gives the HTTP address of a node by name, None when it is unknown.
        `pause_seconds` is the first pause after a round of all sources brought nothing.
        """
        self._local = local
        self._reach = Reach(peers, address_of)
        self._node = node
        self._pause_seconds = pause_seconds
        self._limits = {
            True: asyncio.Semaphore(FOLLOWING_MAX),
            False: asyncio.Semaphore(PULLING_MAX),
        }
        self._copying: dict[LogKey, tuple[Copying, asyncio.Task[None]]] = {}
        self._ending: dict[LogKey, asyncio.Task[None]] = {}

    def want(
        self,
        key: LogKey,
        source_nodes: Sequence[str],
        closed: LogInfo | None,
        *,
        starts_in_seconds: float = 0.0,
    ) -> None:
        """Keep a copy of this output from now on; repeating it is free.

        A run that is claimed ahead of its time has nothing to copy before `starts_in_seconds`.

        The node that writes it comes first in `source_nodes`; when that is this node and the run
        is active there is nothing to copy. `closed` is what was agreed when the run ended.
        """
        if closed is None and source_nodes and source_nodes[0] == self._node:
            return
        wish = Wish(tuple(name for name in source_nodes if name != self._node), closed)
        copying, task = self._copying.get(key, (None, None))
        if copying is not None and task is not None and not task.done():
            copying.change(wish)
            return
        copying = Copying(key, wish, self._local, self._reach, starts_in_seconds=starts_in_seconds)
        task = asyncio.create_task(self._run(copying, self._ending.get(key)))
        self._copying[key] = (copying, task)
        task.add_done_callback(lambda done: self._forget(key, done))

    async def _run(self, copying: Copying, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        await copying.run(self._limits, self._pause_seconds)

    def drop(self, key: LogKey) -> None:
        """Stop copying; what is held stays and can be read."""
        _, task = self._copying.pop(key, (None, None))
        if task is not None and not task.done():
            self._ending[key] = task
            task.cancel()

    @property
    def wanted(self) -> frozenset[LogKey]:
        """What is being copied and not whole yet."""
        return frozenset(self._copying)

    async def stop(self) -> None:
        """Stop all copying."""
        for key in list(self._copying):
            self.drop(key)
        if self._ending:
            await asyncio.wait(list(self._ending.values()))

    def _forget(self, key: LogKey, done: asyncio.Task[None]) -> None:
        if self._ending.get(key) is done:
            del self._ending[key]
        _, task = self._copying.get(key, (None, None))
        if task is done:
            del self._copying[key]
        if not done.cancelled() and done.exception() is not None:
            _log.error("copying run %s stopped", key.run_id, exc_info=done.exception())
