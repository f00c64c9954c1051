"""In UTC, where no clock changes, against croniter's own search and against cronsim.

Left out are the forms in which croniter 7 is known to differ: `a-a` (it takes the whole field),
a range that wraps around with a step (it loses count), #, L or W beside a restricted other day
field (it takes "and" for "or"), and a `*` inside a list of days (likewise).
"""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cron_oracles import columns, expressions
from croniter import CroniterBadDateError, croniter
from cronsim import CronSim, CronSimError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from croncord.schedule import compile_schedule, next_times, normalise

AFTER = st.integers(631152000, 2840140800).map(lambda s: datetime.fromtimestamp(s, UTC))
SLOW = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def croniter_says(text, after, n):
    search = croniter(
        text, after, ret_type=datetime, second_at_beginning=True, implement_cron_bug=True
    )
    try:
        return [search.get_next() for _ in range(n)]
    except CroniterBadDateError:
        return []


def special(days):
    """Return a day or weekday field with L, W or #; the other field stays free."""
    weekday = st.sampled_from(["0", "1", "2", "3", "4", "5", "6", "MON", "sat"])
    if days:
        return st.one_of(
            st.sampled_from(["L", "1,L", "15,L", "28-L"]),
            st.integers(1, 31).map("{}W".format),
            st.integers(1, 31).map("w{}".format),
        )
    return st.one_of(
        st.builds("{}#{}".format, weekday, st.integers(1, 5)),
        st.integers(0, 6).map("L{}".format),
        st.builds("{}#{},{}#{}".format, weekday, st.just(1), weekday, st.integers(2, 4)),
    )


@st.composite
def extended(draw):
    """Return a text with seconds, names, wrapping ranges, L, W or #."""
    second = draw(columns(0, 59, stars=1)).text + " " if draw(st.booleans()) else ""
    day, weekday = draw(
        st.one_of(
            st.tuples(special(days=True), st.just("*")),
            st.tuples(st.sampled_from(["*", "?"]), special(days=False)),
            st.tuples(st.just("*"), st.sampled_from(["FRI-MON", "sat-2", "MON-FRI", "1-5"])),
        )
    )
    month = draw(st.sampled_from(["*", "JAN", "feb,AUG", "NOV-FEB", "*/5", "3"]))
    hour = draw(st.one_of(columns(0, 23).map(lambda c: c.text), st.just("22-2")))
    return f"{second}{draw(columns(0, 59)).text} {hour} {day} {month} {weekday}"


@SLOW
@given(expressions(), AFTER)
def test_plain_cron_is_what_croniter_takes_it_for(expression, after):
    assume(",*" not in expression.day.text + expression.weekday.text)
    text = _without_equal_ranges(expression.text)
    assert next_times(text, "UTC", after, 3) == croniter_says(text, after, 3)


@SLOW
@given(extended(), AFTER)
def test_seconds_names_and_special_days_are_what_croniter_takes_them_for(text, after):
    text = _without_equal_ranges(text)
    assert next_times(text, "UTC", after, 3) == croniter_says(text, after, 3)


@SLOW
@given(expressions(), AFTER)
def test_plain_cron_is_what_cronsim_takes_it_for(expression, after):
    assume(not re.search(r"\b\d/", expression.weekday.text))  # it counts n/m up to 7, Sunday
    text = _without_equal_ranges(expression.text)
    try:
        search = CronSim(text, after)
    except CronSimError:  # it refuses dates that never come
        assert next_times(text, "UTC", after, 1) == []
        return
    wanted = []
    for at in search:
        wanted.append(at)
        if len(wanted) == 3 or at.year > after.year + 30:
            break
    assert next_times(text, "UTC", after, len(wanted)) == wanted


def _without_equal_ranges(text):
    """Leave out expressions with `a-a`, which each cron reads in its own way."""
    for column in text.split():
        for item in column.split(","):
            low, dash, high = item.partition("/")[0].partition("-")
            assume(not dash or low != high)
    return text


@given(st.one_of(expressions().map(lambda e: e.text), extended()))
def test_the_normal_form_is_its_own_normal_form_and_means_the_same(text):
    normal = normalise(text)
    assert normalise(normal) == normal
    after = datetime(2026, 11, 24, tzinfo=UTC)
    assert next_times(normal, "UTC", after, 2) == next_times(text, "UTC", after, 2)


@given(extended(), AFTER, st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]))
def test_times_rise_follow_after_and_chain(text, after, zone):
    times = next_times(text, zone, after, 4)
    assert all(a < b for a, b in pairwise([after, *times]))
    for here, there in pairwise(times):
        assert next_times(text, zone, here, 1) == [there]
        assert next_times(text, zone, here + timedelta(microseconds=1), 1) == [there]
    schedule = compile_schedule(text, zone, anchor=after)
    assert all(t.tzinfo is UTC and t.microsecond == 0 for t in times)
    assert schedule.next(after) == (times[0] if times else None)
