"""Copies of small outputs of ended runs: many from one node in one call.

Most runs print next to nothing, and to ask for such an output costs far more than to store it. So what
ends at about the same time on one node is asked for together. What does not come that way, because it
is long, or its writer does not answer or is of an older release, is copied one by one.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

from croncord.errors import CronCordError
from croncord.logs.copying import Reach, Wish
from croncord.logs.disk import INLINE_BYTES_MAX
from croncord.logs.local import LocalLogs
from croncord.model import LogInfo
from croncord.ports import LogKey

GATHER_SECONDS: Final = 0.1
"""So long others may join before a node is asked."""
AT_ONCE: Final = 500

_log = logging.getLogger(__name__)


class Bundles:
    """Takes whole small outputs from the nodes that wrote them. Made and called on the event loop."""

    def __init__(
        self, local: LocalLogs, reach: Reach, *, one_by_one: Callable[[LogKey, Wish], None]
    ) -> None:
        """`one_by_one` is given what did not come with others."""
        self._local = local
        self._reach = reach
        self._one_by_one = one_by_one
        self._wishes: dict[str, dict[LogKey, Wish]] = {}
        """What is wanted of each node; an output stays here until it is held."""
        self._asking: dict[str, asyncio.Task[None]] = {}

    def take(self, key: LogKey, wish: Wish) -> bool:
        """Have this output copied with others, when it may be; returns whether it may."""
        if not _is_small(wish.closed) or not wish.sources:
            return False
        name = wish.sources[0]
        self._wishes.setdefault(name, {})[key] = wish
        if name not in self._asking:
            self._asking[name] = asyncio.create_task(self._ask(name), name=f"bundles-{name}")
        return True

    def drop(self, key: LogKey) -> None:
        """Let it be; what is on its way is kept all the same."""
        for wishes in self._wishes.values():
            wishes.pop(key, None)

    @property
    def wanted(self) -> set[LogKey]:
        """What is not held yet."""
        return {key for wishes in self._wishes.values() for key in wishes}

    async def stop(self) -> None:
        """Stop asking."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, name: str) -> None:
        wishes = self._wishes[name]
        try:
            while wishes:
                await asyncio.sleep(GATHER_SECONDS)
                some = dict(islice(wishes.items(), AT_ONCE))
                held = await self._fetch(name, some)
                for key, wish in some.items():
                    latest = wishes.pop(key, None)
                    if latest is not None and not (key in held and latest == wish):
                        self._one_by_one(key, latest)
        finally:
            del self._asking[name], self._wishes[name]

    async def _fetch(self, name: str, wishes: Mapping[LogKey, Wish]) -> set[LogKey]:
        """Ask a node for these outputs and keep them; returns what is held now."""
        address = self._reach.address_of(name)
        try:
            keys = self._local.unknown(wishes)
            if address is None or not keys:
                return set()
            outputs = await self._reach.peers.logs_whole(address, keys)
            return await self._local.take_whole(
                {
                    key: (output, agreed)
                    for key, output in zip(keys, outputs, strict=False)
                    if output is not None and (agreed := wishes[key].closed) is not None
                }
            )
        except CronCordError as error:
            # Each is asked for by itself, here and elsewhere, and says so when it is not found.
            _log.info("%d outputs of %s did not come together: %s", len(wishes), name, error)
            return set()


def _is_small(closed: LogInfo | None) -> bool:
    """Whether its row may hold all of it, and its writer closed it."""
    if closed is None or closed.bytes > INLINE_BYTES_MAX:
        return False
    return closed.complete and bool(closed.sha256) and not closed.recovered
