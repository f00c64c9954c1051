"""Which nodes keep the output of a run that has ended, now that members have come and gone. Pure.

A function of the run's replica set and the members, so every node finds the same without asking. A
member that was removed is replaced by the next one in the run's own order (rendezvous hashing, Thaler
and Ravishankar 1998): each removal moves only the outputs that the removed node had.
"""

from collections.abc import Collection, Sequence

from croncord.policy import REPLICAS, choose_replicas


def keepers(run_id: str, replicas: Sequence[str], members: Collection[str]) -> tuple[str, ...]:
    """Return the nodes that should hold a copy, those of the replica set first."""
    kept = tuple(name for name in replicas if name in members)
    if not kept:
        return ()  # nobody is left to copy it from
    others = [name for name in members if name not in kept]
    _, *following = choose_replicas(run_id, "", others)
    return kept + tuple(following[: max(0, REPLICAS - len(kept))])
