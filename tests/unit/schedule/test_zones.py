"""Zones: which names count, where the data come from, and what the evaluator assumes of them."""

import struct
import subprocess
import sys
import zoneinfo
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.errors import ScheduleError
from croncord.schedule import check_schedule, next_times, tzdata_version, zone_info, zone_names
from croncord.schedule.zones import DAY, Zone

FIRST = int(datetime(1970, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2040, 1, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Europe/Berln", "'Europe/Berln' is not a known time zone; did you mean Europe/Berlin"),
        ("europe/berlin", "'europe/berlin' is not a known time zone; did you mean Europe/Berlin?"),
        ("Berlin", "'Berlin' is not a known time zone; did you mean Europe/Berlin?"),
        ("New York", "'New York' is not a known time zone; did you mean America/New_York?"),
        ("utc", "'utc' is not a known time zone; did you mean UTC?"),
        ("Europe", "'Europe' is not a known time zone"),
        ("Europe/", "'Europe/' is not a known time zone"),
        ("../../etc/passwd", "'../../etc/passwd' is not a known time zone"),
        ("/etc/localtime", "'/etc/localtime' is not a known time zone"),
        ("posix/Europe/Berlin", "'posix/Europe/Berlin' is not a known time zone"),
        ("right/UTC", "'right/UTC' is not a known time zone"),
        ("localtime", "'localtime' means something else on every machine; name the place"),
        ("posixrules", "'posixrules' means something else on every machine; name the place"),
        ("Factory", "'Factory' means something else on every machine; name the place"),
        ("UTC\0", "'UTC\\x00' is not a known time zone"),
        ("+01:00", "'+01:00' is not a known time zone"),
        ("", "a time zone is missing"),
        (None, "a time zone is missing"),
        ("x" * 10_000, f"'{'x' * 61}…' is not a known time zone"),
    ],
)
def test_an_unknown_zone_is_refused_under_its_own_field_with_a_suggestion(name, message):
    for refuse in (
        lambda: check_schedule("@daily", name),
        lambda: next_times("@every 5s", name, datetime(2026, 1, 1, tzinfo=UTC), 1),
    ):
        with pytest.raises(ScheduleError) as caught:
            refuse()
        [error] = caught.value.errors
        assert error.field == "timezone"
        assert error.message.startswith(message)
        assert "Europe/Berlin" in caught.value.hint


def test_every_listed_zone_loads_and_no_other_is_known():
    names = zone_names()
    assert {"UTC", "Europe/Berlin", "Australia/Lord_Howe", "EST5EDT"} < set(names)
    assert len(names) > 590
    for name in names:
        assert zone_info(name).key == name
    # All that Python would offer, but for what depends on the machine.
    extra = zoneinfo.available_timezones() - set(names)
    assert all(
        z in {"localtime", "posixrules", "Factory"} or z.startswith(("right/", "posix/"))
        for z in extra
    )


def test_the_machines_own_zone_data_are_not_used(tmp_path):
    fake = tmp_path / "Europe"
    fake.mkdir()
    wrong = resources.files("tzdata") / "zoneinfo" / "Asia" / "Tokyo"
    (fake / "Berlin").write_bytes(wrong.read_bytes())
    program = (
        "import zoneinfo; from datetime import datetime, UTC\n"
        "from croncord.schedule import next_times\n"
        "after = datetime(2026, 7, 1, tzinfo=UTC)\n"
        "assert after.astimezone(zoneinfo.ZoneInfo('Europe/Berlin')).hour == 9\n"
        "print(next_times('0 2 * * *', 'Europe/Berlin', after, 1)[0].isoformat())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONTZPATH": str(tmp_path), "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "2026-07-02T00:00:00+00:00"


def test_the_version_of_the_zone_data_is_told():
    import tzdata  # noqa: PLC0415  # only here: its own word for the same thing

    assert tzdata_version() == tzdata.IANA_VERSION


def offset_changes(data):
    """Read (instant, offset from then on) out of a zone file, by the format's description, RFC 9636."""

    def counts(at):
        return struct.unpack(">6l", data[at + 20 : at + 44])

    utc, std, leap, times, types, chars = counts(0)
    at = 44 + times * 5 + types * 6 + chars + leap * 8 + std + utc  # past the 32-bit part
    utc, std, leap, times, types, chars = counts(at)
    at += 44
    instants = struct.unpack(f">{times}q", data[at : at + 8 * times])
    kinds = data[at + 8 * times : at + 9 * times]
    at += 9 * times
    offsets = [struct.unpack(">l", data[at + 6 * i : at + 6 * i + 4])[0] for i in range(types)]
    changes = [(-(1 << 62), offsets[0])]
    for instant, kind in zip(instants, kinds, strict=True):
        if offsets[kind] != changes[-1][1]:
            changes.append((instant, offsets[kind]))
    return changes


def test_every_change_in_every_zone_file_is_found_to_the_second():
    seen = set()
    for name in zone_names():
        data = (resources.files("tzdata") / "zoneinfo").joinpath(*name.split("/")).read_bytes()
        changes = [c for c in offset_changes(data) if FIRST < c[0] < LAST]
        if data in seen or not changes:
            continue
        seen.add(data)
        # What the search for changes, and for what runs after one, takes for granted.
        for (at, offset), (later, other) in pairwise(changes):
            assert later - at > DAY >= abs(offset - other), name
        zone = Zone(zone_info(name))
        here = zone.stretch(FIRST)
        found = []
        while here.end <= changes[-1][0]:
            there = zone.stretch(here.end)
            if there.offset != here.offset:
                assert there.before == here.offset
                found.append((there.start, there.offset))
            here = there
        assert found == changes, name
    assert len(seen) > 250


@given(
    st.sampled_from(zone_names()),
    st.lists(st.integers(FIRST, LAST), min_size=1, max_size=6),
)
def test_a_stretch_has_the_offset_of_the_zone_at_both_ends_whatever_was_asked_before(name, asked):
    zone = Zone(zone_info(name))
    for instant in asked:
        stretch = zone.stretch(instant)
        assert stretch.start <= instant < stretch.end
        for inside in (stretch.start, instant, stretch.end - 1):
            local = datetime.fromtimestamp(inside, zone_info(name))
            assert local.utcoffset().total_seconds() == stretch.offset
        before = datetime.fromtimestamp(stretch.start - 1, zone_info(name)).utcoffset()
        assert stretch.before in {stretch.offset, before.total_seconds()}
