"""How many copies make an output safe. Pure.

BookKeeper's terms, for one attempt's output: the *ensemble* is its replica set, every member is to
have all of it, and what a majority has on disk, the *ack quorum*, is confirmed. A recovery that hears
from so many members that none of the possible ack quorums is left out finds all that was confirmed.
"""

from collections.abc import Iterable


def ack_quorum(ensemble: int) -> int:
    """Return how many of so many members must have a byte on disk before it is confirmed."""
    return ensemble // 2 + 1


def recovery_quorum(ensemble: int) -> int:
    """Return how many members a recovery must hear from to miss nothing that was confirmed."""
    return max(1, ensemble - ack_quorum(ensemble) + 1)


def confirmed(durable: Iterable[int], ensemble: int) -> int:
    """Return how much is confirmed, given how much each member that answered has on disk."""
    found = sorted(durable, reverse=True)
    needed = ack_quorum(ensemble)
    return found[needed - 1] if len(found) >= needed else 0
