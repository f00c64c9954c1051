"""Who gets a lock next: all that a run needs or nothing, first come first served. Pure.

A run holds its locks from its assignment to its end and never waits while it holds one, so runs
cannot block each other for ever. A run that waits keeps later ones from overtaking it.
"""

from collections.abc import Sequence

from croncord.locks import name_and_places
from croncord.raft.state import ClusterState


class LockDesk:
    """The locks as the state has them, with what this plan grants and who waits."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._granted: dict[str, dict[str, int]] = {}
        self._awaited: dict[str, str] = {}

    def blocker(self, run_id: str, locks: Sequence[str]) -> str:
        """Return what keeps the run from having all its locks, as a sentence; empty if nothing."""
        for name, _ in map(name_and_places, locks):
            first = self._awaited.get(name)
            if first is not None:
                return f"run {first} waits for the lock {name} already"
        return self._state.lock_blocker(run_id, locks, self._granted)

    def grant(self, run_id: str, locks: Sequence[str]) -> None:
        """Note that the run is assigned and holds its locks."""
        for name, places in map(name_and_places, locks):
            self._granted.setdefault(name, {})[run_id] = places

    def wait(self, run_id: str, locks: Sequence[str]) -> None:
        """Note that the run waits for its locks, before any that comes later."""
        for name, _ in map(name_and_places, locks):
            self._awaited.setdefault(name, run_id)
