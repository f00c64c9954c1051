"""Runs by the old schedulers' rules, and by ours for what the importers make of them."""

import json
from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croncord.importing.cronicle import read_cronicle
from croncord.importing.dkron_schedule import read_schedule
from croncord.importing.found import Refused
from croncord.importing.timing import WallTimes
from croncord.schedule import next_times, zone_info

NOW = datetime(2026, 11, 24, 12, 30, 15, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]


def old_and_new(kept, moment, count=4):
    old = list(islice(kept.times.after(moment), count))
    new = next_times(kept.expression, kept.timezone, moment, count, "every")
    return old, new


COLUMN = {
    "minute": st.sampled_from(["0", "30", "*/15", "5-10", "59", "7,8,40", "10/20"]),
    "hour": st.sampled_from(["*", "0", "1", "2", "3", "2-4", "*/6", "23"]),
    "day": st.sampled_from(["*", "?", "1", "31", "1,15", "28-31"]),
    "month": st.sampled_from(["*", "2", "mar", "10-11", "*/3"]),
    "weekday": st.sampled_from(["*", "?", "0", "sun", "mon-fri", "6", "2/2"]),
}


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*COLUMN.values()),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone is given beside
)
def test_a_cron_expression_of_dkron_runs_at_the_same_times_here(columns, zone, moment):
    old, new = old_and_new(read_schedule(f"0 {' '.join(columns)}", zone), moment)
    assert old == new[: len(old)]  # the plain search looks five years ahead


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["minutes", "hours", "months"]), st.lists(st.integers(1, 12), max_size=4)
    ),
    st.sampled_from([{}, {"days": [1, 31]}, {"weekdays": [0, 6]}, {"weekdays": [1, 2, 3]}]),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone is given beside
)
def test_a_timing_of_cronicle_runs_at_the_same_times_here(lists, days, zone, moment):
    event = {"id": "e", "plugin": "shellplug", "params": {"script": "x"}, "timezone": zone}
    rows = [{**event, "timing": {**lists, **days}}]
    (found,) = read_cronicle(json.dumps({"rows": rows}).encode(), name="f", timezone="UTC")
    assert not found.refusal
    old = list(islice(found.times.after(moment), 4))
    assert old == next_times(found.fields["schedule"][0], zone, moment, 4, "every")[: len(old)]


def test_an_hour_that_comes_twice_is_passed_twice_and_one_that_is_skipped_not_at_all():
    zone = zone_info("Europe/Berlin")
    half_past_two = WallTimes(zone=zone, hours=frozenset({2}), minutes=frozenset({30}))
    autumn = islice(half_past_two.after(datetime(2026, 10, 24, 12, tzinfo=UTC)), 2)
    assert [f"{run:%H:%M}" for run in autumn] == ["00:30", "01:30"]
    spring = next(half_past_two.after(datetime(2027, 3, 27, 12, tzinfo=UTC)))
    assert f"{spring:%d %H:%M}" == "29 00:30"


@pytest.mark.parametrize(
    ("schedule", "expression"),
    [
        ("@daily", "0 0 * * *"),
        ("@minutely", "* * * * *"),
        ("@manually", "@manual"),
        ("@every 1h30m10s", "@every 5410s"),
        ("@every 1.5h", "@every 5400s"),
        ("@at 2027-01-01T08:00:00+01:00", "@at 2027-01-01T07:00:00Z"),
        ("@after 2027-01-01T08:00:00Z <PT2H", "@at 2027-01-01T08:00:00Z"),
        ("*/10 * * * * *", "*/10 * * * * *"),
        ("CRON_TZ=Asia/Tokyo 0 5 4 * * SUN", "5 4 * * sun"),
        ("30 2 * * *", "30 2 * * *"),
        ("0 ~ * * * *", "H * * * *"),
    ],
)
def test_words_of_dkron_become_ours(schedule, expression):
    assert read_schedule(schedule, "UTC").expression == expression


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("@every 500ms", "only whole seconds"),
        ("@every soon", "is not a duration"),
        ("@reboot", "is not known"),
        ("@at tomorrow", "is not a time with its zone"),
        ("0 0 0 32 * *", "not within 1 to 31"),
        ("0 0 0 * * 7", "not within 0 to 6"),
        ("0 0 0 */2 * MON", "Write its numbers out"),
        ("a b c d e f", "is no number"),
        ("* * *", "has 3 fields"),
        ("~5 * * * * *", "only ~ and ~/N"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_reason(schedule, why):
    with pytest.raises(Refused, match=why):
        read_schedule(schedule, "UTC")
