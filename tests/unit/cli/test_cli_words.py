from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.cli import words

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (0.4, "now"),
        (1, "in 1 s"),
        (-59, "59 s ago"),
        (90, "in 1 min 30 s"),
        (-120, "2 min ago"),
        (125, "in 2 min 5 s"),
        (-240, "4 min ago"),
        (179.7, "in 3 min"),
        (899.9, "in 15 min"),
        (3599, "in 60 min"),
        (3600, "in 1 h"),
        (7199, "in 2 h"),
        (5400, "in 1 h 30 min"),
        (-7 * 3600, "7 h ago"),
        (26 * 3600, "in 1 d 2 h"),
        (-400 * 86400, "400 d ago"),
    ],
)
def test_a_time_is_told_as_its_distance_from_now(seconds, said):
    moment = (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    assert words.relative(moment, NOW) == said


def test_a_time_that_is_not_there_is_a_dash():
    assert words.relative(None, NOW) == "-"
    assert words.absolute(None, NOW) == "-"


def test_an_absolute_time_is_in_utc_to_the_second():
    assert words.absolute("2026-11-24T13:30:00.250+02:00", NOW).startswith(
        "2026-11-24 11:30:00 UTC"
    )


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(None, "-"), (0, "0 ms"), (999, "999 ms"), (3210, "3.2 s"), (125_000, "2 min 5 s")],
)
def test_how_long_something_took_keeps_the_digits_that_matter(milliseconds, said):
    assert words.took(milliseconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (4100, "4.1 kB"), (16_000_000, "16.0 MB")],
)
def test_sizes_have_units(count, said):
    assert words.size(count) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (0, "0"),
        (True, "yes"),
        (False, "no"),
        (["a", "b"], "a, b"),
        ({"rack": "7", "ssd": "yes"}, "rack=7 ssd=yes"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
    ],
)
def test_any_value_becomes_one_line_that_cannot_command_the_terminal(value, said):
    assert words.cell(value) == said


@given(st.text())
def test_no_text_gets_an_unprintable_character_through(text):
    assert words.printable(text).isprintable()


@given(st.text(), st.integers(1, 20))
def test_clipped_text_never_takes_more_room_than_there_is(text, room):
    assert words.width(words.clip(text, room)) <= room


def test_wide_characters_count_twice():
    assert words.width("日本") == 4
    assert words.clip("日本語", 5) == "日本…"
