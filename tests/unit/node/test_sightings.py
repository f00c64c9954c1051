from datetime import UTC, datetime, timedelta

import pytest
from builders import vitals

from croncord.clock import ManualClock
from croncord.node.sightings import SightingBook

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def told_at(at):
    return vitals("n1", at)


async def offsets_after(reports):
    """What is believed of a clock after reports, given as (seconds until it, how far behind it is)."""
    clock = ManualClock(NOON)
    book = SightingBook(clock)
    believed = []
    for seconds, behind_seconds in reports:
        await clock.advance(seconds)
        book.record(told_at(clock.now() - timedelta(seconds=behind_seconds)))
        believed.append(book.offsets_ms()["n1"])
    return believed


@pytest.mark.parametrize(
    ("reports", "believed"),
    [
        ([(0, 0.02), (1, 0.01)], [-20, -10]),
        # Three that waited while the leader was stopped, then a quick one.
        ([(0, 8), (0, 7), (0, 6), (1, 0.01)], [0, 0, 0, -10]),
        # A clock that is slow indeed.
        ([(0, 8), (1, 8.01), (1, 8), (1, 8)], [0, 0, 0, -8000]),
        # Being under way makes no clock look fast.
        ([(0, -9)], [9000]),
    ],
    ids=["in step", "late reports", "slow", "fast"],
)
async def test_a_clock_is_called_slow_only_when_reports_say_so_for_some_time(reports, believed):
    assert await offsets_after(reports) == believed


async def test_who_has_not_reported_since_the_election_or_for_a_while_is_quiet():
    clock = ManualClock(NOON)
    book = SightingBook(clock)
    book.record(told_at(clock.now()))
    await clock.advance(1)
    assert book.quiet(["n1", "n2"], since=0.0, after=2.5) == {"n2"}
    assert book.quiet(["n1"], since=0.5, after=2.5) == {"n1"}
    await clock.advance(2)
    assert book.quiet(["n1"], since=0.0, after=2.5) == {"n1"}
