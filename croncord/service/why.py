"""Why: what became of a tick and by which decisions, and what stands between a job and its next run."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from croncord.clock import to_milliseconds
from croncord.errors import FieldError, Invalid
from croncord.lifecycle import Reason
from croncord.model import Job, Run
from croncord.ports import Ledger
from croncord.raft.state import ClusterState
from croncord.schedule import ClockChange, clock_changes, zone_info
from croncord.service.agreement import Agreement
from croncord.service.lookup import find_job
from croncord.service.nearest import Nearest, definition_at, nearest
from croncord.service.outlook import next_json, standing
from croncord.service.views import Json, iso, run_json
from croncord.service.who import Who
from croncord.story import RULES, Told, story, told_json, when
from croncord.ticks import job_schedule

_NEAR = timedelta(seconds=1)
_DAY = timedelta(days=1)


class WhyService:
    """Answers questions about single ticks."""

    def __init__(self, agreement: Agreement, ledger: Ledger) -> None:
        self._agreement = agreement
        self._ledger = ledger

    async def tell(self, who: Who, ref: str, at: str = "", *, stale: bool = False) -> Json:
        """Tell what became of the tick nearest to `at`, why, and what comes next.

        An empty `at` asks about now and tells the last row there is.
        `at` without an offset is a time on the clock of the job's zone. `reason` is the rule or
        fault that kept it from running, also where the schedule never had such a tick. Raises
        NotFound, and Invalid for a time that cannot be read.
        """
        agreed = await self._agreement.read(stale=stale)
        job = find_job(agreed, who, ref)
        now = self._agreement.now()
        asked, wall = _read_time(at, job, now)
        near = nearest(agreed, self._ledger, job, asked)
        answer = _Answer(agreed, job, asked if at else None, now, near)
        changed = _change_at(definition_at(agreed, job, asked), asked, wall)
        told = answer.of_clock_change(changed) if changed is not None else answer.of_tick()
        leader = self._agreement.leader()
        return {
            "job": job.name,
            "job_id": job.id,
            "asked": iso(asked),
            **told,
            "now": [told_json(t) for t in standing(agreed, job, now, leader=leader)],
            "next": next_json(agreed, job),
        }


class _Answer:
    """Chooses between the row, the schedule and its absence."""

    def __init__(
        self, state: ClusterState, job: Job, asked: datetime | None, now: datetime, near: Nearest
    ) -> None:
        self._state = state
        self._job = job
        self._asked = now if asked is None else asked
        self._any_row = asked is None
        self._now = now
        self._near = near

    def of_tick(self) -> Json:
        tick = self._scheduled()
        rows = self._near.rows
        row_time = rows[0].nominal_time if rows else None
        if row_time is not None and (
            self._any_row or tick is None or abs(row_time - self._asked) <= abs(tick - self._asked)
        ):
            return self._of_rows(row_time)
        if tick is None:
            return _found(None, "none", [_told("The schedule has no tick near this time.")])
        return _found(tick, *self._without_row(tick))

    def of_clock_change(self, change: ClockChange) -> Json:
        """Answer for a wall time that the clocks skipped, or passed a second time."""
        reason = Reason(change.reason)
        rows = [run for run in self._near.rows if run.nominal_time == change.instant]
        rule = f"{RULES[reason]} {self._job.spec.dst}"
        told = [Told(at=change.instant, text=change.sentence(), rule=rule)]
        for run in rows if change.reason == "dst_gap" else ():
            told += self._story(run)
        found = _found(change.instant, "clock_change", told, rows)
        return found | {"reason": str(reason)}

    def _scheduled(self) -> datetime | None:
        around = [t for t in (self._near.before, self._near.after) if t is not None]
        return min(around, key=lambda t: abs(t - self._asked), default=None)

    def _of_rows(self, tick: datetime) -> Json:
        told: list[Told] = []
        if abs(tick - self._asked) > _NEAR and not self._any_row:
            told.append(self._no_such_tick(tick))
        for run in self._near.rows:
            told += self._story(run)
        return _found(tick, "row", told, self._near.rows)

    def _story(self, run: Run) -> list[Told]:
        pinned = self._state.job_version(run.job_id, run.job_version)
        return story(run, pinned.spec if pinned else None)

    def _without_row(self, tick: datetime) -> tuple[str, list[Told]]:
        far = abs(tick - self._asked) > _NEAR and not self._any_row
        told = [self._no_such_tick(tick)] if far else []
        job = self._job
        if tick > self._now:
            text = f"The schedule makes it due at {when(tick)}; nothing is decided before its time."
            return "future", [*told, _told(text, tick, "schedule")]
        if tick < job.created_at:
            text = f"The job was created at {when(job.created_at)}, after this tick."
            return "before_creation", [*told, _told(text, job.created_at)]
        if job.next_due is not None and job.next_due <= tick:
            text = "It was due and is not decided yet: that is the first thing a leader does."
            return "undecided", [*told, _told(text, tick)]
        if tick <= job.anchor:
            text = f"The schedule was changed at {when(job.anchor)}, after this tick."
            return "before_edit", [*told, _told(text, job.anchor, "schedule")]
        text = "There is no row of it: it is older than what the ledger of this node keeps."
        return "forgotten", [*told, _told(text, tick)]

    def _no_such_tick(self, nearest_tick: datetime) -> Told:
        before, after = self._near.before, self._near.after
        ticks = [f"the last before it is {when(before)}"] if before else []
        ticks += [f"the next is {when(after)}"] if after else []
        text = f"The schedule has no tick at {when(self._asked)}"
        text += f": {' and '.join(ticks)}" if ticks else ""
        return _told(f"{text}. The nearest is {when(nearest_tick)}.", self._asked, "schedule")


def _found(tick: datetime | None, kind: str, told: list[Told], runs: Sequence[Run] = ()) -> Json:
    reason = next((str(run.reason) for run in runs if run.reason), None)
    return {
        "tick": iso(tick),
        "kind": kind,
        "reason": reason,
        "summary": _summary(told, runs),
        "sentences": [told_json(sentence) for sentence in told],
        "runs": [run_json(run) for run in runs],
    }


def _summary(told: list[Told], runs: Sequence[Run]) -> str:
    if len(runs) > 1:
        states: dict[str, int] = {}
        for run in runs:
            states[run.state] = states.get(run.state, 0) + 1
        counted = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in states.items())
        return f"{len(runs)} rows: {counted}."
    return told[-1].text


def _told(text: str, at: datetime | None = None, rule: str | None = None) -> Told:
    return Told(at=at, text=text, rule=rule)


def _read_time(at: str, job: Job, now: datetime) -> tuple[datetime, datetime | None]:
    """Return the instant, and the wall time if that is what was given."""
    if not at:
        return now, None
    try:
        read = datetime.fromisoformat(at)
        if not 1970 < read.year < 2199:
            raise ValueError(at)  # noqa: TRY301  # one answer for all that is not a time
    except ValueError:
        message = f"{at[:64]!r} is not a time such as 2027-01-01T02:30:00Z, or 2027-01-01T02:30"
        raise Invalid([FieldError("at", message)]) from None
    if read.tzinfo is not None:
        return to_milliseconds(read.astimezone(UTC)), None
    placed = read.replace(tzinfo=zone_info(job.spec.timezone)).astimezone(UTC)
    return to_milliseconds(placed), read


def _change_at(job: Job, asked: datetime, wall: datetime | None) -> ClockChange | None:
    """Return the clock change that kept the schedule from running at the time asked for."""
    spec = job.spec
    schedule = job_schedule(spec, job.id, job.anchor)
    for change in clock_changes(schedule, asked - _DAY, asked + _DAY):
        if change.reason == "dst_gap" and wall in change.walls:
            return change
        local = asked.astimezone(zone_info(spec.timezone)).replace(tzinfo=None)
        again = change.instant <= asked and change.runs == 1
        if change.reason == "dst_repeat" and again and local in change.walls:
            return change
    return None
