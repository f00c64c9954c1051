"""Which runs have begun to write: a node is asked about all of its runs at once.

A run that is claimed ahead of its time, or waits for its turn on a busy node, has no output to follow
yet. So nothing is followed before its writer says that it has begun. In a burst most of what has begun
is over a moment later, and its output comes with that of others. So there a run is followed that has
printed something and is still active half a second after that was seen; when it is sealed, and its end is
not told within five seconds, its copy does not wait for that any longer.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from croncord.errors import CronCordError
from croncord.logs.copying import Reach, Wish
from croncord.model import LogInfo
from croncord.ports import LogKey, LogStatus

LOOK_SECONDS: Final = 0.5
"""How soon a run that had not begun is asked for again; its end is told anyhow."""
AT_ONCE: Final = 500
TOGETHER_SECONDS: Final = 0.05
"""What is to be asked for so soon is asked for now."""
BURST: Final = 20
"""More runs than that, waited for on one node at a time, are a burst."""

SEALED_LOOKS: Final = 10

_SOMETHING: Final = LogStatus(size=1, complete=False, info=LogInfo(bytes=1))
_log = logging.getLogger(__name__)


class _Watched(NamedTuple):
    """A run that is not followed yet."""

    wish: Wish
    asks_at: float
    """When to ask next, as the loop counts."""
    looks: int = 0
    """How often in a row it was found worth following."""


class Beginnings:
    """Active runs of other nodes whose output has not begun. Made and called on the event loop."""

    def __init__(self, reach: Reach, *, begun: Callable[[LogKey, Wish], None]) -> None:
        """`begun` is told when there is output to follow, or its writer does not say."""
        self._reach = reach
        self._begun = begun
        self._runs: dict[str, dict[LogKey, _Watched]] = {}
        """By their nodes."""
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def watch(self, key: LogKey, wish: Wish, *, in_seconds: float) -> None:
        """Ask for this run's output after that time; repeating it is free."""
        name = wish.sources[0]
        due = asyncio.get_running_loop().time() + in_seconds
        runs = self._runs.setdefault(name, {})
        known = runs.get(key)
        runs[key] = known._replace(wish=wish) if known else _Watched(wish, due)
        self._changed.set()
        if name not in self._looking:
            self._looking[name] = asyncio.create_task(self._look(name), name=f"beginnings-{name}")

    def forget(self, key: LogKey) -> None:
        """Ask for it no more."""
        for runs in self._runs.values():
            runs.pop(key, None)

    @property
    def watched(self) -> set[LogKey]:
        """What has not begun yet."""
        return {key for runs in self._runs.values() for key in runs}

    async def stop(self) -> None:
        """Stop asking."""
        tasks = list(self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, name: str) -> None:
        runs = self._runs[name]
        loop = asyncio.get_running_loop()
        try:
            while runs:
                self._changed.clear()
                wait = min(run.asks_at for run in runs.values()) - loop.time()
                if wait > 0:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._changed.wait()
                    continue
                until = loop.time() + TOGETHER_SECONDS
                due = [key for key, run in runs.items() if run.asks_at <= until]
                some = due[:AT_ONCE]
                found = await self._held(name, some)
                self._note(runs, found, is_burst=len(runs) > BURST)
        finally:
            del self._looking[name], self._runs[name]

    def _note(
        self,
        runs: dict[LogKey, _Watched],
        found: Mapping[LogKey, LogStatus | None],
        *,
        is_burst: bool,
    ) -> None:
        asks_at = asyncio.get_running_loop().time() + LOOK_SECONDS
        for key, status in found.items():
            run = runs.get(key)
            if run is None:
                continue  # it ended meanwhile
            wanted = 0 if status is None else _looks(status, is_burst=is_burst)
            if wanted and run.looks + 1 >= wanted:
                del runs[key]
                self._begun(key, run.wish)
            else:
                runs[key] = _Watched(run.wish, asks_at, run.looks + 1 if wanted else 0)

    async def _held(self, name: str, keys: Sequence[LogKey]) -> Mapping[LogKey, LogStatus | None]:
        """Return what a node has of these; when it is silent, others may have something of each."""
        silent = dict.fromkeys(keys, _SOMETHING)
        address = self._reach.address_of(name)
        if address is None:
            return silent
        try:
            statuses = await self._reach.peers.logs_held(address, keys)
        except CronCordError as error:
            # Each is asked for by itself, which says so again when it fails.
            _log.info("%s does not say which of %d runs began: %s", name, len(keys), error)
            return silent
        nothing: dict[LogKey, LogStatus | None] = dict.fromkeys(keys)
        return nothing | dict(zip(keys, statuses, strict=False))


def _looks(status: LogStatus, *, is_burst: bool) -> int:
    """Return how many looks in a row must find a run like this before it is followed; 0: never."""
    if not is_burst:
        return 1
    if not status.info.bytes:
        return 0
    return SEALED_LOOKS if status.complete else 2
