"""What is written in a schedule: spellings that mean the same, and errors that say what is right."""

from datetime import UTC, datetime

import pytest

from croncord.errors import ScheduleError
from croncord.schedule import ALIASES, check_schedule, compile_schedule, next_times, normalise

AFTER = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("30 2 * * *", "30 2 * * *"),
        ("  30\t2   * *  * ", "30 2 * * *"),
        ("0 0 * JAN,feb MON-FRI", "0 0 * 1,2 1-5"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * SUN-7", "0 0 * * 0-6"),
        ("0 0 * * 7-0", "0 0 * * 0"),
        ("0 0 * * 6-7", "0 0 * * 6-0"),
        ("0 0 * * 4-7/3", "0 0 * * 4,0"),
        ("7-7 * * * *", "7 * * * *"),
        ("7-7/5 * * * *", "7 * * * *"),
        ("5/20 * * * *", "5-59/20 * * * *"),
        ("59/20 * * * *", "59 * * * *"),
        ("*/1 * * * *", "* * * * *"),
        ("0 22-3/2 * * *", "0 22,0,2 * * *"),
        ("0 0 ? * 2", "0 0 * * 2"),
        ("0 0 LW * ?", "0 0 31w * *"),
        ("0 0 W15 * *", "0 0 15w * *"),
        ("0 0 20-L * *", "0 0 20-31 * *"),
        ("0 0 * * 5L", "0 0 * * l5"),
        ("0 0 * * FRIL,L1", "0 0 * * l5,l1"),
        ("0 0 * * fri#L", "0 0 * * l5"),
        ("0 0 * * sun#2", "0 0 * * 0#2"),
        ("@Daily", "0 0 * * *"),
        ("@every 1h30m", "@every 5400s"),
        ("@every 1W", "@every 604800s"),
        ("@EVERY 1d 2h", "@every 93600s"),
        ("@at 2027-01-01T01:00+01:00", "@at 2027-01-01T00:00:00Z"),
        ("@at 2027-01-01 01:00:30", "@at 2027-01-01T01:00:30"),
        (" @Manual ", "@manual"),
    ],
)
def test_spellings_of_one_schedule_have_one_normal_form(text, normal):
    assert normalise(text) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_alias_and_its_fields_are_the_same_schedule(alias):
    short = compile_schedule(alias, "Europe/Berlin", anchor=AFTER)
    long = compile_schedule(ALIASES[alias], "Europe/Berlin", anchor=AFTER)
    assert short == long
    assert hash(short) == hash(long)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("30 25 * * *", "hour: 25 is not between 0 and 23"),
        ("60 * * * *", "minute: 60 is not between 0 and 59"),
        ("61 * * * * *", "second: 61 is not between 0 and 59"),
        ("0 0 0 * *", "day of month: 0 is not between 1 and 31"),
        ("0 0 32W * *", "day of month: 32 is not between 1 and 31"),
        ("0 0 * 13 *", "month: 13 is not between 1 and 12"),
        ("0 0 * * 8", "weekday: 8 is not between 0 and 7"),
        ("0 0 * * 8#1", "weekday: 8 is not between 0 and 7"),
        (
            "0 0 * FOO *",
            (
                "month: 'foo' is not understood; write *, 1-12 or JAN-DEC, a range a-b, "
                "a step */n, or a list"
            ),
        ),
        ("0 0 * * MON#6", "weekday: 'mon#6': after # stands 1 to 5, the how-manieth in the month"),
        ("0 0 * * L", "weekday: L needs a day, as in 5L for the last Friday of the month"),
        ("0 0 * * 1,2#1", "weekday: plain weekdays and those with # or L cannot share one list"),
        ("0 0 15W,20 * *", "day of month: W (nearest weekday) must stand alone, not in a list"),
        ("0 0 L-3 * *", "day of month: 'L-3': counting back from the last day is not supported"),
        ("*/0 * * * *", "minute: the step '0' is not a whole number above 0"),
        ("*/x * * * *", "minute: the step 'x' is not a whole number above 0"),
        ("*-5 * * * *", "minute: '*-5': * already means the whole range"),
        ("1,,2 * * * *", "minute: an entry between commas is empty"),
        ("-5 * * * *", "minute: '-5': negative numbers do not exist here"),
        ("R * * * *", "minute: 'r': R is random, but all nodes must compute the same; use H"),
        ("5~9 * * * *", "minute: '5~9': random ranges are not allowed; use H, as in H(6-15)"),
        ("H(0-99) * * * *", "minute: 'h(0-99)': the range of H must rise within 0-59"),
        ("Hx * * * *", "minute: 'hx': H is written H, H/n, H(a-b) or H(a-b)/n"),
        ("0 ? * * *", "hour: ? may stand only for the day of month or the weekday"),
        (
            "0 0 1,? * *",
            "day of month: '?': ? must stand alone, for the day of month or the weekday",
        ),
        (
            "0 L * * *",
            "hour: 'l': L may stand only for the day of month or with a weekday, as in 5L",
        ),
        ("", "is empty"),
        ("   ", "is empty"),
        (
            "* * * *",
            (
                "has 4 fields; cron needs 5 (minute, hour, day of month, month, weekday), "
                "or 6 with the second first"
            ),
        ),
        (
            "daily",
            (
                "has 1 field; cron needs 5 (minute, hour, day of month, month, weekday), "
                "or 6 with the second first"
            ),
        ),
        (
            "0 0 0 1 1 * 2027",
            "a year field is not supported; use start_at and end_at to bound a job in time",
        ),
        ("@dayly", "'@dayly' is not known; did you mean @daily?"),
        (
            "@xyz",
            (
                "'@xyz' is not known; known are @hourly, @daily, @midnight, @weekly, @monthly, "
                "@yearly, @annually, @every, @at, @manual"
            ),
        ),
        ("@daily 5", "@daily stands alone; '5' after it means nothing"),
        ("@reboot", "@reboot is an event on one machine, not a time, and is not supported"),
        ("@every 0s", "@every: the time between runs must be from 1s to 40 years"),
        ("@every 99999d", "@every: the time between runs must be from 1s to 40 years"),
        (
            "@every soon",
            (
                "@every: 'soon' is not a duration; write whole numbers with w, d, h, m, s "
                "in that order, as in 90s, 1h30m or 2d"
            ),
        ),
        (
            "@every",
            (
                "@every: '' is not a duration; write whole numbers with w, d, h, m, s "
                "in that order, as in 90s, 1h30m or 2d"
            ),
        ),
        (
            "@at tomorrow",
            (
                "@at: 'tomorrow' is not a time such as 2027-01-01T00:00:00Z, "
                "or 2027-01-01T00:00:00 on the clock of the job's zone"
            ),
        ),
        (
            "@at 2027-02-29T00:00:00Z",
            (
                "@at: '2027-02-29T00:00:00Z' is not a time such as "
                "2027-01-01T00:00:00Z, or 2027-01-01T00:00:00 on the clock of the job's zone"
            ),
        ),
        ("@at 1066-10-14T09:00:00Z", "@at: the year must be between 1971 and 2198"),
        (
            "0 0 \N{ARABIC-INDIC DIGIT THREE} * *",
            "holds the character U+0663; only printable ASCII is allowed",
        ),
        ("0 0 * * *\n* * * * *", "holds the character U+000A; only printable ASCII is allowed"),
        ("0," * 200 + "0 * * * *", "is 409 characters long; at most 256 are allowed"),
    ],
)
def test_a_wrong_schedule_is_refused_with_the_field_and_what_would_be_right(text, message):
    for refuse in (
        lambda: check_schedule(text, "UTC"),
        lambda: next_times(text, "UTC", AFTER, 1),
        lambda: compile_schedule(text, "UTC", anchor=AFTER),
    ):
        with pytest.raises(ScheduleError) as caught:
            refuse()
        [error] = caught.value.errors
        assert (error.field, error.message) == ("schedule", message)


@pytest.mark.parametrize("text", [None, 5, b"* * * * *", ["* * * * *"]])
def test_a_schedule_that_is_no_text_is_refused(text):
    with pytest.raises(ScheduleError, match="must be text"):
        normalise(text)


def test_an_unknown_policy_is_refused_under_its_own_field():
    for text in ("* * * * *", "@every 5s", "@manual", "@at 2027-01-01T00:00:00Z"):
        with pytest.raises(ScheduleError) as caught:
            check_schedule(text, "UTC", "twice")
        [error] = caught.value.errors
        assert (error.field, error.message) == (
            "dst",
            "'twice' is not one of cron, once, skip, every",
        )
