"""Entries of the audit trail that this node lacks are taken from the others.

A node that joined, was wiped, or got the agreed state as a snapshot has not seen the older commands.
The number and a checksum of each day's entries are compared with every other node's; where they differ
the day is read. Entries are a function of the commands, so all nodes' together are the whole.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final, Protocol

from croncord.audit import AuditEntry
from croncord.clock import Clock
from croncord.errors import CronCordError
from croncord.logs.audit_log import KEPT_DAYS, AuditLog

FIRST_PAUSE_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 3600.0

_log = logging.getLogger(__name__)


class AuditPeers(Protocol):
    """What is asked of another node."""

    async def audit_days(self, node_http: str) -> dict[str, tuple[int, int]]:
        """Ask how many entries of each day it has, and their checksum."""

    async def audit_entries(
        self, node_http: str, day: str, after: str
    ) -> tuple[list[AuditEntry], str]:
        """Ask for entries of a day, oldest first, and the cursor to go on with."""


class AuditFiller:
    """Compares this node's audit trail with the others', at the start and once an hour."""

    def __init__(
        self,
        trail: AuditLog,
        peers: AuditPeers,
        *,
        clock: Clock,
        addresses: Callable[[], Mapping[str, str]],
    ) -> None:
        """`addresses` gives the other members by name."""
        self._trail = trail
        self._peers = peers
        self._clock = clock
        self._addresses = addresses

    async def run(self) -> None:
        """Compare for ever; cancel to stop."""
        await self._clock.sleep(FIRST_PAUSE_SECONDS)
        while True:
            self._trail.lacks_entries.clear()
            pause_seconds = PAUSE_SECONDS if await self.fill() else RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._trail.lacks_entries.wait()
                    await asyncio.sleep(RETRY_SECONDS)

    async def fill(self) -> bool:
        """Ask every member once; whether one of them answered."""
        has_answered = False
        for name, address in self._addresses().items():
            try:
                count = await self._fill_from(address)
            except CronCordError as error:
                # The next member has the same entries; with none, this is done again soon.
                _log.info("no audit entries from %s: %s", name, error)
                continue
            has_answered = True
            if count:
                _log.info("took %d days of the audit trail from %s", count, name)
        return has_answered

    async def _fill_from(self, address: str) -> int:
        theirs = await self._peers.audit_days(address)
        await self._trail.flush()
        ours = await self._trail.days()
        oldest = f"{self._clock.now() - timedelta(days=KEPT_DAYS - 1):%Y%m%d}"
        differing = [day for day in theirs if day >= oldest and ours.get(day) != theirs[day]]
        for day in sorted(differing, reverse=True):
            after = ""
            while True:
                entries, after = await self._peers.audit_entries(address, day, after)
                self._trail.put(entries)
                await self._trail.flush()
                if not after:
                    break
        return len(differing)
