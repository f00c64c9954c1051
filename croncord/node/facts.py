"""What the planner works from besides the agreed state."""

from collections.abc import Mapping
from datetime import datetime

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The planner's own time limits."""

    horizon_seconds: float = 1.0
    """How far ahead ticks are decided, so that all is agreed when their instant comes."""
    node_timeout_seconds: float = 5.0
    """A node that has not reported for so long is down."""
    quiet_after_seconds: float = 2.5
    """A node that has missed two reports gets no new runs that others may run."""
    lost_after_seconds: float = 60.0
    """What runs on a node that has been silent for so long is lost."""
    late_after_seconds: float = 30.0
    """A tick decided later than that is a misfire; less is only a late start."""
    idle_seconds: float = 1.0
    """Plan at least that often."""
    batch: int = 1000
    """Jobs per DecideTicks command."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the leader knows besides the state."""

    now: datetime
    term: int
    leader: str
    silent_seconds: Mapping[str, float]
    """Since each node was heard of; a node that never reported counts from the election."""
    quiet: frozenset[str] = frozenset()
    """Nodes that have not reported to this leader yet, or not for a while: they may be dead."""
    offsets_ms: Mapping[str, int] = {}
    """Each node's clock minus the leader's."""
    pressed: Mapping[str, str] = {}
    """Nodes that take no new runs, and what they are short of."""
    holding_cpu: frozenset[str] = frozenset()
    """Nodes that can hold runs to `limits.cpu_percent`, as far as they have reported."""
    led_since: datetime | None = None
    """When this node was elected."""

    @property
    def by(self) -> str:
        """Who decides, as commands say it."""
        return f"node:{self.leader}"
