"""Which outputs this node keeps a copy of, read off the agreed state.

The leader names a run's replica set when it assigns the run. A member that is not the executing node
follows the output while the run is running. When the row is closed each keeper, the executing one
too, takes what it lacks until its copy has the digest that the row names. A member that was removed
is replaced by the next node in the order of the run's hash; see `croncord.keepers`.

All rows of the ledger are looked through at the start, when members come or go, when asked to, and
every hour. A copy that is found damaged is looked after at once.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol

from croncord.keepers import keepers
from croncord.lifecycle import RunState
from croncord.model import LogInfo, Run
from croncord.ports import Ledger, LogKey, LogStatus, RunFilter
from croncord.raft.commands import (
    AnyCommand,
    ClaimRuns,
    CloseLogs,
    ConcludeRuns,
    FinishRuns,
    RemoveNode,
)
from croncord.raft.port import Replica
from croncord.raft.state import Outcome

SURVEY_SECONDS: Final = 3600.0
ROWS_AT_ONCE: Final = 200
FOLLOW_AFTER_SECONDS: Final = 0.25
"""Most runs have ended so soon after their time; then one call takes all of their output."""
WANTED_MAX: Final = 500
"""The survey waits while so many copies are being fetched."""
_PAUSE_SECONDS = 0.05


class Follower(Protocol):
    """What copies an output from other nodes; see `croncord.logs.replication`."""

    def want(
        self,
        key: LogKey,
        source_nodes: Sequence[str],
        closed: LogInfo | None,
        *,
        starts_in_seconds: float = 0.0,
    ) -> None:
        """Copy from the first source that answers; `closed` tells what a whole copy is.

        Before `starts_in_seconds` there is nothing to copy.
        """

    @property
    def wanted(self) -> frozenset[LogKey]:
        """What is being copied and not whole yet."""


class Held(Protocol):
    """What this node holds; see `croncord.logs.local`."""

    def status(self, key: LogKey) -> LogStatus | None:
        """Return what is held of an output, None when nothing or when it is damaged."""

    def is_written(self, key: LogKey) -> bool:
        """Whether a process of this node writes it."""

    def is_given_up(self, key: LogKey) -> bool:
        """Whether there was no room for it on this node."""

    def on_damage(self, listener: Callable[[LogKey], None]) -> None:
        """Call the listener whenever an output turns out to be damaged."""


class CopyKeeper:
    """Tells the follower what to copy, as runs are claimed and end."""

    def __init__(
        self, *, name: str, replica: Replica, ledger: Ledger, follower: Follower, held: Held
    ) -> None:
        self._name = name
        self._replica = replica
        self._ledger = ledger
        self._follower = follower
        self._held = held
        self._survey_wanted = asyncio.Event()
        self._lacking: set[LogKey] = set()

    def start(self) -> Callable[[], None]:
        """Take up all that is open, look the ledger through, then watch; returns how to stop."""
        self._consider(self._replica.state.open_runs.values())
        stop_watching = self._replica.subscribe(self._on_applied)
        self._held.on_damage(self._on_damage)
        surveying = asyncio.create_task(self._survey_for_ever(), name="copies-survey")

        def stop() -> None:
            stop_watching()
            surveying.cancel()

        return stop

    def survey_soon(self) -> None:
        """Look the whole ledger through, because rows came that were never seen here."""
        self._survey_wanted.set()

    def missing(self) -> int:
        """Return how many copies of ended runs this node should have and does not."""
        self._lacking &= self._follower.wanted
        return len(self._lacking)

    def _on_applied(self, _index: int, command: AnyCommand, outcome: Outcome) -> None:
        if outcome.refusal is not None:
            return
        if isinstance(command, RemoveNode):
            self.survey_soon()
        if isinstance(command, ClaimRuns | FinishRuns | ConcludeRuns | CloseLogs):
            open_runs = self._replica.state.open_runs
            touched = [open_runs[run_id] for run_id in outcome.value if run_id in open_runs]
            self._consider((*touched, *outcome.rows), at=command.at)

    def _on_damage(self, key: LogKey) -> None:
        run = self._replica.state.open_runs.get(key.run_id) or self._ledger.get(key.run_id)
        if run is not None:
            self._consider([run])

    async def _survey_for_ever(self) -> None:
        while True:
            self._survey_wanted.clear()
            await self.survey()
            with suppress(TimeoutError):
                async with asyncio.timeout(SURVEY_SECONDS):
                    await self._survey_wanted.wait()

    async def survey(self) -> None:
        """Look at every row once, newest first, and ask for the copies that are missing."""
        before = ""
        while rows := self._ledger.page(RunFilter(), limit=ROWS_AT_ONCE, before=before):
            self._consider(rows)
            before = rows[-1].id
            await asyncio.sleep(0)
            while len(self._follower.wanted) >= WANTED_MAX:
                await asyncio.sleep(_PAUSE_SECONDS)

    def _consider(self, runs: Iterable[Run], *, at: datetime | None = None) -> None:
        """Ask for what is lacking of these; `at`: they are as of that time, which is just now."""
        members = tuple(self._replica.state.nodes)
        for run in runs:
            for attempt in run.attempts:
                key = LogKey(run.id, attempt.number)
                self._want(key, attempt.replicas, members, attempt.log, is_superseded=True)
            if run.state is RunState.RUNNING:
                wait = 0.0
                if at is not None:
                    wait = (run.due_at - at).total_seconds() + FOLLOW_AFTER_SECONDS
                key = LogKey(run.id, run.attempt)
                self._want(key, run.replicas, members, None, starts_in_seconds=wait)
            elif run.claimed_at is not None:
                self._want(LogKey(run.id, run.attempt), run.replicas, members, run.log)

    def _want(
        self,
        key: LogKey,
        replicas: Sequence[str],
        members: Sequence[str],
        closed: LogInfo | None,
        *,
        is_superseded: bool = False,
        starts_in_seconds: float = 0.0,
    ) -> None:
        """Ask for a copy; the executing node asks only for what it has lost of it."""
        now = replicas if closed is None else keepers(key.run_id, replicas, members)
        if self._name not in now:
            return
        if replicas[:1] == (self._name,) and not self._may_mend_own(key, closed):
            return
        if closed is not None and self._is_whole(key, closed):
            return
        if closed is not None and closed.sha256:
            self._lacking.add(key)
        sources = tuple(dict.fromkeys((*replicas, *now)))
        if is_superseded and closed is not None and not closed.sha256:
            # Fencing: its writer was declared lost and another attempt took over. What it wrote
            # after that is not part of the output, so nobody takes anything from it any more.
            sources = tuple(name for name in sources if name != replicas[0])
        self._follower.want(key, sources, closed, starts_in_seconds=max(0.0, starts_in_seconds))

    def _may_mend_own(self, key: LogKey, closed: LogInfo | None) -> bool:
        """Whether the node that wrote an output may take it, as agreed, from the others."""
        if closed is None or not closed.sha256:
            return False
        if not closed.recovered:
            return closed.complete
        # While the run is lost its writer may have more, which counts: see `logs.returning`.
        run = self._replica.state.lost.get(key.run_id)
        is_still_lost = run is not None and run.attempt == key.attempt
        return not is_still_lost and not self._held.is_written(key)

    def _is_whole(self, key: LogKey, closed: LogInfo) -> bool:
        if self._held.is_given_up(key):
            return True
        status = self._held.status(key)
        if status is None:
            return False
        if not closed.sha256:
            return key not in self._follower.wanted
        return status.complete and status.info.sha256 == closed.sha256
