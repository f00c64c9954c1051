"""One copy of another node's output: followed while it grows, then completed and checked.

It begins where this node's copy ends, so it may be started, broken off and repeated at any time.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Final, NamedTuple

from croncord.errors import CronCordError
from croncord.logs.local import LocalLogs
from croncord.logs.prefix import framed_prefix_sha256
from croncord.logs.reading import closing
from croncord.logs.tally import is_same_output
from croncord.model import LogInfo
from croncord.ports import LogKey, Peers

PAUSE_SECONDS_MAX: Final = 10.0
AGREED_SECONDS: Final = 1.0
NOT_BEGUN_SECONDS: Final = 1.0
"""A run that waits for its turn on a busy node has no output yet; its end is told anyhow."""

_log = logging.getLogger(__name__)


class Wish(NamedTuple):
    """What copy is wanted."""

    sources: tuple[str, ...]
    """Other nodes that may have it, the one that writes it first."""
    closed: LogInfo | None
    """What the cluster agreed on when the run ended; None while it is active."""


class Reach(NamedTuple):
    """How to get at other nodes."""

    peers: Peers
    address_of: Callable[[str], str | None]


class Copying:
    """Copies one output until it is whole. `run` is meant to be a task of its own."""

    def __init__(self, key: LogKey, wish: Wish, local: LocalLogs, reach: Reach) -> None:
        self.key = key
        self.wish = wish
        self._local = local
        self._reach = reach
        self._changed = asyncio.Event()
        self._failures = 0
        self._is_stuck = False
        """Whether taking more ended without a byte: this copy may have gone another way."""

    def change(self, wish: Wish) -> None:
        """Go on with another wish, at once when it waits between two rounds."""
        if wish != self.wish:
            self.wish = wish
            self._failures = 0
            self._changed.set()

    async def run(self, limits: dict[bool, asyncio.Semaphore], pause_seconds: float) -> None:
        """Go round the sources until the copy is whole; `limits` by whether the run is active."""
        try:
            while True:
                self._changed.clear()
                limit = limits[self.wish.closed is None]
                # An active run that finds no room is looked at again later, or when it is over.
                if self.wish.closed is not None or not limit.locked():
                    async with limit:
                        if await self._round():
                            return
                longest = min(pause_seconds * 2**self._failures, PAUSE_SECONDS_MAX)
                held = self._local.status(self.key)
                if self.wish.closed is None and (held is None or held.size == 0):
                    longest = max(longest, NOT_BEGUN_SECONDS)
                self._failures = min(self._failures + 1, 10)
                with suppress(TimeoutError):
                    pause = longest * random.uniform(0.5, 1)  # noqa: S311 - spreads the load only
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
        finally:
            self._local.rest(self.key)

    async def _round(self) -> bool:
        wish = self.wish
        if self._is_whole(wish) or (
            wish.closed is not None and await self._close_here(wish.closed)
        ):
            return True
        # Of an active run nobody has more than its writer; the others count when that is silent.
        is_first = wish.closed is None and not self._failures
        for place, name in enumerate(wish.sources[:1] if is_first else wish.sources):
            address = self._reach.address_of(name)
            if address is None or self.wish != wish:
                continue  # another wish: the next round begins at once
            try:
                if wish.closed is None:
                    is_whole = await self._follow(address, follow=place == 0)
                else:
                    is_whole = await self._complete(address, wish.closed)
            except CronCordError as error:
                # The next source, or the next round, goes on where this one ended.
                level = logging.DEBUG if self._failures else logging.INFO
                _log.log(level, "copying run %s from %s: %s", self.key.run_id, name, error)
            else:
                if is_whole:
                    return True
        return wish == self.wish and wish.closed is not None and not wish.closed.sha256

    def _is_whole(self, wish: Wish) -> bool:
        status = self._local.status(self.key)
        if status is None or not status.complete:
            return False
        return wish.closed is None or is_same_output(status.info, wish.closed)

    async def _follow(self, address: str, *, follow: bool) -> bool:
        """Take what comes; whole when the source is sealed and both digests are equal."""
        await self._unless_changed(self._take(address, follow=follow))
        # That the output is over means that the end of its run is about to be agreed on. The
        # digest comes with that, and the source need not be asked for it.
        with suppress(TimeoutError):
            async with asyncio.timeout(AGREED_SECONDS):
                await self._changed.wait()
            return False
        status = await self._reach.peers.log_status(address, self.key)
        if status is None or not status.complete:
            return False
        return await self._seal_if(status.info)

    async def _complete(self, address: str, closed: LogInfo) -> bool:
        """Take what is missing of a finished output; whole when it has the agreed digest.

        A damaged copy is given up, from the damage on, and one that went another way altogether,
        only when the source has a whole one.
        """
        if self._local.is_damaged(self.key):
            sound = await self._reach.peers.log_check(address, self.key)
            if sound is None or not sound.complete or not is_same_output(sound.info, closed):
                return False
            await self._local.cut_back(self.key)
        here = self._local.status(self.key)
        if here is None or not (here.complete or self._is_stuck):
            if here is not None and await self._seal_if(closed):
                return True
            self._is_stuck = True
            await self._take(address, follow=False)
            self._is_stuck = False
            if await self._seal_if(closed):
                return True
        there = await self._reach.peers.log_status(address, self.key)
        if there is None or not there.complete or not is_same_output(there.info, closed):
            return False
        here = self._local.status(self.key)
        if here is not None and await self._is_prefix(address, here.size):
            await self._local.reopen(self.key)  # more of it was agreed since it was sealed here
        else:
            _log.warning("the copy of run %s differs from what was agreed; anew", self.key.run_id)
            await self._local.delete([self.key])
        self._is_stuck = False
        await self._take(address, follow=False)
        return await self._seal_if(closed)

    async def _is_prefix(self, address: str, size: int) -> bool:
        theirs = await self._reach.peers.log_prefix_sha256(address, self.key, size)
        return theirs == await framed_prefix_sha256(self._local, self.key, size)

    async def _close_here(self, closed: LogInfo) -> bool:
        """Seal what is held when it is just what was agreed: the longest copy needs no other."""
        here = self._local.status(self.key)
        held_bytes = 0 if here is None else here.info.bytes
        if not closed.recovered or held_bytes != closed.bytes:
            return False
        if self._local.is_damaged(self.key) or (here is not None and here.complete):
            return False
        await self._local.begin(self.key, behind=True, repairs=True)
        return await self._seal_if(closed)

    async def _take(self, address: str, *, follow: bool) -> None:
        status = self._local.status(self.key)
        offset = status.size if status is not None else 0
        # A copy without a byte is nothing to serve readers from until its source has answered.
        is_behind, repairs = not follow or offset == 0, self.wish.closed is not None
        await self._local.begin(self.key, behind=is_behind, repairs=repairs)
        stream = self._reach.peers.log_stream(address, self.key, offset=offset, follow=follow)
        async with closing(stream) as pieces:
            async for data in pieces:
                await self._local.append(self.key, offset, data, may_drop=False)
                offset += len(data)
                self._failures = 0
                self._is_stuck = False
                if follow:
                    self._local.keep_up(self.key)

    async def _unless_changed(self, work: Coroutine[None, None, None]) -> None:
        """Do something that may take for ever, until another wish comes."""
        working = asyncio.ensure_future(work)
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({working, changed}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
        finally:
            working.cancel()
            changed.cancel()
            await asyncio.wait({working, changed})
            if not working.cancelled():
                working.exception()

    async def _seal_if(self, wanted: LogInfo) -> bool:
        if not is_same_output(self._local.final_info(self.key), wanted):
            return False
        await self._local.seal(self.key)
        return True
