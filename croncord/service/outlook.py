"""Why a job does not run now, when it runs next, and which nodes it may run on."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from croncord.calendars import closed_by
from croncord.lifecycle import RunState
from croncord.model import Job, Run
from croncord.raft.state import ClusterState
from croncord.service.placing import placement
from croncord.service.views import Json, PlacementView, Time, View, iso
from croncord.service.waiting import waits_for
from croncord.story import Told, span, when, who
from croncord.ticks import ticks_after

_RUNS_TOLD = 20
_TICKS_MAX = 10_000


class NextView(View, frozen=True, kw_only=True):
    """When and where a job runs next."""

    at: Time | None
    placement: PlacementView
    text: str


def next_json(state: ClusterState, job: Job) -> Json:
    """Tell when the next run is and where it may go."""
    where = placement(state, job.spec)
    due = None if job.spec.paused else _next_open(state, job)
    if due is None:
        text = "No run will start by itself."
        if job.next_due is not None and not job.spec.paused:
            text = "No run will start by itself: its calendars let none of the next ticks run."
    else:
        target = job.spec.target
        place = "each of" if target.every_node else f"one of (target.strategy {target.strategy})"
        on = f"on {place} {', '.join(where.available)}" if where.available else "nowhere yet"
        text = f"The next tick is {when(due)}, {on}; {where.text}."
    view: Json = msgspec.to_builtins(NextView(at=iso(due), placement=where, text=text))
    return view


def _next_open(state: ClusterState, job: Job) -> datetime | None:
    """Return the next tick that the job's calendars let run."""
    calendars = state.calendars_of(job)
    if not calendars or job.next_due is None:
        return job.next_due
    just_before = job.next_due - timedelta(milliseconds=1)
    ticks = islice(ticks_after(job.spec, job.id, job.anchor, just_before), _TICKS_MAX)
    return next((tick for tick in ticks if not closed_by(calendars, tick)), None)


def standing(state: ClusterState, job: Job, now: datetime, *, leader: str | None) -> list[Told]:
    """Say what keeps the job from running now, or that it runs."""
    told = [] if leader else [_plain("No leader has a majority, so nothing is launched.")]
    told += _rules(state, job)
    runs = sorted(state.runs_of_job(job.id), key=lambda run: run.id)
    told += [_run(state, run, now, leader) for run in runs[:_RUNS_TOLD]]
    if len(runs) > _RUNS_TOLD:
        told.append(_plain(f"{len(runs) - _RUNS_TOLD} more runs wait."))
    if not told:
        told.append(_idle(job, now))
    return told


def _rules(state: ClusterState, job: Job) -> Iterator[Told]:
    if job.spec.paused:
        by = f" by {who(job.paused_by)}" if job.paused_by else ""
        text = f"The job is paused{by}"
        if job.paused_by == "cluster":
            text = f"The cluster paused the job after {job.failures} failures in a row"
        since = f" since {when(job.paused_at)}" if job.paused_at else ""
        yield Told(at=job.paused_at, text=f"{text}{since}.", rule="paused")
    if state.paused:
        yield _plain("The cluster is paused.", "cluster pause")
    elif not placement(state, job.spec).available:
        yield _plain(f"No node can take it: {placement(state, job.spec).text}.", "target")


def _run(state: ClusterState, run: Run, now: datetime, leader: str | None) -> Told:
    if run.state is RunState.RUNNING:
        since = run.started_at or run.claimed_at
        text = f"Run {run.id} is running on {run.node}"
        text += f" since {when(since)}." if since else "."
        return Told(at=since, text=text, node=run.node)
    return waits_for(state, run, now, leader)


def _idle(job: Job, now: datetime) -> Told:
    due = job.next_due
    if due is not None and due > now:
        wait = span(round((due - now).total_seconds()))
        text = f"Nothing is due now: the next tick is {when(due)}, in {wait}."
        return Told(at=due, text=text, rule="schedule")
    if due is not None:
        return Told(at=due, text=f"The tick of {when(due)} is being decided.", rule="schedule")
    if job.spec.after:
        names = ", ".join(dependency.job for dependency in job.spec.after)
        return _plain(f"It runs when a run of {names} ends.", "after")
    if job.spec.schedule == ("@manual",):
        return _plain("The job has no schedule: it runs when somebody asks for it.", "schedule")
    return _plain("The schedule is over: nothing is due any more.", "schedule")


def _plain(text: str, rule: str | None = None) -> Told:
    return Told(at=None, text=text, rule=rule)
