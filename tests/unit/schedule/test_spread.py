"""`H`: a time drawn from the job's key, so that a thousand jobs do not start at midnight."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.schedule import compile_schedule, normalise
from croncord.schedule.compile import is_spread
from croncord.schedule.cron import cron_table

ANCHOR = datetime(2026, 11, 24, tzinfo=UTC)


def test_the_same_key_always_draws_the_same_time():
    # Written down: a release that changes these numbers moves everybody's jobs.
    assert normalise("H H * * *", "nightly-backup") == normalise("h h * * *", "nightly-backup")
    assert normalise("H H H H H", "nightly-backup") == "15 4 12 1 1"
    assert normalise("H H H H H H", "") == "22 17 7 3 11 5"


@pytest.mark.parametrize("text", ["0 0 * MAR THU", "@monthly", "@every 3h", "0 0 * * 4#1"])
def test_without_h_the_key_changes_nothing(text):
    assert not is_spread(text)
    one = compile_schedule(text, "UTC", anchor=ANCHOR, hash_key="one")
    assert one == compile_schedule(text, "UTC", anchor=ANCHOR, hash_key="other")


@pytest.mark.parametrize("text", ["H 1 * * *", "0 h/3 * * *", "5,H(10-20) * * * *", "0 0 1 1 H"])
def test_h_is_seen_wherever_it_stands(text):
    assert is_spread(text)


def test_each_field_draws_for_itself():
    minutes_and_hours = {tuple(normalise("H H * * *", str(i)).split()[:2]) for i in range(3000)}
    assert len(minutes_and_hours) > 1200  # of 1,440; one number for both would give few


def test_jobs_spread_evenly_over_the_hour():
    drawn = Counter(normalise("H * * * *", f"job-{i}").split()[0] for i in range(6000))
    assert len(drawn) == 60
    assert max(drawn.values()) < 2 * min(drawn.values())


@given(st.text(max_size=40))
def test_a_bare_h_leaves_no_month_out(key):
    minute, hour, day, month, weekday = map(int, normalise("H H H H H", key).split())
    assert minute in range(60)
    assert hour in range(24)
    assert day in range(1, 29)
    assert month in range(1, 13)
    assert weekday in range(7)


@given(st.text(max_size=20), st.integers(0, 59), st.integers(0, 59), st.integers(1, 70))
def test_a_range_and_a_step_bound_what_is_drawn(key, one, other, step):
    low, high = sorted((one, other))
    drawn = int(normalise(f"H({low}-{high}) * * * *", key).split()[0])
    assert low <= drawn <= high
    text = normalise(f"H({low}-{high})/{step} 0 * * *", key)
    table = cron_table(text)
    minutes = [m for m in range(60) if table.minutes >> m & 1]
    assert low <= minutes[0] < low + step
    assert minutes == list(range(minutes[0], high + 1, step))


@pytest.mark.parametrize(
    ("text", "values"),
    [("H/15 * * * *", 4), ("H H/6 * * *", 4), ("H,30 5 * * *", 2), ("H(31-31) 0 * * *", 1)],
)
def test_h_with_a_step_runs_as_often_as_the_star_with_it(text, values):
    table = cron_table(normalise(text, "a-key-whose-minute-is-not-30"))
    hours = 24 if text.split()[1] == "*" else 1
    assert table.minutes.bit_count() == values * hours


def test_the_drawn_times_are_those_of_the_key():
    one = compile_schedule("H H * * *", "UTC", anchor=ANCHOR, hash_key="one")
    other = compile_schedule("H H * * *", "UTC", anchor=ANCHOR, hash_key="other")
    assert one.next(ANCHOR) != other.next(ANCHOR)
    assert one == compile_schedule("H H * * *", "UTC", anchor=ANCHOR, hash_key="one")
