"""Plans to hunt planted bugs with: short stories under a few plain faults.

A bug that needs a rare meeting of circumstances has a plan of its own, in which they are common.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cluster_faults import OUTAGES_SECONDS
from cluster_story import Plan
from cluster_workload import DEEDS
from cluster_world import Habits

from croncord.model import Misfire, Retries, Target
from croncord.node.planner import Limits

FAULTS = (
    frozenset({"crash"}),
    frozenset({"crash", "cut", "freeze"}),
    frozenset({"crash", "cut", "freeze"}),
    frozenset({"crash", "member", "wipe"}),
)


@dataclass(frozen=True)
class Hunt:
    """What the stories of a bug are made of, where it is not what everybody's are."""

    faults: frozenset[str]
    narrowed: Mapping[str, Sequence[object]]
    deeds: Mapping[str, int] = field(default_factory=lambda: DEEDS)
    people_pause_seconds: float = 2.0
    fault_seconds: float = 90.0
    outages_seconds: Sequence[float] = OUTAGES_SECONDS


_PLAIN: Mapping[str, Sequence[object]] = {
    "start_at": (None,),
    "end_at": (None,),
    "pause_after_failures": (None,),
    "after": ((),),
    "calendars": ((),),
    "locks": ((),),
    "jitter_seconds": (0,),
}

HUNTS: Mapping[str, Hunt] = {
    "a_plan_does_not_see_its_own_orders": Hunt(
        frozenset({"chaos"}),
        {
            **_PLAIN,
            "script": ("play 2.0 0 0", "play 5.0 0 0"),
            "schedule": (("@every 2s",), ("@every 3s",)),
            "overlap": ("allow",),
            "target": (Target(labels={"zone": "b"}),),
        },
        {"label": 1},
        people_pause_seconds=0.5,
    ),
    "caught_up_all_at_once": Hunt(
        frozenset({"crash", "freeze"}),
        {
            **_PLAIN,
            "script": ("play 0.5 0 0",),
            "schedule": (("@every 5s",), ("*/10 * * * * *",)),
            "misfire": (Misfire(policy="run_all", window_seconds=600, per_minute=6),),
        },
        {"trigger": 1},
    ),
    "late_result_overwrites_a_retry": Hunt(
        frozenset({"cut", "freeze"}),
        {
            **_PLAIN,
            "script": ("play 20.0 0 0",),
            "schedule": (("@every 10s",), ("*/15 * * * * *",)),
            "delivery": ("at_least_once",),
            "retries": (Retries(count=3, delay_seconds=0),),
            "timeout_seconds": (None,),
        },
        {"trigger": 1},
    ),
    "what_is_out_of_sight_goes_on": Hunt(
        frozenset({"alone"}),
        {
            **_PLAIN,
            "script": ("play 300.0 0 0",),
            "schedule": (("@every 300s",),),
            "overlap": ("replace",),
            "delivery": ("at_least_once",),
            "kill_grace_seconds": (0,),
            "timeout_seconds": (None,),
            "target": (Target(),),
        },
        {"trigger": 1},
        people_pause_seconds=1.2,
        fault_seconds=400.0,
        outages_seconds=(70.0, 90.0),
    ),
}


def hunt_of(seed: int, name: str = "") -> Plan:
    """Draw the story of a seed in the hunt for the bug of a name."""
    rng = random.Random(f"hunt {seed}")
    plan = Plan(
        seed=seed,
        jobs=8,
        faults=FAULTS[seed % len(FAULTS)],
        calm_seconds=5.0,
        fault_seconds=90.0,
        people_pause_seconds=2.0,
        habits=Habits(believes_seconds=rng.choice([1.5, 40.0]), snapshot_entries=30),
        limits=Limits(lost_after_seconds=rng.choice([8.0, 20.0])),
    )
    hunt = HUNTS.get(name)
    if hunt is None:
        return plan
    return replace(
        plan,
        faults=hunt.faults,
        narrowed=hunt.narrowed,
        deeds=hunt.deeds,
        people_pause_seconds=hunt.people_pause_seconds,
        fault_seconds=hunt.fault_seconds,
        outages_seconds=hunt.outages_seconds,
    )
