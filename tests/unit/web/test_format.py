from datetime import UTC, datetime, timedelta

import pytest

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.web import format as fmt

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

DURATIONS = [
    (None, "–"), (0, "0 ms"), (0.012, "12 ms"), (0.4, "0.4 s"), (1, "1 s"), (9.44, "9.4 s"),
    (9.99, "10 s"), (59.4, "59 s"), (60, "1 min"), (192, "3 min 12 s"), (3600, "1 h"),
    (3661, "1 h 1 min"), (90_000, "1 d 1 h"), (86_400 * 400, "400 d"),
]  # fmt: skip


@pytest.mark.parametrize(("seconds", "words"), DURATIONS)
def test_a_length_of_time_has_at_most_two_units(seconds, words):
    assert fmt.duration(seconds) == words


RELATIVES = [
    (0, "now"), (0.4, "now"), (-12, "12 s ago"), (-200, "3 min ago"), (-3700, "1 h ago"),
    (-90_000, "1 d ago"), (42, "in 42 s"), (260, "in 4 min"), (28_800, "in 8 h"),
    (29_100, "in 8 h 5 min"), (115_200, "in 1 d 8 h"),
]  # fmt: skip


@pytest.mark.parametrize(("seconds", "words"), RELATIVES)
def test_a_time_is_told_as_seen_from_now(seconds, words):
    assert fmt.relative(NOW + timedelta(seconds=seconds), NOW) == words
    assert fmt.relative(None, NOW) == "–"


def test_times_carry_the_letters_of_their_zone():
    assert fmt.stamp("2026-11-25T01:30:00.000Z", "Europe/Berlin") == "Wed 25 Nov 02:30 CET"
    assert fmt.stamp("2026-07-01T00:30:05.000Z", "Europe/Berlin", seconds=True) == (
        "Wed 1 Jul 02:30:05 CEST"
    )
    assert fmt.stamp("2026-11-25T01:30:00.000Z") == "Wed 25 Nov 01:30 UTC"
    assert fmt.stamp("2026-11-25T01:30:00.000Z", "Asia/Kathmandu").endswith("UTC+0545")
    assert fmt.full_stamp("2026-11-25T01:30:00.000Z") == "25 Nov 2026 01:30:00 UTC"
    assert fmt.stamp(None) == fmt.full_stamp("") == fmt.clock_time(None) == "–"


def test_a_time_without_a_zone_is_read_as_utc():
    assert fmt.instant("2026-11-24") == datetime(2026, 11, 24, tzinfo=UTC)
    assert fmt.instant("") is None
    with pytest.raises(ValueError, match="yesterday"):
        fmt.instant("yesterday")


@pytest.mark.parametrize(
    ("size", "words"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (312_000, "312 kB"),
     (16 * 1024**2, "17 MB"), (10**15, "1000 TB")],
)  # fmt: skip
def test_sizes_are_decimal(size, words):
    assert fmt.byte_size(size) == words


@pytest.mark.parametrize(
    ("code", "number", "words"),
    [(0, None, "success"), (1, None, "general error"), (127, None, "command not found"),
     (126, None, "found, but not executable"), (137, None, "ended by SIGKILL, often out of memory"),
     (143, None, "ended by SIGTERM"), (None, 15, "ended by SIGTERM"), (None, 63, "ended by signal 63"),
     (None, None, ""), (3, None, ""), (200, None, "")],
)  # fmt: skip
def test_exit_codes_speak(code, number, words):
    assert fmt.exit_words(code, number) == words


def test_every_state_reason_and_trigger_has_words_of_its_own():
    assert len({fmt.look(state).word for state in RunState}) == len(RunState)
    assert len({fmt.look(state).icon for state in RunState}) == len(RunState)
    assert all(reason in fmt.REASONS for reason in Reason)
    assert all(trigger in fmt.TRIGGERS for trigger in Trigger)
    assert fmt.look("some_new_state").word == "Some new state"
    assert fmt.reason_words("some_new_reason") == "some new reason"
    assert fmt.reason_words(None) == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [("user:ada", "ada"), ("token:deploy", "token deploy"), ("link:signin", "a sign-in link"),
     ("", ""), ("node", "node")],
)  # fmt: skip
def test_people_go_by_their_names(name, words):
    assert fmt.person(name) == words


def test_clock_differences_have_a_sign():
    assert [fmt.offset_words(ms) for ms in (None, 0, 12, -730, 1300, -61_000)] == [
        "–", "0 ms", "+12 ms", "−730 ms", "+1.3 s", "−61.0 s",
    ]  # fmt: skip


def test_counts_and_sentences_read_well():
    assert fmt.count(1, "job") == "1 job"
    assert fmt.count(1234, "job") == "1,234 jobs"
    assert fmt.count(2, "node is", "nodes are") == "2 nodes are"
    assert fmt.sentence("no job is named 'x'") == "No job is named 'x'."
    assert fmt.sentence("Done!") == "Done!"
    assert fmt.sentence("") == ""
