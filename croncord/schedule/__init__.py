"""When jobs are due: schedule expressions, time zones and the rule for clock changes.

`next_times` answers a question; `compile_schedule` and `compile_all` give a Schedule to keep.
`croncord.schedule.rules` tells what each clock-change policy does.
"""

from croncord.schedule.changes import ClockChange, clock_changes
from croncord.schedule.check import check_schedule
from croncord.schedule.compile import (
    ALIASES,
    compile_all,
    compile_schedule,
    next_times,
    normalise,
)
from croncord.schedule.kinds import Schedule
from croncord.schedule.notes import clock_change_notes, reading_notes
from croncord.schedule.rules import POLICIES
from croncord.schedule.zones import tzdata_version, zone_info, zone_names

__all__ = [
    "ALIASES",
    "POLICIES",
    "ClockChange",
    "Schedule",
    "check_schedule",
    "clock_change_notes",
    "clock_changes",
    "compile_all",
    "compile_schedule",
    "next_times",
    "normalise",
    "reading_notes",
    "tzdata_version",
    "zone_info",
    "zone_names",
]
