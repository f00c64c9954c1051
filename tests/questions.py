"""Asking why over a cluster of builders: real decisions, a ledger in memory, no machine."""

from builders import Cluster, at

from croncord.clock import ManualClock
from croncord.raft.port import ReplicaStatus
from croncord.service.agreement import Agreement
from croncord.service.who import Who
from croncord.service.why import WhyService

EVE = Who("user:eve", "viewer", "127.0.0.1")


class RowsInMemory:
    """The port Ledger over a list of final rows, the latest of an id counting."""

    def __init__(self, rows):
        self._rows = rows

    def put(self, rows):
        self._rows += rows

    def get(self, run_id):
        return {run.id: run for run in self._rows}.get(run_id)

    def page(self, where, *, limit, before=""):
        rows = {run.id: run for run in self._rows}.values()
        found = [
            run
            for run in rows
            if (not before or run.id < before)
            and (not where.job_id or run.job_id == where.job_id)
            and (where.since is None or run.nominal_time >= where.since)
            and (where.until is None or run.nominal_time < where.until)
        ]
        return sorted(found, key=lambda run: run.id, reverse=True)[:limit]

    async def flush(self):
        pass


class StillReplica:
    """The reading half of the port Replica, over a state that tests move."""

    def __init__(self, cluster):
        self._cluster = cluster
        self.quorum = True

    @property
    def state(self):
        return self._cluster.state

    def status(self):
        return ReplicaStatus(
            name="n1",
            role="leader",
            leader="n1" if self.quorum else None,
            term=self._cluster.term,
            commit_index=1,
            applied_index=1,
            has_quorum=self.quorum,
            contact_age_seconds=0.0,
            members=tuple(self._cluster.state.nodes),
            reachable=("n1",),
        )

    async def barrier(self, *, timeout_seconds=5.0):
        pass


class Inquiry(Cluster):
    """A cluster whose ticks can be asked about."""

    def __init__(self, *nodes, **options):
        super().__init__(*nodes, **options)
        self.replica = StillReplica(self)
        self.ledger = RowsInMemory(self.rows)

    async def why(self, at="", job="job"):
        """Ask about a time: text, or an instant."""
        agreement = Agreement(self.replica, ManualClock(self.now))
        text = at if isinstance(at, str) else at.isoformat()
        return await WhyService(agreement, self.ledger).tell(EVE, job, text)


def text_of(told):
    return " ".join(sentence["text"] for sentence in told["sentences"])


def rules_of(told):
    return {sentence["rule"] for sentence in told["sentences"]}


def launched(**fields):
    """A cluster whose tick of 12:01 has been claimed, and its run."""
    cluster = Inquiry()
    cluster.add_job(**fields)
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    return cluster, run
