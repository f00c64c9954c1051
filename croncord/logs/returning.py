"""A node that was thought lost is back, and others have agreed on the output of its run meanwhile.

BookKeeper's rule holds: what was agreed is the output, and no copy, the writer's neither, goes beyond
it by itself. While the run still counts as lost its node may *propose* to add what only it has; it
does so when the agreed part is a prefix of its own copy, and the longer output, with its digest, is then
agreed like any other change of the row, and copied by the others. Otherwise, and always when another
attempt took over, its copy is brought to what was agreed.
"""

import asyncio
import logging
from typing import Final

import msgspec

from croncord.clock import Clock
from croncord.errors import CronCordError
from croncord.logs.copies import Follower
from croncord.logs.local import LocalLogs
from croncord.logs.prefix import output_prefix_sha256
from croncord.model import LogInfo, Run
from croncord.ports import LogKey
from croncord.raft.commands import CloseLogs, LogClosure
from croncord.raft.port import Replica

LOOK_SECONDS: Final = 2.0
TAKE_UP_SECONDS: Final = 20.0
"""After a start this node's runs are taken up first: what they left is handed over and sealed."""

_log = logging.getLogger(__name__)


class Returning:
    """Settles the outputs that this node wrote and others agreed on."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        local: LocalLogs,
        follower: Follower,
        clock: Clock,
        take_up_seconds: float = TAKE_UP_SECONDS,
    ) -> None:
        self._name = name
        self._replica = replica
        self._local = local
        self._follower = follower
        self._clock = clock
        self._taken_up_at = clock.monotonic() + take_up_seconds

    async def run(self) -> None:
        """Look again and again; cancel to stop."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.settle()
            except CronCordError as error:
                # What is not settled now is by the next round.
                _log.info("what this node wrote of lost runs is not settled yet: %s", error)

    async def settle(self) -> None:
        """Propose what only this node has, and take what it lacks. Raises CronCordError."""
        for run in list(self._replica.state.lost.values()):
            if run.node == self._name and run.log.recovered:
                await self._settle(LogKey(run.id, run.attempt), run, run.log)
            await asyncio.sleep(0)

    async def _settle(self, key: LogKey, run: Run, agreed: LogInfo) -> None:
        status = self._local.status(key)
        if status is not None and status.complete and status.info.sha256 == agreed.sha256:
            if not status.info.complete:
                return
        elif self._local.is_written(key) or key in self._follower.wanted:
            return  # its process still writes, or it is being brought to what was agreed
        if status is not None and not status.complete:
            if self._clock.monotonic() < self._taken_up_at:
                return
            await self._local.begin(key, is_own=True)
            await self._local.seal(key)
            status = self._local.status(key)
        if status is not None and await self._goes_beyond(key, status.info, agreed):
            await self._propose(key, agreed, status.info)
        else:
            others = tuple(name for name in run.replicas if name != self._name)
            self._follower.want(key, others, agreed)

    async def _goes_beyond(self, key: LogKey, own: LogInfo, agreed: LogInfo) -> bool:
        is_more = (own.bytes, own.complete) > (agreed.bytes, agreed.complete)
        return (
            is_more and await output_prefix_sha256(self._local, key, agreed.bytes) == agreed.sha256
        )

    async def _propose(self, key: LogKey, agreed: LogInfo, own: LogInfo) -> None:
        _log.info(
            "this node has %d bytes more of run %s than was agreed: it offers them",
            own.bytes - agreed.bytes,
            key.run_id,
        )
        if not own.complete:
            own = msgspec.structs.replace(own, recovered=agreed.recovered)
        closure = LogClosure(
            run_id=key.run_id, attempt=key.attempt, expect_sha256=agreed.sha256, log=own
        )
        by = f"node:{self._name}"
        await self._replica.propose(CloseLogs(at=self._clock.now(), by=by, closures=(closure,)))
