"""Rows of the ledger that this node lacks are taken from the others.

A node that joined, was wiped, or got the agreed state as a snapshot has not seen the commands that
made older rows final. The number and a checksum of each day's rows are compared with every other
node's; where they differ the day's rows are read, and those that are missing here are written. A row
that says `lost` gives way to one that knows better.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

from croncord.clock import Clock
from croncord.lifecycle import RunState
from croncord.logs.filling import Filling
from croncord.logs.ledger import RunLedger
from croncord.logs.ledger_rows import day_ids, stored_bytes
from croncord.model import Run

PAUSE_SECONDS: Final = 6 * 3600.0


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
        self._oldest = oldest
        self._filling = Filling(
            "ledger rows",
            self._fill_from,
            lacks=ledger.lacks_rows,
            clock=clock,
            addresses=addresses,
            pause_seconds=PAUSE_SECONDS,
            on_filled=on_filled,
        )

    async def run(self) -> None:
        """Compare for ever; cancel to stop."""
        await self._filling.run()

    async def fill(self) -> set[str]:
        """Ask every member once; returns who answered."""
        return await self._filling.ask()

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
