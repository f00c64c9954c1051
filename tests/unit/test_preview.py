"""The preview that the API, the pages and the command line share."""

from datetime import UTC, datetime, timedelta

import pytest

from croncord.errors import ScheduleError
from croncord.preview import iso_utc, preview

AFTER = datetime(2027, 3, 26, 12, tzinfo=UTC)


def test_the_preview_shows_the_same_instants_in_utc_and_on_the_local_clock():
    answer = preview("30 2 * * *", "Europe/Berlin", AFTER, 3)
    assert answer == {
        "times": [
            "2027-03-27T01:30:00.000Z",
            "2027-03-28T01:00:00.000Z",
            "2027-03-29T00:30:00.000Z",
        ],
        "local": [
            "2027-03-27T02:30:00+01:00",
            "2027-03-28T03:00:00+02:00",
            "2027-03-29T02:30:00+02:00",
        ],
        "zone_letters": ["CET", "CEST", "CEST"],
        "description": "At 02:30 every day",
        "notes": [
            "Sun 28 Mar 2027: 02:30 does not exist in Europe/Berlin: that run starts at 03:00.",
            (
                "Sun 31 Oct 2027: 02:30 happens twice in Europe/Berlin: this job runs once, "
                "the first time (CEST)."
            ),
            "Sun 26 Mar 2028: 02:30 does not exist in Europe/Berlin: that run starts at 03:00.",
        ],
    }


def test_the_policy_for_clock_changes_counts():
    answer = preview("30 2 * * *", "Europe/Berlin", AFTER, 2, "skip")
    assert answer["times"] == ["2027-03-27T01:30:00.000Z", "2027-03-29T00:30:00.000Z"]


def test_remarks_on_the_expression_stand_before_those_on_the_clock():
    answer = preview("*/7 2 * * *", "Europe/Berlin", AFTER, 0)
    assert answer["times"] == answer["local"] == []
    assert answer["notes"][0].startswith("*/7 in the minute field is not even")
    assert len(answer["notes"]) == 4


def test_a_known_job_is_previewed_with_its_own_key_and_anchor():
    anchor = AFTER - timedelta(seconds=10)
    every = preview("@every 1m", "UTC", AFTER, 1, anchor=anchor)
    assert every["times"] == ["2027-03-26T12:00:50.000Z"]
    drawn = preview("H 3 * * *", "UTC", AFTER, 1, hash_key="nightly-backup")
    assert drawn["times"] == ["2027-03-27T03:15:00.000Z"]
    assert drawn["description"] == "At 03:15 every day"


@pytest.mark.parametrize(
    ("expr", "zone", "policy", "field"),
    [
        ("0 0 30 2 *", "UTC", "cron", "schedule"),
        ("0 24 * * *", "UTC", "cron", "schedule"),
        ("@daily", "Berlin", "cron", "timezone"),
        ("@daily", "UTC", "never", "dst"),
    ],
)
def test_what_could_not_be_saved_is_refused_with_its_field(expr, zone, policy, field):
    with pytest.raises(ScheduleError) as caught:
        preview(expr, zone, AFTER, 5, policy)
    assert [e.field for e in caught.value.errors] == [field]


def test_times_are_written_as_the_api_writes_them():
    assert iso_utc(datetime.fromisoformat("2026-11-24T11:00:00+01:00")) == (
        "2026-11-24T10:00:00.000Z"
    )
