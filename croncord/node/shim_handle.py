"""A shim as the daemon sees it: who it is, whether it lives, and how to have its script ended."""

import asyncio
import contextlib
import logging
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from croncord.node import remains, rundir
from croncord.node.kill import Process, boot_id, look, send
from croncord.node.shimlink import ShimLink, connect
from croncord.ports import LogKey

log = logging.getLogger(__name__)

_EXIT_SECONDS = 0.2

ANSWER_SECONDS: Final = 5.0
"""How long a shim may take to say that it sent the first signal."""


class ShimHandle:
    """The shim of one attempt."""

    def __init__(self, key: LogKey, directory: Path) -> None:
        self._key = key
        self._directory = directory
        self._link: ShimLink | None = None
        self._connecting = asyncio.Lock()
        self.meta: dict[str, Any] | None = None
        """What it says about itself. Set it early: a script may remove the file that says so."""
        self.forced_at: datetime | None = None
        """When it was ended by force because it did not answer."""

    def process(self) -> Process | None:
        """Return the shim's process while it lives."""
        if self.meta is None:
            self.meta = rundir.read_json(str(self._directory), rundir.META)
        meta = self.meta or {}
        shim = look(meta["pid"]) if meta.get("boot") == boot_id() else None
        if shim is None or shim.started != meta["started"] or not shim.is_alive:
            return None
        return shim

    def wake(self) -> Process | None:
        """Return its process while it lives; a script of the same user may have stopped it."""
        shim = self.process()
        if shim is not None:
            send(shim, signal.SIGCONT)
        return shim

    def keep_awake(self) -> None:
        """Continue it when it was stopped: a script of the same user may do that.

        To be called now and then, also before it has said that its script runs.
        """
        shim = self.process()
        if shim is not None and shim.is_stopped:
            send(shim, signal.SIGCONT)

    async def link(self) -> ShimLink | None:
        """Return the connection to it, None when it does not listen."""
        async with self._connecting:
            if self._link is None or self._link.is_lost:
                self._link = await connect(self._directory)
            return self._link

    async def kill(self, grace_seconds: int) -> None:
        """Have the tree ended; returns when the first signal was sent, or nothing is left."""
        shim = self.wake()
        if shim is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                if await self._ask_to_kill(grace_seconds):
                    return
        if self.process() is not None:
            log.warning("the shim of run %s does not answer; ending it", self._key.run_id)
            self.forced_at = datetime.now(UTC)
            await remains.end_shim(self._directory, shim, self._key, grace_seconds)

    async def _ask_to_kill(self, grace_seconds: int) -> bool:
        """Return whether the shim has begun or is gone; False when it listens no more."""
        link = await self.link()
        if link is not None:
            link.ask_to_kill(grace_seconds)
            await link.signalled.wait()
            return True
        # It is about to exit, or its script removed the socket.
        await asyncio.sleep(_EXIT_SECONDS)
        return self.process() is None

    def close(self) -> None:
        """Stop listening to it."""
        if self._link is not None:
            self._link.close()
