"""Schedules in English: tests/data/explain.txt, and that the words are true."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from croncord.errors import ScheduleError
from croncord.explain import explain
from croncord.schedule import check_schedule, next_times

TABLE = Path(__file__).parents[1] / "data" / "explain.txt"
LINES = [
    tuple(cell.strip() for cell in line.split("|"))
    for line in TABLE.read_text("utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("expr", "english"), LINES, ids=[expr for expr, _ in LINES])
def test_a_schedule_is_said_in_english(expr, english):
    check_schedule(expr, "UTC")
    assert explain(expr) == english


def test_different_schedules_of_the_table_are_not_said_alike():
    """Those that are said alike must be due alike."""
    after = datetime(2026, 1, 1, tzinfo=UTC)
    by_words = {}
    for expr, english in LINES:
        by_words.setdefault(english, []).append(next_times(expr, "UTC", after, 40))
    for times in by_words.values():
        assert times.count(times[0]) == len(times)


@pytest.mark.parametrize(
    ("either", "both"), [("0 0 1-7 * 1", "0 0 1-7 * */7"), ("0 0 10 * 3", "0 0 */9 * 3")]
)
def test_whether_one_or_both_day_fields_must_match_is_said(either, both):
    assert ", and also on " in explain(either)
    assert ", but only if it is " in explain(both)


def test_h_is_said_as_the_time_drawn_for_the_job():
    said = explain("H H * * *", "nightly-backup")
    assert said == "At 04:15 every day"
    after = datetime(2026, 1, 1, tzinfo=UTC)
    assert next_times("15 4 * * *", "UTC", after, 1) == [after + timedelta(hours=4, minutes=15)]


@pytest.mark.parametrize("expr", ["", "* * *", "@sometimes", "99 * * * *"])
def test_what_is_no_schedule_is_not_explained(expr):
    with pytest.raises(ScheduleError):
        explain(expr)
