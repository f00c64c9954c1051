"""What `/metrics` says about the cluster as this node sees it. Nothing here waits."""

from collections import Counter
from collections.abc import Iterator

from croncord import __version__
from croncord.figures import Family, gauge, gauges
from croncord.lifecycle import OPEN_STATES
from croncord.ports import Ledger
from croncord.service.agreement import Agreement
from croncord.service.cluster import ClusterService, NodeView
from croncord.service.job_figures import JobFigures
from croncord.service.tallies import RunTally
from croncord.service.who import Who


class FigureService:
    """Gathers figures from the agreed state, the Raft status and what nodes report."""

    def __init__(
        self, agreement: Agreement, cluster: ClusterService, ledger: Ledger, name: str
    ) -> None:
        self._agreement = agreement
        self._cluster = cluster
        self._name = name
        self._tally = RunTally(agreement.replica)
        self._jobs = JobFigures(ledger)

    def families(self, who: Who) -> Iterator[Family]:
        """Yield all of them; series of jobs are those that the caller may know of."""
        yield from self._raft()
        yield from self._work()
        yield from self._tally.families()
        yield from _machines(self._cluster.look())
        yield from self._jobs.families(self._agreement.state, who)

    def _raft(self) -> Iterator[Family]:
        status, freshness = self._agreement.replica.status(), self._cluster.freshness()
        voters = set(status.members) or {self._name}
        reached = len(voters & {*status.reachable, self._name})
        yield gauge(
            "croncord_info",
            "Version and name of this node",
            1,
            {"version": __version__, "node": self._name},
        )
        yield gauge("croncord_is_leader", "1 if this node leads", status.leader == self._name)
        yield gauge("croncord_has_leader", "1 if a leader is known", freshness["has_leader"])
        yield gauge(
            "croncord_stale_seconds", "Since a leader was heard", freshness["stale_seconds"]
        )
        yield gauge("croncord_term", "Raft term", status.term)
        yield gauge(
            "croncord_commit_index", "Newest command known to be agreed", status.commit_index
        )
        yield gauge("croncord_applied_index", "Newest command applied here", status.applied_index)
        yield gauge(
            "croncord_apply_lag_entries",
            "Commands that are agreed and not applied here yet",
            max(0, status.commit_index - status.applied_index),
        )
        yield gauge("croncord_voters", "Nodes that vote", len(voters))
        yield gauge("croncord_voters_reachable", "Of them, connected to this node", reached)
        yield gauge(
            "croncord_voters_spare",
            "How many more of the reachable voters may fail before there is no majority",
            reached - (len(voters) // 2 + 1),
        )

    def _work(self) -> Iterator[Family]:
        state = self._agreement.state
        open_runs = Counter(str(run.state) for run in state.open_runs.values())
        next_due, lag = state.next_due(), 0.0
        if next_due is not None:
            lag = max(0.0, (self._agreement.now() - next_due).total_seconds())
        yield gauge("croncord_paused", "1 if the cluster launches nothing", state.paused)
        yield gauge("croncord_jobs", "Jobs", len(state.jobs))
        yield gauges(
            "croncord_open_runs",
            "Runs that have not ended",
            [({"state": str(each)}, open_runs[each]) for each in sorted(OPEN_STATES)],
        )
        yield gauge(
            "croncord_notifications_pending",
            "Notices that no channel has taken yet",
            len(state.deliveries),
        )
        yield gauge(
            "croncord_scheduling_lag_seconds",
            "How long ago the oldest tick was due about which nothing is decided yet",
            lag,
        )


def _machines(nodes: list[NodeView]) -> Iterator[Family]:
    names = [(node, {"name": node.name}) for node in nodes]
    yield gauges(
        "croncord_node_up",
        "1 if the node answers the leader",
        [(name, node.state in {"up", "draining"}) for node, name in names],
    )
    yield gauges(
        "croncord_node_draining",
        "1 if the node is to get no new runs",
        [(name, node.state == "draining") for node, name in names],
    )
    yield gauges(
        "croncord_node_clock_offset_seconds",
        "The node's clock minus the leader's",
        [
            (name, None if node.clock_offset_ms is None else node.clock_offset_ms / 1000)
            for node, name in names
        ],
    )
    yield gauges(
        "croncord_node_disk_free_bytes",
        "Room on the disk of the node's data directory",
        [
            (name, None if node.disk is None else node.disk.total_bytes - node.disk.used_bytes)
            for node, name in names
        ],
    )
    yield gauges(
        "croncord_node_disk_size_bytes",
        "Size of that disk",
        [(name, None if node.disk is None else node.disk.total_bytes) for node, name in names],
    )
    yield gauges(
        "croncord_node_running_runs",
        "Runs that the node has running",
        [(name, node.running_runs) for node, name in names],
    )
