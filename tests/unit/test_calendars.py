from datetime import UTC, datetime

import pytest

from croncord.calendars import closed_by, names, read_calendar
from croncord.errors import Invalid
from croncord.ical import read_periods
from croncord.model import Calendar


def calendar(**fields):
    return read_calendar({"name": "c", **fields})


def instant(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


OFFICE = {"weekdays": ["mon", "tue", "wed", "thu", "fri"], "times": ["09:00-17:00"]}
NIGHT = {"weekdays": ["fri"], "times": ["22:00-02:00"]}


@pytest.mark.parametrize(
    ("fields", "when", "named"),
    [
        ({"dates": ["2026-12-25"]}, "2026-12-25T00:00", True),
        ({"dates": ["2026-12-25"]}, "2026-12-25T23:59", True),
        ({"dates": ["2026-12-25"]}, "2026-12-26T00:00", False),
        ({"dates": ["2026-12-25"]}, "2027-12-25T12:00", False),
        ({"dates": ["12-25"]}, "2027-12-25T12:00", True),
        ({"dates": ["02-29"]}, "2028-02-29T12:00", True),
        ({"dates": ["2026-12-24/2026-12-26"]}, "2026-12-26T12:00", True),
        ({"dates": ["2026-12-24/2026-12-26"]}, "2026-12-27T12:00", False),
        ({"dates": ["2026-12-25"], "timezone": "Asia/Tokyo"}, "2026-12-24T15:00", True),
        ({"dates": ["2026-12-25"], "timezone": "Asia/Tokyo"}, "2026-12-25T15:00", False),
        ({"weekdays": ["sat", "sun"]}, "2026-11-28T12:00", True),
        ({"weekdays": ["sat", "sun"]}, "2026-11-27T12:00", False),
        ({"times": ["09:00-17:00"]}, "2026-11-27T09:00", True),
        ({"times": ["09:00-17:00"]}, "2026-11-27T17:00", False),
        ({"times": ["00:00-24:00"]}, "2026-11-27T23:59", True),
        ({"times": ["12:00-24:00"]}, "2026-11-27T23:59", True),
        ({"times": ["12:00-24:00"]}, "2026-11-27T00:00", False),
        (OFFICE, "2026-11-27T12:00", True),
        (OFFICE, "2026-11-28T12:00", False),
        (OFFICE, "2026-11-27T18:00", False),
        (NIGHT, "2026-11-27T23:00", True),
        (NIGHT, "2026-11-28T01:00", True),
        (NIGHT, "2026-11-27T01:00", False),
        (NIGHT, "2026-11-28T23:00", False),
    ],
)
def test_a_calendar_names_days_and_times_on_the_clock_of_its_zone(fields, when, named):
    assert names(calendar(**fields), instant(when)) is named


@pytest.mark.parametrize(("kind", "closed"), [("blackout", "c"), ("allowed", "")])
def test_a_blackout_closes_what_it_names_and_allowed_the_rest(kind, closed):
    spec = calendar(kind=kind, dates=["2026-12-25"])
    held = Calendar(spec=spec, updated_at=instant("2026-01-01"), updated_by="user:ada")
    assert closed_by([held], instant("2026-12-25T12:00")) == closed
    assert bool(closed_by([held], instant("2026-12-26T12:00"))) is not bool(closed)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, ""),
        ({"dates": ["2026-02-30"]}, "dates"),
        ({"dates": ["2026-12-26/2026-12-24"]}, "dates"),
        ({"dates": ["tomorrow"]}, "dates"),
        ({"times": ["09:00-09:00"]}, "times"),
        ({"times": ["9-17"]}, "times"),
        ({"weekdays": ["monday"]}, "weekdays"),
        ({"dates": ["12-25"], "timezone": "Mars/Olympus"}, "timezone"),
        ({"dates": ["12-25"], "kind": "sometimes"}, "kind"),
        (
            {"periods": [{"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}]},
            "periods",
        ),
    ],
)
def test_what_is_wrong_with_a_calendar_is_told_by_field(fields, wrong):
    with pytest.raises(Invalid) as error:
        calendar(**fields)
    assert [e.field for e in error.value.errors] == [wrong]


def periods(*lines, timezone="UTC"):
    text = "\r\n".join(["BEGIN:VCALENDAR", *lines, "END:VCALENDAR"])
    found = read_periods(text, timezone, instant("2026-01-01"), instant("2027-01-01"))
    return [(f"{p.start:%m-%dT%H:%M}", f"{p.end:%m-%dT%H:%M}") for p in found]


def event(*lines):
    return ("BEGIN:VEVENT", *lines, "END:VEVENT")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (
            event("DTSTART;VALUE=DATE:20261225", "DTEND;VALUE=DATE:20261227"),
            [("12-25T00:00", "12-27T00:00")],
        ),
        (event("DTSTART;VALUE=DATE:20261225"), [("12-25T00:00", "12-26T00:00")]),
        (
            event("DTSTART:20260301T100000Z", "DTEND:20260301T113000Z"),
            [("03-01T10:00", "03-01T11:30")],
        ),
        (
            event("DTSTART;TZID=America/New_York:20260301T100000", "DURATION:PT1H"),
            [("03-01T15:00", "03-01T16:00")],
        ),
        (
            event('DTSTART;X="a:b";TZID=Europe/Berlin:20260701T100000', "DURATION:PT1H"),
            [("07-01T08:00", "07-01T09:00")],
        ),
        (
            event(
                "DTSTART:20260101T080000Z",
                "DTEND:20260101T090000Z",
                "RRULE:FREQ=MONTHLY;UNTIL=2026",
                " 0401T000000Z",
                "EXDATE:20260201T080000Z",
                "RDATE:20260501T080000Z",
            ),
            [
                ("01-01T08:00", "01-01T09:00"),
                ("03-01T08:00", "03-01T09:00"),
                ("05-01T08:00", "05-01T09:00"),
            ],
        ),
        (
            event("DTSTART;VALUE=DATE:20200704", "RRULE:FREQ=YEARLY"),
            [("07-04T00:00", "07-05T00:00")],
        ),
        (
            event("DTSTART;VALUE=DATE:20261225", "BEGIN:VALARM", "DTSTART:20200101", "END:VALARM"),
            [("12-25T00:00", "12-26T00:00")],
        ),
        (event("DTSTART;VALUE=DATE:20261225", "STATUS:CANCELLED"), []),
        (event("DTSTART:20260301T100000Z"), []),
        ((), []),
    ],
)
def test_events_of_an_icalendar_file_become_periods(lines, found):
    assert periods(*lines) == found


def test_an_event_keeps_its_wall_time_over_a_clock_change():
    rule = event(
        "DTSTART;TZID=Europe/Berlin:20260328T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2"
    )
    assert periods(*rule) == [("03-28T07:00", "03-28T08:00"), ("03-29T06:00", "03-29T07:00")]


@pytest.mark.parametrize(
    "lines",
    [
        event("DTSTART:yesterday"),
        event("DTSTART;TZID=Mars/Olympus:20260301T100000"),
        event("DTSTART:20260301T100000Z", "DURATION:PT1H", "RRULE:FREQ=SECONDLY"),
        event("DTSTART:20260301T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;NONSENSE=1"),
        event("DTSTART:20260301T100000Z", "DURATION:PT1H", "RRULE:"),
        event("DTSTART:20260301T100000Z", "DURATION:a while"),
        event("DTSTART:19000301T100000Z"),
    ],
)
def test_what_cannot_be_read_in_a_file_is_told(lines):
    with pytest.raises(Invalid):
        periods(*lines)


def test_a_rule_that_never_matches_ends():
    rule = event(
        "DTSTART:20260301T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31"
    )
    assert periods(*rule) == [("03-01T10:00", "03-01T11:00")]


def test_what_is_no_calendar_file_is_refused():
    with pytest.raises(Invalid):
        read_periods("<html>", "UTC", instant("2026-01-01"), instant("2027-01-01"))
