"""How much of what this node's scripts print is confirmed: on disk on a majority of its keepers.

The writer asks each of the others once a second what it has on disk of all the outputs at once. Nothing
waits for the answer: a script is never slowed down by it, and readers see bytes before they are
confirmed. It tells how much would be gone if this machine burned down now.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from croncord.clock import Clock
from croncord.errors import CronCordError
from croncord.logs.local import LocalLogs
from croncord.ports import LogKey, Peers
from croncord.quorum import confirmed
from croncord.raft.port import Replica

LOOK_SECONDS: Final = 1.0
AT_ONCE: Final = 500


class Confirming:
    """Keeps the number of bytes that are confirmed, for each output that this node writes."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        local: LocalLogs,
        peers: Peers,
        address_of: Callable[[str], str | None],
        clock: Clock,
    ) -> None:
        self._name = name
        self._replica = replica
        self._local = local
        self._peers = peers
        self._address_of = address_of
        self._clock = clock
        self._confirmed: dict[LogKey, int] = {}

    async def run(self) -> None:
        """Ask again and again; cancel to stop."""
        while True:
            await self.ask()
            await self._clock.sleep(LOOK_SECONDS)

    async def ask(self) -> None:
        """Ask once; who does not answer has nothing as far as is known."""
        ensembles = {
            key: run.replicas
            for key in self._local.written
            if (run := self._replica.state.open_runs.get(key.run_id)) is not None
        }
        wanted: defaultdict[str, list[LogKey]] = defaultdict(list)
        for key, members in ensembles.items():
            for name in members:
                if name != self._name:
                    wanted[name].append(key)
        durable: defaultdict[LogKey, list[int]] = defaultdict(list)
        for key in ensembles:
            status = self._local.status(key)
            durable[key].append(0 if status is None else status.durable_bytes)
        answers = await asyncio.gather(*(self._held_by(*item) for item in wanted.items()))
        for answer in answers:
            for key, size in answer.items():
                durable[key].append(size)
        self._confirmed = {
            key: confirmed(durable[key], len(members)) for key, members in ensembles.items()
        }

    async def _held_by(self, name: str, keys: Sequence[LogKey]) -> dict[LogKey, int]:
        address = self._address_of(name)
        if address is None:
            return {}
        found: dict[LogKey, int] = {}
        try:
            for start in range(0, len(keys), AT_ONCE):
                some = keys[start : start + AT_ONCE]
                statuses = await self._peers.logs_held(address, some)
                found |= {
                    key: status.durable_bytes
                    for key, status in zip(some, statuses, strict=False)
                    if status is not None
                }
        except CronCordError:
            pass  # what it said before it fell silent counts, the rest does not
        return found

    def unconfirmed_bytes(self) -> int:
        """Return how much that this node's running scripts printed is not confirmed."""
        total = 0
        for key in self._local.written:
            live = self._local.live(key)
            if live is not None:
                total += max(0, live.tally.bytes - self._confirmed.get(key, 0))
        return total
