import json


def test_a_calendar_is_set_shown_listed_and_deleted(croncord, node):
    status, out, err = croncord(
        "calendar", "set", "office", "--allowed", "--weekday", "mon", "--time", "09:00-17:00",
        "--tz", "Europe/Berlin",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert out.startswith("office: jobs run only in these times.\n")
    assert node.state.calendars["office"].spec.times == ("09:00-17:00",)
    assert "mon; 09:00-17:00" in croncord("calendar", "list")[1]
    assert json.loads(croncord("calendar", "show", "office", "--json")[1])["weekdays"] == ["mon"]
    assert croncord("calendar", "delete", "office")[:2] == (0, "Deleted office.\n")
    assert croncord("calendar", "show", "office")[0] == 5


def test_a_calendar_file_is_imported(croncord, tmp_path):
    path = tmp_path / "holidays.ics"
    path.write_text(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20200704\nRRULE:FREQ=YEARLY\n"
        "END:VEVENT\nEND:VCALENDAR\n"
    )
    status, out, _ = croncord("calendar", "import", "holidays", str(path))
    assert (status, out.splitlines()[0]) == (0, "holidays: jobs do not run in these times.")
    assert "period" in out
    path.write_bytes(b"\xff")
    assert croncord("calendar", "import", "holidays", str(path))[0] == 2
