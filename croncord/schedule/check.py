"""Whether a schedule may be stored: it is understood, and it fires at some time."""

from datetime import UTC, datetime

from croncord.errors import ScheduleError
from croncord.schedule.compile import compile_schedule
from croncord.schedule.cron import LONGEST, DayRule
from croncord.schedule.dialect import MONTH_NAMES
from croncord.schedule.kinds import CronSchedule, to_seconds

LOOK_FROM = datetime(2026, 1, 1, tzinfo=UTC)
"""Default start of the 40 years in which a schedule must fire; fixed, so all nodes agree."""


def check_schedule(expr: str, tz: str, dst: str = "cron", *, after: datetime = LOOK_FROM) -> None:
    """Raise ScheduleError if `expr`, `tz` or `dst` is wrong, or nothing is due within 40 years.

    The error's field is `schedule`, `timezone` or `dst`. `@manual` is fine, and so is an `@at`
    that has passed.
    """
    schedule = compile_schedule(expr, tz, dst, anchor=after)
    if not isinstance(schedule, CronSchedule) or schedule.next(after) is not None:
        return
    rule = schedule.table.rule
    if schedule.table.next_day(to_seconds(after) // 86400) is None:
        raise ScheduleError(f"never fires: {_missing_date(rule)}")
    raise ScheduleError(
        f"never fires: its times always fall into the hour that clocks in {tz} skip",
        hint="Choose another hour, or the clock-change policy `once`.",
    )


def _missing_date(rule: DayRule) -> str:
    first = (rule.days & -rule.days).bit_length() - 1
    months = [m for m in range(1, 13) if rule.months >> m & 1]
    if rule.days and not rule.nearest and all(first > LONGEST[m - 1] for m in months):
        dates = [f"{first} {MONTH_NAMES[m - 1]}" for m in months]
        return f"{' and '.join(dates)} {'does' if len(dates) == 1 else 'do'} not exist"
    return "no date in 40 years matches both its day of month and its weekday"
