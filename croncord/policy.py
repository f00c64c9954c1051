"""Decisions that need only values: retry delays, what overlaps, which node, which replicas. Pure."""

import hashlib
from collections.abc import Mapping, Sequence

from croncord.model import Node, Retries, Strategy, Target

REPLICAS = 3
"""How many nodes keep a run's output, the executing one included."""


def retry_delay_seconds(retries: Retries, failed_attempt: int) -> float | None:
    """How long to wait before the next attempt; None when there is none."""
    if failed_attempt > retries.count:
        return None
    delay = retries.delay_seconds * retries.backoff ** (failed_attempt - 1)
    return min(delay, float(retries.max_delay_seconds))


def jitter_seconds(limit_seconds: int, job_id: str, nominal_ms: int) -> float:
    """Delay of a tick within [0, limit), the same whoever computes it, in whole milliseconds."""
    if limit_seconds == 0:
        return 0.0
    return _hash(job_id, str(nominal_ms)) % (limit_seconds * 1000) / 1000


def lane(target: Target, node_name: str) -> str:
    """Return what a job's runs overlap with: all of its runs, or those for one node where each has its own."""
    return node_name if target.every_node or target.on_join else ""


def matches(target: Target, node: Node) -> bool:
    """Whether the job may run on the node at all."""
    if node.joining or (target.nodes and node.name not in target.nodes):
        return False
    return all(node.labels.get(key) == value for key, value in target.labels.items())


def choose_node(
    candidates: Sequence[str], strategy: Strategy, loads: Mapping[str, int], key: str, run_id: str
) -> str:
    """Pick one of the candidates (at least one).

    `key` is stable per job: `hash` keeps a job on one node while that is up. `random` follows the
    run id. The others take the node with the smallest of `loads`, ties broken by the run id: for
    `least_loaded` that is what each node has in hand, for `spread` see `spread_loads`.
    """
    if strategy == "hash":
        return max(candidates, key=lambda name: _hash(key, name))
    if strategy == "random":
        return max(candidates, key=lambda name: _hash(run_id, name))
    return min(candidates, key=lambda name: (loads.get(name, 0), _hash(run_id, name)))


def spread_loads(in_hand: Mapping[str, int], last: Sequence[str]) -> dict[str, int]:
    """Return loads that spread a job: fewest of its own runs first, then the longest unused node.

    `in_hand` counts the job's runs on each node, `last` names where its last runs went, the newest
    last.
    """
    rank = {name: place for place, name in enumerate(last, 1)}
    names = in_hand.keys() | rank.keys()
    return {name: in_hand.get(name, 0) * (len(last) + 1) + rank.get(name, 0) for name in names}


def choose_replicas(run_id: str, executor: str, up: Sequence[str]) -> tuple[str, ...]:
    """Nodes that keep the output: the executor, then others by rendezvous hashing (Thaler, Ravishankar)."""
    others = sorted(
        (name for name in up if name != executor),
        key=lambda name: _hash(run_id, name),
        reverse=True,
    )
    return (executor, *others[: REPLICAS - 1])


def _hash(*parts: str) -> int:
    digest = hashlib.blake2b("\x00".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest)
