"""Schedules that never fire are refused, soon, and only those."""

from datetime import UTC, datetime

import pytest

from croncord.errors import ScheduleError
from croncord.schedule import POLICIES, check_schedule, next_times

GAP = "never fires: its times always fall into the hour that clocks in Europe/Berlin skip"
DAYS = "never fires: no date in 40 years matches both its day of month and its weekday"


@pytest.mark.parametrize(
    ("expr", "zone", "policy", "why"),
    [
        ("0 0 30 2 *", "UTC", "cron", "never fires: 30 February does not exist"),
        ("0 0 30,31 2 *", "UTC", "once", "never fires: 30 February does not exist"),
        ("0 0 31 4 *", "Europe/Berlin", "cron", "never fires: 31 April does not exist"),
        ("0 0 31 4,6 *", "UTC", "cron", "never fires: 31 April and 31 June do not exist"),
        ("0 0 30 2 */2", "UTC", "cron", "never fires: 30 February does not exist"),
        ("0 0 */31 * 1#2", "UTC", "cron", DAYS),
        ("*/30 2 * 3 7L", "Europe/Berlin", "cron", GAP),
        ("30 2 * 3 7L", "Europe/Berlin", "skip", GAP),
        ("30 2 * 3 7L", "Europe/Berlin", "every", GAP),
    ],
)
def test_what_never_fires_is_refused_with_the_reason(expr, zone, policy, why):
    with pytest.raises(ScheduleError) as caught:
        check_schedule(expr, zone, policy)
    assert [(e.field, e.message) for e in caught.value.errors] == [("schedule", why)]
    assert next_times(expr, zone, datetime(2026, 1, 1, tzinfo=UTC), 1, policy) == []


@pytest.mark.parametrize(
    ("expr", "zone", "policy"),
    [
        ("0 0 31 2 0", "UTC", "cron"),
        ("0 0 29 2 *", "UTC", "cron"),
        ("0 0 29 2 */7", "UTC", "cron"),
        ("0 0 30W 2 *", "UTC", "cron"),
        ("0 0 31W 2 *", "UTC", "cron"),
        ("0 0 * 2 1#5", "UTC", "cron"),
        ("30 2 * 3 7L", "Europe/Berlin", "cron"),
        ("*/30 2 * 3 7L", "Europe/Berlin", "once"),
        ("@manual", "UTC", "cron"),
        ("@at 1999-01-01T00:00:00Z", "UTC", "cron"),
        ("@at 2027-03-28T02:30", "Europe/Berlin", "skip"),
        ("@every 40s", "Europe/Berlin", "skip"),
    ],
)
def test_what_fires_at_some_time_is_accepted(expr, zone, policy):
    check_schedule(expr, zone, policy)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_search_without_end_ends_with_nothing(policy):
    far = datetime(2150, 1, 1, tzinfo=UTC)
    assert next_times("30 2 * 3 7L", "Europe/Berlin", far, 60, policy) == next_times(
        "30 2 * 3 7L", "Europe/Berlin", far, 60, policy
    )
    assert next_times("0 0 30 2 *", "Australia/Lord_Howe", far, 3, policy) == []
    assert next_times("* * * * *", "UTC", datetime(2200, 1, 1, tzinfo=UTC), 3, policy) == []
    assert next_times("* * * * *", "UTC", datetime.max.replace(tzinfo=UTC), 3, policy) == []


def test_time_begins_in_1970():
    [first] = next_times("0 0 * * *", "UTC", datetime(1, 1, 1, tzinfo=UTC), 1)
    assert first == datetime(1970, 1, 1, tzinfo=UTC)
