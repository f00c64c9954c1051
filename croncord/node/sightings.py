"""Who was heard of, when, and how far off their clock is.

The leader records each report; its answer carries the whole table, so every node shows the same
vitals, at most a report old. Nothing here is replicated.
"""

from collections.abc import Sequence

import msgspec

from croncord.clock import Clock
from croncord.ports import Sighting, Vitals


class SightingBook:
    """The latest vitals of each node, with their age on this node's monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: dict[str, tuple[float, Sighting]] = {}

    def record(self, vitals: Vitals) -> tuple[Sighting, ...]:
        """Take a report on the leader; returns the table for the answer."""
        offset_ms = round((vitals.at - self._clock.now()).total_seconds() * 1000)
        sighting = Sighting(vitals=vitals, age_seconds=0.0, clock_offset_ms=offset_ms)
        self._latest[vitals.name] = (self._clock.monotonic(), sighting)
        return self.table()

    def adopt(self, table: Sequence[Sighting]) -> None:
        """Take over the leader's table on another node."""
        now = self._clock.monotonic()
        self._latest = {
            sighting.vitals.name: (now - sighting.age_seconds, sighting) for sighting in table
        }

    def table(self) -> tuple[Sighting, ...]:
        """All sightings with their ages as of now."""
        now = self._clock.monotonic()
        return tuple(
            msgspec.structs.replace(sighting, age_seconds=max(0.0, now - heard_at))
            for heard_at, sighting in self._latest.values()
        )

    def silent_seconds(self, names: Sequence[str], *, since: float) -> dict[str, float]:
        """How long each name has been silent, counted from `since` (monotonic) at the earliest.

        A new leader passes its election, so that nobody is down before they could report to it.
        """
        now = self._clock.monotonic()
        heard = {name: heard_at for name, (heard_at, _) in self._latest.items()}
        return {name: max(0.0, now - max(since, heard.get(name, since))) for name in names}

    def offsets_ms(self) -> dict[str, int]:
        """Each node's clock minus the leader's, in milliseconds."""
        return {name: seen.clock_offset_ms for name, (_, seen) in self._latest.items()}
