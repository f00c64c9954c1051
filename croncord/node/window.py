"""How late a run that was given to a node may still start. Pure."""

from datetime import datetime, timedelta
from typing import Final

from croncord.model import Misfire, Run

LATE_AFTER_SECONDS: Final = 30.0
"""Less than that is only a late start, however small a job's window is."""


def has_passed(run: Run, misfire: Misfire, now: datetime) -> bool:
    """Whether the run's window is over, counted from when it was due or got its node.

    The later of the two: a run may have waited for its turn on purpose. `now` is the leader's time.
    """
    since = max(run.due_at, run.assigned_at or run.due_at)
    return now - since > timedelta(seconds=max(misfire.window_seconds, LATE_AFTER_SECONDS))
