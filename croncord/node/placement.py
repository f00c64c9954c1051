"""Which node a run goes to, given what the leader knows. Pure.

Followers execute; the leader takes a run only when no other node that may run it is up and has reported
lately. A node whose clock is too far off counts as down for new runs.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec

from croncord.lifecycle import Reason
from croncord.model import Job, Node
from croncord.policy import choose_node, choose_replicas, matches, spread_loads
from croncord.raft.state import ClusterState

CLOCK_TOLERANCE_MS = 5000


class Placed(msgspec.Struct, frozen=True):
    """A node to run on and the nodes that keep the output."""

    node: str
    replicas: tuple[str, ...]


class Placer:
    """Places runs one after another, counting what it has given to each node."""

    def __init__(
        self,
        state: ClusterState,
        *,
        leader: str,
        silent: frozenset[str],
        offsets_ms: Mapping[str, int],
        pressed: frozenset[str] = frozenset(),
        quiet: frozenset[str] = frozenset(),
        holding_cpu: frozenset[str] = frozenset(),
    ) -> None:
        """`pressed` are nodes that are up and take no new runs just now.

        `quiet` ones may be dead and get only what nobody else may run.
        Nodes not in `holding_cpu` get no runs with `limits.cpu_percent`.
        """
        self._state = state
        self._holding_cpu = holding_cpu
        self._pressed = pressed
        self._quiet = quiet
        self._leader = leader
        self._up = [
            node
            for node in state.nodes.values()
            if node.name not in silent
            and not node.draining
            and abs(offsets_ms.get(node.name, 0)) <= CLOCK_TOLERANCE_MS
        ]
        self._alive = [node.name for node in state.nodes.values() if node.name not in silent]
        self._loads = {node.name: state.load_of(node.name) for node in self._up}
        self._given: dict[str, list[str]] = {}
        """Per job, the nodes that this plan gave its runs to."""
        self._label_loads = dict.fromkeys(state.label_limits, 0)
        for node in state.nodes.values() if self._label_loads else ():
            for label in self._limited(node):
                self._label_loads[label] += state.load_of(node.name)

    def matching(self, job: Job) -> list[Node]:
        """Members that the job's target names, up or not, in name order."""
        found = (node for node in self._state.nodes.values() if matches(job.spec.target, node))
        return sorted(found, key=lambda node: node.name)

    def is_up(self, name: str) -> bool:
        """Whether the node may get new runs."""
        return name in self._loads

    def place(self, job: Job, run_id: str, *, target: str = "", avoid: str = "") -> Placed | Reason:
        """Choose a node, or say why there is none.

        That is no_target, limit_unsupported, node_down or no_capacity.

        `target` asks for that one node; `avoid` is passed over when another one will do.
        """
        members = [node for node in self.matching(job) if target in ("", node.name)]
        if not members:
            return Reason.NO_TARGET
        if job.spec.limits.cpu_percent is not None:
            members = [node for node in members if node.name in self._holding_cpu]
            if not members:
                return Reason.LIMIT_UNSUPPORTED
        up = [node for node in self._up if node in members]
        if not up:
            return Reason.NODE_DOWN
        up = [node for node in up if node.name not in self._pressed]
        if not up:
            return Reason.NO_CAPACITY
        heard = [n for n in up if n.name == self._leader or n.name not in self._quiet]
        up = heard or up
        followers = [node for node in up if node.name != self._leader]
        elsewhere = [node for node in followers if node.name != avoid]
        eligible = elsewhere or followers or up
        free = {node.name: node for node in eligible if self._has_room(node)}
        if not free:
            return Reason.NO_CAPACITY
        strategy = job.spec.target.strategy
        loads = self._spread(job) if strategy == "spread" else self._loads
        name = choose_node(sorted(free), strategy, loads, job.id, run_id)
        self._loads[name] += 1
        self._given.setdefault(job.id, []).append(name)
        for label in self._limited(free[name]):
            self._label_loads[label] += 1
        return Placed(name, choose_replicas(run_id, name, self._alive))

    def _has_room(self, node: Node) -> bool:
        if node.max_runs and self._loads[node.name] >= node.max_runs:
            return False
        limits = self._state.label_limits
        return all(self._label_loads[label] < limits[label] for label in self._limited(node))

    def _limited(self, node: Node) -> list[str]:
        """Return the labels of a node that bound how many runs all nodes with them may have."""
        if not self._label_loads:
            return []
        labels = (f"{key}={value}" for key, value in node.labels.items())
        return [label for label in labels if label in self._label_loads]

    def _spread(self, job: Job) -> dict[str, int]:
        given = self._given.get(job.id, [])
        runs = [run for run in self._state.runs_of_job(job.id) if run.node is not None]
        in_hand = Counter([*(run.node for run in runs if run.node), *given])
        past = [*self._state.recent.get(job.id, ()), *sorted(runs, key=lambda run: run.id)]
        return spread_loads(in_hand, [*(run.node for run in past if run.node), *given])
