"""Everything that looks after outputs and ledger rows on a node, built and started together."""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, Final

from croncord.clock import Clock
from croncord.errors import CronCordError
from croncord.figures import Family, counter, gauge
from croncord.logs.closing import OutputCloser
from croncord.logs.confirming import Confirming
from croncord.logs.copies import CopyKeeper
from croncord.logs.ledger import RunLedger
from croncord.logs.ledger_fill import LedgerFiller
from croncord.logs.log_store import LogStore
from croncord.logs.replication import Replicator
from croncord.logs.retention import Retention, wishes
from croncord.logs.returning import Returning
from croncord.logs.scrub import Scrub
from croncord.node.peers import HttpPeers
from croncord.raft.port import Replica

RETRY_SECONDS: Final = 1.0


class OutputParts:
    """The parts of one node that keep copies, agree on lost outputs, delete, and look for damage."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        store: LogStore,
        ledger: RunLedger,
        peers: HttpPeers,
        clock: Clock,
        address_of: Callable[[str], str | None],
        other_addresses: Callable[[], Mapping[str, str]],
    ) -> None:
        """`other_addresses` gives those of all other members, by name."""
        self._replica = replica
        self._clock = clock
        local = store.local
        common: dict[str, Any] = {"name": name, "replica": replica, "local": local, "clock": clock}
        reach: dict[str, Any] = {"peers": peers, "address_of": address_of}
        self._replicator = Replicator(local, peers, node=name, address_of=address_of)
        self._keeper = CopyKeeper(
            name=name, replica=replica, ledger=ledger, follower=self._replicator, held=local
        )
        self._closer = OutputCloser(**common, **reach)
        self._returning = Returning(**common, follower=self._replicator)
        self._confirming = Confirming(**common, **reach)
        self._retention = Retention(
            local, ledger, clock, wishes=lambda: wishes(replica.state.jobs.values())
        )
        self._filler = LedgerFiller(
            ledger,
            peers,
            clock=clock,
            addresses=other_addresses,
            on_filled=self._keeper.survey_soon,
            oldest=self._retention.oldest,
        )
        self._scrub = Scrub(local)
        self._stop_keeping: Callable[[], None] = lambda: None
        self._local = local

    def figures(self) -> Iterable[Family]:
        """Return what metrics tell about outputs."""
        return (
            gauge(
                "croncord_output_copies", "Whole outputs on this node", self._local.count_whole()
            ),
            gauge(
                "croncord_output_copies_missing",
                "Copies of ended runs' output that this node should have and is still fetching",
                self._keeper.missing(),
            ),
            gauge(
                "croncord_output_unconfirmed_bytes",
                "Bytes printed by this node's running scripts that no majority has on disk",
                self._confirming.unconfirmed_bytes(),
            ),
            gauge(
                "croncord_output_damaged",
                "Outputs found damaged on this node's disk and not mended yet",
                len(self._local.damaged),
            ),
            counter(
                "croncord_output_dropped_bytes_total",
                "Bytes of output dropped since the start because there was no room for them",
                [({}, self._local.dropped_bytes)],
            ),
        )

    def start(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """Begin to keep copies; yields the work to be done in the background, by name."""
        self._stop_keeping = self._keeper.start()
        yield "output-closer", self._closer.run()
        yield "output-returning", self._returning.run()
        yield "output-confirming", self._confirming.run()
        yield "retention", self._retain()
        yield "ledger-fill", self._filler.run()
        yield "scrub", self._scrub.run()

    async def stop(self) -> None:
        """Stop keeping copies; the background work is ended by who runs it."""
        self._stop_keeping()
        await self._replicator.stop()

    async def _retain(self) -> None:
        """Delete nothing before it is known what the jobs want to have kept."""
        while True:
            try:
                await self._replica.barrier()
            except CronCordError:  # no majority yet; meanwhile nothing is deleted
                await self._clock.sleep(RETRY_SECONDS)
            else:
                break
        await self._retention.run()
