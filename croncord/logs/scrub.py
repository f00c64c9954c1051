"""The scrub: everything stored is read through, slowly, again and again.

The reading is done in a process of its own, one day at a time, newest first; see
`croncord.logs.check`. Damaged outputs are noted, which makes them be fetched again; a day whose file
is broken is set aside.
"""

import asyncio
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from functools import partial
from typing import Final

from croncord.errors import StoreError
from croncord.logs.check import OUTPUT, SOUND
from croncord.logs.keys import day_of, day_start, unpack
from croncord.logs.local import LocalLogs

FIRST_PAUSE_SECONDS: Final = 5.0
"""After the start, which has enough to do."""
PAUSE_SECONDS: Final = 6 * 3600.0
"""Between two passes."""

_INDEX = "index"
_log = logging.getLogger(__name__)


class Scrub:
    """Looks for damage on this node's disk."""

    def __init__(
        self,
        local: LocalLogs,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._local = local
        self._first_pause_seconds = first_pause_seconds
        self._pause_seconds = pause_seconds

    async def run(self) -> None:
        """Scrub for ever; cancel to stop."""
        await asyncio.sleep(self._first_pause_seconds)
        while True:
            try:
                await self.scrub()
            except StoreError as error:
                # Nothing is known to be wrong; the next pass looks again.
                _log.warning("the scrub broke off: %s", error)
            await asyncio.sleep(self._pause_seconds)

    async def scrub(self) -> None:
        """Read everything once. Raises StoreError when the index cannot be read."""
        if await self._read_through("structure", str(self._local.disk.root / _INDEX)) is None:
            _log.error("the index of outputs is damaged: restart this node to have it rebuilt")
            return
        for day in await self._days():
            found = await self._read_through("content", str(self._local.disk.root), day)
            if found is None and await self._is_broken(day):
                _log.error("%s cannot be read: it is set aside", day)
                await self._local.in_thread(partial(self._local.disk.days.set_aside, day))
                found = await self._read_through("content", str(self._local.disk.root), day)
            for raw_key in found or ():
                self._local.note_damage(unpack(raw_key))

    async def _is_broken(self, day: str) -> bool:
        path = self._local.disk.root / day
        return path.is_dir() and await self._read_through("structure", str(path)) is None

    async def _days(self) -> list[str]:
        """Days that the index knows or the disk has, newest first."""
        disk = self._local.disk
        days = set(disk.days.names())
        first = b""
        while rows := await self._local.in_thread(partial(disk.outputs, first, 1)):
            day = day_of(rows[0][0])
            days.add(day)
            first = day_start(day, days_later=1)
        return sorted(days, reverse=True)

    async def _read_through(self, *arguments: str) -> list[bytes] | None:
        """Return the keys of damaged outputs; None when the reader did not get through."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "croncord.logs.check",
            *arguments,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            output, complaint = await process.communicate()
        finally:
            _end(process)
        lines = output.decode().splitlines()
        if lines[-1:] != [SOUND]:
            _log.error("checking %s failed: %s", arguments, complaint.decode()[-500:])
            return None
        words = [line.split() for line in lines]
        return [bytes.fromhex(key) for kind, *rest in words if kind == OUTPUT for key in rest]


def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
