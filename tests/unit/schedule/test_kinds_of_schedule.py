"""Schedules as values: shared by equal jobs, joined, anchored, walked."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.errors import ScheduleError
from croncord.schedule import compile_all, compile_schedule, next_times

ANCHOR = datetime(2026, 11, 24, 10, 0, 0, 500_000, tzinfo=UTC)
EXPRESSIONS = ["*/5 * * * *", "*/7 * * * *", "0 * * * *", "@daily", "@every 7m", "30 1 * * *"]


def schedule(text, zone="UTC", policy="cron", anchor=ANCHOR, key=""):
    return compile_schedule(text, zone, policy, anchor=anchor, hash_key=key)


def test_jobs_with_one_schedule_share_one_value():
    one, other = schedule("0 0 * * 7", "Europe/Berlin"), schedule("@weekly", "Europe/Berlin")
    assert one is other
    assert len({one, other, schedule("0 0 * * SUN", "Europe/Berlin")}) == 1


@pytest.mark.parametrize(
    "other",
    [
        schedule("0 0 * * 7", "Europe/London"),
        schedule("0 0 * * 7", "Europe/Berlin", "once"),
        schedule("1 0 * * 7", "Europe/Berlin"),
        schedule("@every 7d", "Europe/Berlin"),
        schedule("@manual"),
    ],
    ids=repr,
)
def test_schedules_that_may_differ_are_not_equal(other):
    assert schedule("0 0 * * 7", "Europe/Berlin") != other


def test_every_counts_from_its_anchor_whoever_asks_and_when():
    every = schedule("@every 90s")
    assert every == schedule("@every 1m30s", "Asia/Tokyo", "skip")
    assert every != schedule("@every 90s", anchor=ANCHOR + timedelta(seconds=1))
    start = ANCHOR.replace(microsecond=0)
    assert every.next(ANCHOR) == start + timedelta(seconds=90)
    assert every.next(start + timedelta(seconds=90)) == start + timedelta(seconds=180)
    assert every.next(start + timedelta(days=400)) == start + timedelta(days=400, seconds=0 + 90)
    assert every.next(start - timedelta(days=1)) == start


@given(st.integers(1, 10**7), st.integers(0, 10**9))
def test_every_keeps_its_distance_over_any_time(period, elapsed):
    every = schedule(f"@every {period}s")
    after = ANCHOR + timedelta(seconds=elapsed)
    due = every.next(after)
    assert after < due <= after + timedelta(seconds=period)
    assert (due - ANCHOR.replace(microsecond=0)) % timedelta(seconds=period) == timedelta(0)


def test_a_manual_job_is_never_due():
    manual = schedule("@manual")
    assert manual.next(ANCHOR) is None
    assert manual.between(ANCHOR, ANCHOR + timedelta(days=10_000), 5) == []
    assert not manual.fires_by_itself
    assert schedule("@hourly").fires_by_itself


def test_a_moment_without_zone_is_refused():
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  # the point of the test
    with pytest.raises(ScheduleError, match="without UTC offset"):
        next_times("* * * * *", "UTC", naive, 1)
    with pytest.raises(ScheduleError, match="without UTC offset"):
        schedule("* * * * *").next(naive)


def test_no_more_than_asked_for():
    assert next_times("* * * * * *", "UTC", ANCHOR, 0) == []
    assert next_times("* * * * * *", "UTC", ANCHOR, -3) == []
    assert len(next_times("* * * * * *", "UTC", ANCHOR, 1000)) == 1000
    assert schedule("* * * * *").between(ANCHOR, ANCHOR + timedelta(days=1), 0) == []
    assert schedule("* * * * *").between(ANCHOR, ANCHOR - timedelta(days=1), 9) == []


def test_what_is_due_at_the_end_of_a_window_belongs_to_it_and_at_its_start_does_not():
    hourly = schedule("@hourly")
    ten, noon = ANCHOR.replace(hour=10, microsecond=0), ANCHOR.replace(hour=12, microsecond=0)
    assert hourly.between(ten, noon, 9) == [ten + timedelta(hours=1), noon]


@given(
    st.lists(st.sampled_from(EXPRESSIONS), min_size=1, max_size=4),
    st.sampled_from(["UTC", "Europe/Berlin"]),
    st.integers(0, 40_000_000),
)
def test_several_expressions_are_due_when_any_is_and_once_per_instant(texts, zone, seconds):
    after = ANCHOR + timedelta(seconds=seconds)
    until = after + timedelta(hours=30)
    union = compile_all(texts, zone, anchor=ANCHOR)
    single = [schedule(text, zone).between(after, until, 10_000) for text in texts]
    wanted = sorted({due for times in single for due in times})
    assert union.between(after, until, 10_000) == wanted
    assert union.between(after, until, 3) == wanted[:3]
    assert list(islice(union.iterate(after), len(wanted))) == wanted


def test_the_order_and_repetition_of_expressions_do_not_matter():
    one = compile_all(["@daily", "0 12 * * *"], "UTC", anchor=ANCHOR)
    other = compile_all(["0 12 * * *", "0 0 * * *", "@daily"], "UTC", anchor=ANCHOR)
    assert one == other
    assert hash(one) == hash(other)


def test_one_expression_alone_is_no_union():
    assert compile_all(["@daily"], "UTC", anchor=ANCHOR) is schedule("@daily")
    assert compile_all(["@daily", "@manual"], "UTC", anchor=ANCHOR) is schedule("@daily")


@pytest.mark.parametrize("texts", [[], ["@manual"], ["@manual", "@manual"]])
def test_no_expression_at_all_means_by_hand(texts):
    assert compile_all(texts, "UTC", anchor=ANCHOR) == schedule("@manual")


def test_one_wrong_expression_among_several_is_refused():
    with pytest.raises(ScheduleError, match="hour: 24"):
        compile_all(["@daily", "0 24 * * *"], "UTC", anchor=ANCHOR)
