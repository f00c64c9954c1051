"""The tables in tests/data/schedule, written by hand from the calendars and laws of the places."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from croncord.schedule import compile_schedule, next_times

TABLES = Path(__file__).parents[2] / "data" / "schedule"


class Row(NamedTuple):
    zone: str
    expr: str
    policy: str
    after: datetime
    due: list[datetime]


def rows():
    for table in sorted(TABLES.glob("*.txt")):
        zone = ""
        for number, line in enumerate(table.read_text("utf-8").splitlines(), 1):
            if line.startswith("zone = "):
                zone = line.removeprefix("zone = ")
            elif line and not line.startswith("#"):
                expr, policy, after, due = (cell.strip() for cell in line.split("|"))
                row = Row(
                    zone,
                    expr,
                    policy,
                    datetime.fromisoformat(after),
                    [datetime.fromisoformat(d) for d in due.split()],
                )
                yield pytest.param(row, id=f"{table.stem}:{number}")


@pytest.mark.parametrize("row", list(rows()))
def test_a_schedule_is_due_when_the_table_says(row):
    wanted = [due.astimezone(UTC) for due in row.due]
    # A row without times, or an @at, has no further ones to show.
    asked = len(wanted) + (not wanted or row.expr.startswith("@at"))
    assert next_times(row.expr, row.zone, row.after, asked, row.policy) == wanted


@pytest.mark.parametrize("row", [p for p in rows() if p.values[0].due])
def test_the_times_between_two_instants_are_those_that_follow_one_another(row):
    schedule = compile_schedule(row.expr, row.zone, row.policy, anchor=row.after)
    wanted = [due.astimezone(UTC) for due in row.due]
    assert schedule.between(row.after, wanted[-1], 1000) == wanted
    assert schedule.between(row.after, wanted[-1], 1) == wanted[:1]
    assert schedule.between(wanted[0], wanted[-1], 1000) == wanted[1:]
