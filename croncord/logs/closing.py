"""The leader agrees with the others on the output of an attempt whose node was lost.

This is BookKeeper's ledger recovery. Every member of the replica set that answers is *fenced*: it
takes nothing more from the writer, durably, and says how long its copy is and what its digest is. Every
copy is a prefix of what the writer had, so the longest one is it; nothing that was confirmed is
missing once enough members have answered (`croncord.quorum`). Then `CloseLogs` names size and
digest, which is a compare-and-swap: of two leaders that do this at once the first one wins, and the
copies follow what was agreed.

When for a minute fewer members answer than that, the longest copy among those that do is agreed on and
marked `partial`: this is output, and a part of it that can be read is worth more than one that waits.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from croncord.clock import Clock
from croncord.errors import Conflict, CronCordError, NotFound
from croncord.logs.local import LocalLogs
from croncord.model import LogInfo
from croncord.ports import LogKey, LogStatus, Peers
from croncord.quorum import recovery_quorum
from croncord.raft.commands import CloseLogs, LogClosure
from croncord.raft.port import Replica

LOOK_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 60.0
"""So long the leader waits for enough copies."""
AT_ONCE: Final = 100
"""So many outputs are looked after in one round."""

_log = logging.getLogger(__name__)


class OutputCloser:
    """Runs on every node and acts while its node leads."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        local: LocalLogs,
        clock: Clock,
        peers: Peers | None = None,
        address_of: Callable[[str], str | None] = lambda _: None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._name = name
        self._replica = replica
        self._local = local
        self._clock = clock
        self._peers = peers
        self._address_of = address_of
        self._patience_seconds = patience_seconds
        self._since: dict[LogKey, float] = {}
        """When each was found unclosed, on the clock that only grows."""

    async def run(self) -> None:
        """Look again and again; cancel to stop."""
        while True:
            try:
                await self.close()
            except CronCordError as error:
                # Nothing was agreed; the next round asks again.
                _log.info("outputs of lost runs are not closed yet: %s", error)
            await self._clock.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """Agree on every output that can be agreed on now. Raises NoLeader, OutcomeUnknown."""
        if self._replica.status().role != "leader":
            self._since.clear()
            return
        found = [
            (LogKey(run.id, number), replicas)
            for run, number, replicas in self._replica.state.unclosed_outputs()
        ]
        now = self._clock.monotonic()
        self._since = {key: self._since.get(key, now) for key, _ in found}
        # Those that wait longest come last: they are waiting for a node, the others for us.
        found.sort(key=lambda item: -self._since[item[0]])
        closures = await asyncio.gather(*(self._recover(*item) for item in found[:AT_ONCE]))
        agreed = tuple(closure for closure in closures if closure is not None)
        if agreed:
            by = f"node:{self._name}"
            await self._replica.propose(CloseLogs(at=self._clock.now(), by=by, closures=agreed))

    async def _recover(self, key: LogKey, replicas: tuple[str, ...]) -> LogClosure | None:
        answers = await asyncio.gather(*(self._fence(name, key) for name in replicas))
        held = [status for status in answers if status is not None]
        is_quorum = len(held) >= recovery_quorum(len(replicas))
        waited = self._clock.monotonic() - self._since[key]
        if not held or not (is_quorum or waited >= self._patience_seconds):
            return None
        info = _longest(held)
        if not info.complete:
            info = msgspec.structs.replace(info, recovered="quorum" if is_quorum else "partial")
        _log.info(
            "the output of run %s, attempt %d, is closed at %d bytes: %d of %d copies answered",
            key.run_id,
            key.attempt,
            info.bytes,
            len(held),
            len(replicas),
        )
        return LogClosure(run_id=key.run_id, attempt=key.attempt, log=info)

    async def _fence(self, name: str, key: LogKey) -> LogStatus | None:
        try:
            if name == self._name:
                return await self._local.fence(key)
            address = self._address_of(name)
            if self._peers is None or address is None:
                return None
            return await self._peers.log_fence(address, key)
        except Conflict:
            return None  # its writer is back and goes on writing: its own result will tell
        except (CronCordError, NotFound) as error:
            _log.debug("%s was not fenced for run %s: %s", name, key.run_id, error)
            return None


def _longest(held: Iterable[LogStatus]) -> LogInfo:
    return max(held, key=lambda status: (status.info.bytes, status.info.complete)).info
