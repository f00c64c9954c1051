"""Which node a run goes to, given what the leader knows. Pure.

Followers execute; the leader takes a run only when no other node that may run it is up. A node whose
clock is too far off counts as down for new runs.
"""

from collections.abc import Mapping

import msgspec

from croncord.lifecycle import Reason
from croncord.model import Job, Node
from croncord.policy import choose_node, choose_replicas, matches
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
    ) -> None:
        self._state = state
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

    def matching(self, job: Job) -> list[Node]:
        """Members that the job's target names, up or not, in name order."""
        found = (node for node in self._state.nodes.values() if matches(job.spec.target, node))
        return sorted(found, key=lambda node: node.name)

    def is_up(self, name: str) -> bool:
        """Whether the node may get new runs."""
        return name in self._loads

    def place(self, job: Job, run_id: str, *, target: str = "", avoid: str = "") -> Placed | Reason:
        """Choose a node, or say why there is none: no_target, node_down or no_capacity.

        `target` asks for that one node; `avoid` is passed over when another one will do.
        """
        members = [node for node in self.matching(job) if target in ("", node.name)]
        if not members:
            return Reason.NO_TARGET
        up = [node for node in self._up if node in members]
        if not up:
            return Reason.NODE_DOWN
        followers = [node for node in up if node.name != self._leader]
        elsewhere = [node for node in followers if node.name != avoid]
        eligible = elsewhere or followers or up
        free = [
            node.name
            for node in eligible
            if node.max_runs == 0 or self._loads[node.name] < node.max_runs
        ]
        if not free:
            return Reason.NO_CAPACITY
        name = choose_node(sorted(free), job.spec.target.strategy, self._loads, job.id, run_id)
        self._loads[name] += 1
        return Placed(name, choose_replicas(run_id, name, self._alive))
