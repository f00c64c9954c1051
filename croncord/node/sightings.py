"""Who was heard of, when, and how far off their clock is.

The leader records each report; its answer carries the whole table, so every node shows the same
vitals, at most a report old. Nothing here is replicated.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from croncord.clock import Clock
from croncord.ports import Sighting, Vitals

_SAMPLES: Final = 5
_SLOW_MS: Final = -1000
"""A clock this far behind is believed only after `_SPAN_SECONDS`."""
_SPAN_SECONDS: Final = 2.5


class SightingBook:
    """The latest vitals of each node, with their age on this node's monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: dict[str, tuple[float, Sighting]] = {}
        self._offsets_ms: dict[str, deque[tuple[float, int]]] = {}
        """The last measurements of each node that reported here, and when (monotonic) they were made."""
        self._on_progress: Callable[[dict[str, float]], None] | None = None

    def on_progress(self, listener: Callable[[dict[str, float]], None]) -> None:
        """Tell the listener of runs, by id, whose progress in percent has changed."""
        self._on_progress = listener

    def record(self, vitals: Vitals) -> tuple[Sighting, ...]:
        """Take a report on the leader; returns the table for the answer.

        A report that was long under way, because its node or this one was stopped meanwhile, makes
        a clock look slow. So the largest of the last few measurements counts: it was the quickest.
        When this node was stopped, all that waited for it come at once; so a clock is called slow
        only when reports say so for some time.
        """
        heard_at = self._clock.monotonic()
        offset_ms = round((vitals.at - self._clock.now()).total_seconds() * 1000)
        samples = self._offsets_ms.setdefault(vitals.name, deque(maxlen=_SAMPLES))
        samples.append((heard_at, offset_ms))
        largest_ms = max(sample_ms for _, sample_ms in samples)
        if largest_ms < _SLOW_MS and heard_at - samples[0][0] < _SPAN_SECONDS:
            largest_ms = 0
        sighting = Sighting(vitals=vitals, age_seconds=0.0, clock_offset_ms=largest_ms)
        before = self._progress()
        self._latest[vitals.name] = (heard_at, sighting)
        self._tell_progress(before)
        return self.table()

    def adopt(self, table: Sequence[Sighting]) -> None:
        """Take over the leader's table on another node."""
        now = self._clock.monotonic()
        self._offsets_ms.clear()
        before = self._progress()
        self._latest = {
            sighting.vitals.name: (now - sighting.age_seconds, sighting) for sighting in table
        }
        self._tell_progress(before)

    def table(self) -> tuple[Sighting, ...]:
        """All sightings with their ages as of now."""
        now = self._clock.monotonic()
        return tuple(
            msgspec.structs.replace(sighting, age_seconds=max(0.0, now - heard_at))
            for heard_at, sighting in self._latest.values()
        )

    def _progress(self) -> dict[str, float]:
        told: dict[str, float] = {}
        for _, sighting in self._latest.values():
            told |= sighting.vitals.progress
        return told

    def _tell_progress(self, before: dict[str, float]) -> None:
        changed = dict(self._progress().items() - before.items())
        if changed and self._on_progress is not None:
            self._on_progress(changed)

    def silent_seconds(self, names: Sequence[str], *, since: float) -> dict[str, float]:
        """How long each name has been silent, counted from `since` (monotonic) at the earliest.

        A new leader passes its election, so that nobody is down before they could report to it.
        """
        now = self._clock.monotonic()
        heard = {name: heard_at for name, (heard_at, _) in self._latest.items()}
        return {name: max(0.0, now - max(since, heard.get(name, since))) for name in names}

    def quiet(self, names: Sequence[str], *, since: float, after: float) -> frozenset[str]:
        """Return the names that have not reported here since then, or for `after` seconds."""
        at_least = max(since, self._clock.monotonic() - after)
        return frozenset(
            name for name in names if name not in self._latest or self._latest[name][0] < at_least
        )

    def pressed(self) -> dict[str, str]:
        """Nodes that take no new runs, and what they are short of."""
        told = {name: seen.vitals.pressure for name, (_, seen) in self._latest.items()}
        return {name: pressure for name, pressure in told.items() if pressure}

    def holding_cpu(self) -> frozenset[str]:
        """Nodes that can hold runs to `limits.cpu_percent`."""
        return frozenset(name for name, (_, seen) in self._latest.items() if seen.vitals.holds_cpu)

    def offsets_ms(self) -> dict[str, int]:
        """Each node's clock minus the leader's, in milliseconds."""
        return {name: seen.clock_offset_ms for name, (_, seen) in self._latest.items()}
