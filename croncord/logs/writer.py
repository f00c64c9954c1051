"""Group commit: one thread that writes what has gathered since the last commit.

What is to be written is collected on the event loop as an immutable batch, written in the thread,
and settled on the loop again. A batch that the disk refuses is tried again until it goes in, so
batches are never reordered or lost while the program runs.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Generic, TypeVar

from croncord.errors import StoreError

Batch = TypeVar("Batch")

WINDOW_SECONDS: Final = 0.04
HURRIED_WINDOW_SECONDS: Final = 0.005
RETRY_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class GroupWriter(Generic[Batch]):
    """Writes batches one after the other. Made on the event loop; everything is called there."""

    def __init__(
        self,
        name: str,
        *,
        collect: Callable[[], Batch | None],
        commit: Callable[[Batch], None],
        settle: Callable[[Batch], None],
        relieve: Callable[[], Callable[[], None] | None] = lambda: None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Take what to do: `collect` and `settle` on the loop, `commit` in the thread.

        `collect` returns None when nothing waits. `commit` raises StoreError to be called again
        with the same batch; it must bear being repeated. While it is refused, `relieve` is asked,
        on the loop, for what makes room on the disk; that is done in the thread, at once.
        """
        self._name = name
        self._collect = collect
        self._commit = commit
        self._settle = settle
        self._relieve = relieve
        self._retry_seconds = retry_seconds
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._closing = asyncio.Event()
        self._interrupt = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._waiting_for_relief: list[asyncio.Future[None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._task = asyncio.create_task(self._run(), name=name)
        self.failure: StoreError | None = None
        """Why the last attempt to write did not succeed."""

    def kick(self) -> None:
        """Something waits to be written within the window."""
        self._wanted.set()

    async def flush(self) -> None:
        """Return when everything that waits now is on disk. Raises StoreError when it stopped."""
        if self._task.done():
            raise StoreError(f"{self._name} has stopped", hint="Restart this node.")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._hurry.set()
        self._wanted.set()
        await done

    async def flush_relief(self) -> None:
        """Return when what `relieve` gives now is on disk. Raises as `flush` does."""
        if self._task.done():
            await self.flush()
        done = asyncio.get_running_loop().create_future()
        self._waiting_for_relief.append(done)
        self._interrupt.set()
        self._hurry.set()
        self._wanted.set()
        await done

    async def close(self) -> None:
        """Write what waits, once more if the disk refuses, and stop the thread."""
        self._closing.set()
        self._interrupt.set()
        self._hurry.set()
        self._wanted.set()
        try:
            await self._task
        finally:
            self._thread.shutdown()

    async def _run(self) -> None:
        try:
            while not self._closing.is_set():
                await self._wanted.wait()
                await self._gather()
                await self._write_once()
            await self._write_once()
        except Exception as error:  # noqa: BLE001 - logged, and told to everybody who waits
            # A defect or a last refusal: nothing can be written any more. Appenders see `failure`
            # and go on without the disk.
            _log.exception("%s stopped", self._name)
            self.failure = StoreError(f"{self._name} stopped: {error}", hint="Restart this node.")
            self._tell(self._waiting, self.failure)
            self._tell(self._waiting_for_relief, self.failure)

    async def _gather(self) -> None:
        hurried = self._hurry.is_set()
        await asyncio.sleep(HURRIED_WINDOW_SECONDS)
        if not hurried:
            with suppress(TimeoutError):
                async with asyncio.timeout(WINDOW_SECONDS):
                    await self._hurry.wait()

    async def _write_once(self) -> None:
        self._wanted.clear()
        self._hurry.clear()
        waiting, self._waiting = self._waiting, []
        relieved = list(self._waiting_for_relief)
        batch = self._collect()
        if batch is not None:
            try:
                await self._persist(batch)
            except BaseException:
                self._waiting += waiting
                raise
            self._settle(batch)
        self._tell(waiting, None)
        self._waiting_for_relief = [
            done for done in self._waiting_for_relief if done not in relieved
        ]
        self._tell(relieved, None)

    async def _persist(self, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(self._thread, self._commit, batch)
            except StoreError as error:
                if self._closing.is_set():
                    raise
                if self.failure is None:
                    _log.error("%s cannot write: %s", self._name, error)
                self.failure = error
                if not await self._make_room():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._retry_seconds):
                            await self._interrupt.wait()
            else:
                if self.failure is not None:
                    _log.warning("%s writes again", self._name)
                self.failure = None
                return

    async def _make_room(self) -> bool:
        """Do what makes room; whether anything was done."""
        if not self._closing.is_set():
            self._interrupt.clear()
        waiting, self._waiting_for_relief = self._waiting_for_relief, []
        work = self._relieve()
        if work is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, work)
            except StoreError as error:
                _log.warning("%s cannot even make room: %s", self._name, error)
                self._waiting_for_relief = waiting + self._waiting_for_relief
                return False
        self._tell(waiting, None)
        return work is not None and bool(waiting)

    @staticmethod
    def _tell(waiting: list[asyncio.Future[None]], error: StoreError | None) -> None:
        for done in waiting:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        waiting.clear()
