"""Rows of the ledger that this node lacks are taken from the others.

A node that joined, was wiped, or got the agreed state as a snapshot has not seen the commands that
made older rows final. The number and a checksum of each day's rows are compared with every other
node's; where they differ the day's rows are read, and those that are missing here are written. A row
that says `lost` gives way to one that knows better.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Final, Protocol

from croncord.clock import Clock
from croncord.errors import CronCordError
from croncord.lifecycle import RunState
from croncord.logs.ledger import RunLedger
from croncord.logs.ledger_rows import day_ids, stored_bytes
from croncord.model import Run

FIRST_PAUSE_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 6 * 3600.0

_log = logging.getLogger(__name__)


class LedgerPeers(Protocol):
    """What is asked of another node."""

    async def ledger_days(self, node_http: str) -> dict[str, tuple[int, int]]:
        """Ask how many rows of each day it has, and their checksum."""

    async def ledger_rows(self, node_http: str, first: str, last: str) -> tuple[Run, ...]:
        """Ask for rows from the id `first` to below `last`, oldest first, as many as fit."""


class LedgerFiller:
    """Compares this node's ledger with the others', at the start and now and then."""

    def __init__(
        self,
        ledger: RunLedger,
        peers: LedgerPeers,
        *,
        clock: Clock,
        addresses: Callable[[], Mapping[str, str]],
        on_filled: Callable[[], None],
        oldest: Callable[[], datetime],
    ) -> None:
        """Take what to fill, from where, and how far back.

        `addresses` gives the other members by name, `oldest` the first instant of what is kept;
        `on_filled` is told that rows came.
        """
        self._ledger = ledger
        self._peers = peers
        self._clock = clock
        self._addresses = addresses
        self._on_filled = on_filled
        self._oldest = oldest

    async def run(self) -> None:
        """Compare for ever; cancel to stop.

        Who did not answer may be the one that has what is lacking: it is asked until it does.
        """
        await self._clock.sleep(FIRST_PAUSE_SECONDS)
        answered: set[str] = set()
        begun = self._clock.monotonic()
        while True:
            if self._ledger.lacks_rows.is_set() or self._clock.monotonic() > begun + PAUSE_SECONDS:
                self._ledger.lacks_rows.clear()
                answered, begun = set(), self._clock.monotonic()
            answered |= await self.fill(answered)
            await self._clock.sleep(RETRY_SECONDS)

    async def fill(self, known: Collection[str] = ()) -> set[str]:
        """Ask every member once, but for those in `known`; returns who answered."""
        answered = set()
        for name, address in self._addresses().items():
            if name in known:
                continue
            try:
                count = await self._fill_from(address)
            except CronCordError as error:
                _log.info("no ledger rows from %s: %s", name, error)
                continue
            answered.add(name)
            if count:
                _log.info("took %d ledger rows from %s", count, name)
                self._on_filled()
        return answered

    async def _fill_from(self, address: str) -> int:
        theirs = await self._peers.ledger_days(address)
        await self._ledger.flush()
        ours = await self._ledger.days()
        oldest = f"{self._oldest():%Y%m%d}"
        taken = 0
        for day in sorted(theirs, reverse=True):
            if day >= oldest and ours.get(day) != theirs[day]:
                taken += await self._fill_day(address, day)
        return taken

    async def _fill_day(self, address: str, day: str) -> int:
        first, last = day_ids(day)
        taken = 0
        while rows := await self._peers.ledger_rows(address, first, last):
            lacking = [run for run in rows if self._is_news(run)]
            self._ledger.put(lacking)
            await self._ledger.flush()
            taken += len(lacking)
            first = rows[-1].id + "0"
        return taken

    def _is_news(self, run: Run) -> bool:
        held = self._ledger.get(run.id)
        if held is None or (held.state is RunState.LOST and run.state is not RunState.LOST):
            return True
        # The outputs of lost attempts are agreed on after their row was final.
        return held.state is run.state and _agreed(run) > _agreed(held)


def _agreed(run: Run) -> tuple[int, int]:
    """Count the outputs that are agreed on, and their bytes."""
    logs = [run.log, *(attempt.log for attempt in run.attempts)]
    return sum(bool(log.sha256) for log in logs), stored_bytes(run)
