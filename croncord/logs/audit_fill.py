"""Entries of the audit trail that this node lacks are taken from the others.

A node that joined, was wiped, or got the agreed state as a snapshot has not seen the older commands.
The number and a checksum of each day's entries are compared with every other node's; where they differ
the day is read. Entries are a function of the commands, so all nodes' together are the whole.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, Protocol

from croncord.audit import AuditEntry
from croncord.clock import Clock
from croncord.logs.audit_log import KEPT_DAYS, AuditLog
from croncord.logs.filling import Filling

PAUSE_SECONDS: Final = 3600.0


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
        self._filling = Filling(
            "days of the audit trail",
            self._fill_from,
            lacks=trail.lacks_entries,
            clock=clock,
            addresses=addresses,
            pause_seconds=PAUSE_SECONDS,
        )

    async def run(self) -> None:
        """Compare for ever; cancel to stop."""
        await self._filling.run()

    async def fill(self) -> set[str]:
        """Ask every member once; returns who answered."""
        return await self._filling.ask()

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
