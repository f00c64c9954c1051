"""Follows one attempt from the daemon's side: hands its output over and learns how it ended.

The shim does all the work; this may stop at any time and be begun again by a later life of the
daemon. Where a shim left no result, `croncord.node.remains` finds out what can be known.
"""

import asyncio
import contextlib
import functools
import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from croncord.errors import CronCordError
from croncord.messages import MessageReader
from croncord.model import LogInfo, Messages, milliseconds
from croncord.node import remains, rundir
from croncord.node.excerpt import Excerpt
from croncord.node.shim_handle import ShimHandle
from croncord.node.spool import Spool
from croncord.ports import LogKey, ProcessEnd, RunLogs

log = logging.getLogger(__name__)

STORE_SECONDS: Final = 30.0
"""How long the result of an ended run waits for a store that refuses its output."""

_POLL_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_NO_MESSAGES = Messages()

T = TypeVar("T")


class Supervision:
    """Sees one attempt through to its end."""

    def __init__(self, key: LogKey, directory: Path, logs: RunLogs) -> None:
        self.key = key
        self._directory = directory
        self._logs = logs
        self._spool: Spool | None = None
        self._messages = MessageReader()
        self._excerpt = Excerpt()
        self._log = LogInfo()
        self.shim = ShimHandle(key, directory)

    @property
    def progress(self) -> float | None:
        """What its script told so far, in percent."""
        return self._messages.messages.progress

    def open_spool(self) -> Spool:
        """Open the spool unless it is open: before the script starts, which may remove it."""
        if self._spool is None:
            self._spool = Spool(self._directory)
        return self._spool

    async def see_through(self) -> ProcessEnd:
        """Return how it ended, once its output is handed over and sealed.

        Raises OSError. Whoever calls this also calls `close`, whatever happens.
        """
        spool = self.open_spool()
        note = ""
        try:
            await self._follow(spool)
        except CronCordError as error:  # the result counts more than its output
            log.exception("the output of run %s could not be stored", self.key.run_id)
            note = f"its output could not be stored: {error.message}"
        text = spool.result or self._written_result() or await self._settle(spool, None)
        result: dict[str, Any] = json.loads(text)
        if self.shim.forced_at is not None and result["outcome"] == "exited":
            # Its shim went on watching; it cannot know who ended the script.
            signalled_ms = milliseconds(self.shim.forced_at)
            result |= {"outcome": "killed", "signalled_ms": signalled_ms}
        end = process_end(self.key, result, note, self._messages.end())
        return msgspec.structs.replace(end, log=self._log, excerpt=self._excerpt.text())

    def close(self) -> None:
        """Let go of everything."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        self.shim.close()

    async def _follow(self, spool: Spool) -> None:
        """Hand everything over and seal it. Raises what the store raises when it goes on refusing."""
        order = rundir.read_json(str(self._directory), rundir.ORDER) or {}
        started_at = _instant(order.get("prepared_ms", 0))
        opening = functools.partial(self._logs.open, self.key, started_at=started_at)
        at = await self._patiently(opening)
        await self._listen_again(spool, at)
        result = self._written_result()
        if result is None or not spool.ends_at(at, result):
            await self._copy(spool, at)
        self._log = await self._patiently(functools.partial(self._logs.close, self.key))

    async def _copy(self, spool: Spool, at: int) -> None:
        while True:
            link = await self.shim.link()
            if link is not None:
                link.ask_for_news()
            # Looked up before the reading: what a dead shim wrote is all there by then.
            is_alive = self.shim.process() is not None
            while frames := spool.read(at):
                self._listen(spool)
                appending = functools.partial(self._logs.append, self.key, at, frames)
                at = await self._patiently(appending)
            if spool.result is not None:
                return
            if not is_alive:
                await self._settle(spool, at)
            elif link is not None:
                await link.news.wait()
            else:
                await asyncio.sleep(_POLL_SECONDS)

    async def _listen_again(self, spool: Spool, end: int) -> None:
        """Collect the messages in what an earlier life handed over."""
        at = 0
        while at < end and (frames := spool.read(at)):
            self._listen(spool)
            at += len(frames)
            await asyncio.sleep(0)
        spool.result = None

    def _listen(self, spool: Spool) -> None:
        self._excerpt.feed(spool.frames)
        for frame in spool.frames:
            if frame.is_output:
                self._messages.feed(frame.stream, frame.payload)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call that the store refuses: for ever while the script runs, then not for long."""
        give_up_at = None
        while True:
            try:
                return await call()
            except CronCordError as error:
                log.warning("the store refuses output of run %s: %s", self.key.run_id, error)
                if give_up_at is None and self.shim.process() is None:
                    give_up_at = time.monotonic() + STORE_SECONDS
                if give_up_at is not None and time.monotonic() >= give_up_at:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def _settle(self, spool: Spool, at: int | None) -> bytes:
        """Give a run that has no result one; with `at` also its output an end."""
        result = self._written_result()
        if result is None:
            shim = self.shim
            found = await remains.conclude(self._directory, self.key, shim.meta, shim.forced_at)
            result = json.dumps(found).encode()
            with contextlib.suppress(FileNotFoundError):  # its directory is gone
                rundir.write_json(str(self._directory), rundir.RESULT, found)
        if at is not None:
            spool.complete(at, result)
        return result

    def _written_result(self) -> bytes | None:
        found = rundir.read_json(str(self._directory), rundir.RESULT)
        return None if found is None else json.dumps(found).encode()


def process_end(
    key: LogKey, result: dict[str, Any], note: str = "", messages: Messages = _NO_MESSAGES
) -> ProcessEnd:
    """Read a result as a shim writes it."""
    started_ms, signalled_ms = result["started_ms"], result["signalled_ms"]
    return ProcessEnd(
        key=key,
        outcome=result["outcome"],
        started_at=None if started_ms is None else _instant(started_ms),
        finished_at=_instant(result["finished_ms"]),
        exit_code=result["exit_code"],
        signal=result["signal"],
        cpu_seconds=result["cpu_seconds"],
        max_rss_bytes=result["max_rss_bytes"],
        signalled_at=None if signalled_ms is None else _instant(signalled_ms),
        survivors=tuple(result["survivors"]),
        messages=messages,
        detail="; ".join(part for part in (result["detail"], note) if part),
    )


def _instant(since_1970_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=since_1970_ms)
