"""Ticks that were not decided in time: which of them are caught up, and how fast. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from croncord.lifecycle import Reason, Trigger
from croncord.model import Misfire, Run


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as late now."""

    now: datetime
    after: timedelta
    """A tick decided later than that is a misfire; less is only a late start."""
    led_since: datetime | None = None
    """Since when this leader leads; what was due before had nobody to decide it."""

    def is_late(self, tick: datetime) -> bool:
        """Whether the misfire policy has to speak."""
        return self.now - tick > self.after

    def reason(self, tick: datetime) -> Reason:
        """Return why a late tick that is not caught up was missed."""
        unled = self.led_since is not None and tick < self.led_since
        return Reason.NO_QUORUM if unled else Reason.LATE


def caught_up(
    misfire: Misfire, lateness: Lateness, batch: Sequence[datetime], newer: Iterable[datetime]
) -> frozenset[datetime]:
    """Return the late ticks of the batch that are launched; `newer` are the late ones after it."""
    window = timedelta(seconds=misfire.window_seconds)
    late = [t for t in batch if lateness.is_late(t) and lateness.now - t <= window]
    most = {"skip": 0, "run_once": 1, "run_all": misfire.max_runs}[misfire.policy]
    if most is None:
        return frozenset(late)
    if most == 0:
        return frozenset()
    return frozenset([*late, *islice(newer, most)][-most:]) & frozenset(late)


def was_caught_up(run: Run, lateness: Lateness) -> bool:
    """Whether a run's tick was late when it was decided."""
    if run.trigger is Trigger.EVERY_NODE:
        return run.decided_at - run.nominal_time > lateness.after
    return run.trigger is Trigger.CATCH_UP


def starts(misfire: Misfire, lateness: Lateness, runs: Iterable[Run]) -> Iterator[datetime]:
    """Yield when the next caught-up runs may start, not before those of an earlier round."""
    now = lateness.now
    if misfire.per_minute is None:
        while True:
            yield now
    gap = timedelta(milliseconds=60_000 // misfire.per_minute)
    waiting = (run.due_at for run in runs if was_caught_up(run, lateness))
    newest = max(waiting, default=None)
    at = now if newest is None else max(now, newest + gap)
    while True:
        yield at
        at += gap
