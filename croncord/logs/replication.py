"""Copies of other nodes' outputs: this node dials the one that writes and follows it.

    want(key, sources, closed=None)   the run is active: once the first source has output of it
                                      (`beginnings`) follow that, and take from the others what they
                                      have when it does not answer
    want(key, sources, closed=info)   the run is over: take what is missing, check the digest, seal;
                                      small ones together (`bundles`)
    drop(key)                         no longer this node's business: stop; what is held stays

A run that ended without a digest, because its node was lost, is asked for once at every source;
the longest prefix stays.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from croncord.logs.beginnings import Beginnings
from croncord.logs.bundles import Bundles
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
        self._beginnings = Beginnings(self._reach, begun=self._copy)
        self._bundles = Bundles(local, self._reach, one_by_one=self._copy)
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
        if closed is not None:
            self._beginnings.forget(key)
        if self._is_copied(key):
            self._copy(key, wish)
        elif closed is None and wish.sources:
            self._beginnings.watch(key, wish, in_seconds=starts_in_seconds)
        elif not self._bundles.take(key, wish):
            self._copy(key, wish)

    def _is_copied(self, key: LogKey) -> bool:
        _, task = self._copying.get(key, (None, None))
        return task is not None and not task.done()

    def _copy(self, key: LogKey, wish: Wish) -> None:
        """Copy this output by itself."""
        copying, task = self._copying.get(key, (None, None))
        if copying is not None and task is not None and not task.done():
            copying.change(wish)
            return
        copying = Copying(key, wish, self._local, self._reach)
        task = asyncio.create_task(self._run(copying, self._ending.get(key)))
        self._copying[key] = (copying, task)
        task.add_done_callback(lambda done: self._forget(key, done))

    async def _run(self, copying: Copying, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        await copying.run(self._limits, self._pause_seconds)

    def drop(self, key: LogKey) -> None:
        """Stop copying; what is held stays and can be read."""
        self._beginnings.forget(key)
        self._bundles.drop(key)
        _, task = self._copying.pop(key, (None, None))
        if task is not None and not task.done():
            self._ending[key] = task
            task.cancel()

    @property
    def wanted(self) -> frozenset[LogKey]:
        """What is being copied and not whole yet."""
        return frozenset(self._copying) | self._beginnings.watched | self._bundles.wanted

    async def stop(self) -> None:
        """Stop all copying."""
        await self._beginnings.stop()
        await self._bundles.stop()
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
