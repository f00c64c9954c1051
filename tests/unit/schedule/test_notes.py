"""What a person is told beside the times of a schedule."""

from datetime import UTC, datetime

import pytest

from croncord.schedule import clock_change_notes, clock_changes, compile_all, reading_notes

AFTER = datetime(2026, 11, 24, 12, tzinfo=UTC)
BERLIN = "Europe/Berlin"
GAP = "Sun 28 Mar 2027: 02:30 does not exist in Europe/Berlin: "
TWICE = "Sun 31 Oct 2027: 02:30 happens twice in Europe/Berlin: "
QUARTERS_GAP = "Sun 28 Mar 2027: 02:00 to 02:45 do not exist in Europe/Berlin: "
QUARTERS_TWICE = "Sun 31 Oct 2027: 02:00 to 02:45 happen twice in Europe/Berlin: "


@pytest.mark.parametrize(
    ("expr", "zone", "policy", "notes"),
    [
        (
            "30 2 * * *",
            BERLIN,
            "cron",
            [
                GAP + "that run starts at 03:00.",
                TWICE + "this job runs once, the first time (CEST).",
            ],
        ),
        (
            "30 2 * * *",
            BERLIN,
            "every",
            [
                GAP + "that run is left out.",
                TWICE + "this job runs both times (CEST, then CET).",
            ],
        ),
        (
            "*/15 2 * * *",
            BERLIN,
            "cron",
            [
                QUARTERS_GAP + "these 4 runs are left out.",
                QUARTERS_TWICE + "each of these 4 runs starts both times (CEST, then CET).",
            ],
        ),
        (
            "*/15 2 * * *",
            BERLIN,
            "once",
            [
                QUARTERS_GAP + "one run at 03:00 stands for these 4.",
                QUARTERS_TWICE + "each of these 4 runs starts once, the first time (CEST).",
            ],
        ),
        # Not touched: away from the change, on other days, in an even rhythm, not on the clock.
        ("30 3 * * *", BERLIN, "cron", []),
        ("30 2 * * 1-5", BERLIN, "cron", []),
        ("*/5 * * * *", BERLIN, "cron", []),
        ("0 * * * *", BERLIN, "every", []),
        ("30 2 * * *", "UTC", "cron", []),
        ("30 2 * * *", "Asia/Tokyo", "cron", []),
        ("@every 1h", BERLIN, "cron", []),
        ("@at 2027-03-28T02:30", BERLIN, "cron", []),
        ("@manual", BERLIN, "cron", []),
        # An even rhythm breaks where the clock moves by half an hour.
        (
            "0 * * * *",
            "Australia/Lord_Howe",
            "cron",
            ["Sun 3 Oct 2027: 02:00 does not exist in Australia/Lord_Howe: that run is left out."],
        ),
        (
            "15 30 2 28 3 *",
            BERLIN,
            "cron",
            [
                "Sun 28 Mar 2027: 02:30:15 does not exist in Europe/Berlin: that run starts at 03:00."
            ],
        ),
    ],
)
def test_each_clock_change_that_touches_the_job_is_told_with_what_happens(
    expr, zone, policy, notes
):
    assert clock_change_notes(expr, zone, AFTER, policy) == notes


def test_only_changes_within_the_asked_days_are_told():
    assert len(clock_change_notes("30 2 * * *", BERLIN, AFTER, until_days=1200)) == 6
    assert clock_change_notes("30 2 * * *", BERLIN, AFTER, until_days=30) == []


def test_a_skipped_day_is_told_with_its_date():
    before = datetime(2011, 12, 1, tzinfo=UTC)
    assert clock_change_notes("0 6,18 * * *", "Pacific/Apia", before, until_days=60) == [
        "Fri 30 Dec 2011: 06:00 to 18:00 do not exist in Pacific/Apia: these 2 runs are left out."
    ]


def test_changes_of_several_schedules_come_in_order_with_the_ledgers_words():
    union = compile_all(["30 2 * * *", "45 2 * * *"], BERLIN, anchor=AFTER)
    changes = clock_changes(union, AFTER, datetime(2028, 1, 1, tzinfo=UTC))
    assert [(c.reason, c.runs) for c in changes] == [("dst_gap", 1)] * 2 + [("dst_repeat", 1)] * 2
    assert changes[0].instant == datetime(2027, 3, 28, 1, tzinfo=UTC)
    assert changes[0].walls == (datetime(2027, 3, 28, 2, 30),)  # noqa: DTZ001  # a wall time


EITHER = "Runs on days that match either the day of month or the weekday."
BOTH = (
    "Runs on days that match both the day of month and the weekday, because the {} field "
    "begins with *."
)
UNEVEN = "{} in the {} field is not even: counting starts again {}."


@pytest.mark.parametrize(
    ("expr", "notes"),
    [
        ("30 2 * * *", []),
        ("*/5 * * * *", []),
        ("0 0 1,15 * 1", [EITHER]),
        ("0 0 1,15 * ?", []),
        (
            "0 0 */2 * 1",
            [
                BOTH.format("day of month"),
                UNEVEN.format("*/2", "day of month", "on the 1st of every month"),
            ],
        ),
        (
            "0 0 1 * */2",
            [BOTH.format("weekday"), UNEVEN.format("*/2", "weekday", "every Sunday")],
        ),
        ("*/7 * * * *", [UNEVEN.format("*/7", "minute", "at 0 every hour")]),
        ("0 */5 * * *", [UNEVEN.format("*/5", "hour", "at 0 every day")]),
        ("0 0 1 */5 *", [UNEVEN.format("*/5", "month", "every January")]),
        ("*/11 * * * * *", [UNEVEN.format("*/11", "second", "at 0 every minute")]),
        ("*/100 * * * *", ["*/100 in the minute field means only 0."]),
        ("0 0 29 2 *", ["Runs only on 29 February, that is in leap years."]),
        (
            "0 0 29 * *",
            ["In February it runs in leap years only; L is the last day of every month."],
        ),
        (
            "0 0 31 * *",
            ["Months without a 31st are left out; L is the last day of every month."],
        ),
        ("0 0 31 1,3,5 *", []),
        ("0 0 31 * 1", [EITHER]),
        ("0 0 L * *", []),
        ("0 0 31W * *", []),
        (
            "* * * * * *",
            ["Runs 60 times in a minute; each run is recorded and its output kept."],
        ),
        ("0,30 * * * * *", []),
        ("@every 5s", ["Runs every 5 seconds; each run is recorded and its output kept."]),
        ("@every 1m", []),
        ("@manual", []),
        ("@at 2027-01-01T00:00:00Z", []),
        (
            "* 2 * * *",
            ["Runs in every minute of these hours; write 0 in the minute field for once an hour."],
        ),
        (
            "H H * * *",
            [
                (
                    "H stands for a number drawn for each job when it is created: its own times "
                    "will differ from these, and come as often."
                )
            ],
        ),
        ("0 0 * MAR THU", []),
    ],
)
def test_what_is_easily_misread_is_said(expr, notes):
    assert reading_notes(expr) == notes
