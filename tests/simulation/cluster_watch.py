"""Rules that are judged at the very entry that may break one, from the agreed log alone.

Each watch sees every entry, keeps books of its own, and says what is wrong; what the state's own
indexes and counters say is not used.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from cluster_telling import told

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import CalendarSpec, Job, Run, run_id
from croncord.policy import matches
from croncord.raft.commands import (
    AnyCommand,
    AssignRuns,
    DecideTicks,
    DeleteJob,
    PauseJob,
    PutCalendar,
    PutJob,
    PutNode,
    SetLabelLimits,
    TriggerRun,
)

LATE_AFTER_SECONDS = 30.0
PLANNED_SECONDS = 12.0
"""A decision may be so much older than its entry in the log."""
PAUSES = frozenset({Reason.PAUSED, Reason.CLUSTER_PAUSED})
_FAILED = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.LOST})
_BAD_END = _FAILED | {RunState.KILLED, RunState.MISSED}

Found = Iterator[tuple[str, str]]


class Watch:
    """Sees every entry of the log."""

    def __init__(self, account) -> None:
        self.account = account

    @property
    def state(self):
        return self.account.state

    def before(self, command: AnyCommand) -> None:
        """Look at the state before a command."""

    def after(self, _command: AnyCommand, _outcome) -> Found:
        """Judge what a command did that was not refused."""
        yield from ()


class Locks(Watch):
    """No lock is held by more runs than the smallest number that any of them names."""

    def after(self, command, _outcome) -> Found:
        if not isinstance(command, AssignRuns | DecideTicks):
            return
        places: dict[str, list[int]] = {}
        for run in self.state.open_runs.values():
            locks = self.account.definition_of(run).locks if run.node is not None else ()
            for lock in locks:
                name, _, count = lock.partition(":")
                places.setdefault(name, []).append(int(count or 1))
        for name, counts in places.items():
            if len(counts) > min(counts):
                yield "lock", f"{name} is held by {len(counts)} runs with room for {min(counts)}"


class Room(Watch):
    """No node, and no label, gets more runs than it may have."""

    def __init__(self, account) -> None:
        super().__init__(account)
        self._limits_since = 0.0
        self._had: dict[str, str | None] = {}

    def before(self, command) -> None:
        if isinstance(command, AssignRuns | DecideTicks):
            self._had = {run.id: run.node for run in self.state.open_runs.values()}

    def after(self, command, _outcome) -> Found:
        if isinstance(command, SetLabelLimits):
            self._limits_since = self.account.time
        if not isinstance(command, AssignRuns | DecideTicks):
            return
        runs = [run for run in self.state.open_runs.values() if run.node is not None]
        given = {run.node for run in runs if self._had.get(run.id) != run.node}
        loads = Counter(run.node for run in runs)
        for name in sorted(given & self.state.nodes.keys()):
            node = self.state.nodes[name]
            if node.max_runs and loads[name] > node.max_runs:
                yield "room", f"{name} has {loads[name]} runs and may have {node.max_runs}"
            labels = {f"{key}={value}" for key, value in node.labels.items()}
            for label in labels & self.state.label_limits.keys():
                together = sum(
                    loads[other.name]
                    for other in self.state.nodes.values()
                    if label in {f"{key}={value}" for key, value in other.labels.items()}
                )
                if together > self.state.label_limits[label]:
                    yield "room", f"nodes with {label} have {together} runs"


class Backfills(Watch):
    """No backfill has more runs in hand than it may have at once."""

    def after(self, command, _outcome) -> Found:
        if not isinstance(command, AssignRuns):
            return
        runs = [run for run in self.state.open_runs.values() if run.backfill and run.node]
        for name, count in Counter(run.backfill for run in runs).items():
            allowed = next(run.max_parallel for run in runs if run.backfill == name)
            if count > allowed:
                yield "backfill", f"{name} has {count} runs in hand and may have {allowed}"


class Dependents(Watch):
    """Each end of a run starts what is to run after it, once, and nothing else."""

    def __init__(self, account) -> None:
        super().__init__(account)
        self._closed: set[str] = set()
        self.wanted: dict[tuple[str, str], bool] = {}
        """Ended run and dependent job, to whether that runs."""

    def after(self, _command, outcome) -> Found:
        made = {}
        for row in (*outcome.rows, *self.state.open_runs.values()) if outcome.rows else ():
            if row.upstream:
                made.setdefault((row.upstream, row.job_id), []).append(row)
        for row in outcome.rows:
            is_correction = row.id in self._closed
            self._closed.add(row.id)
            if not is_correction:
                yield from self._ended(row, made)

    def _ended(self, row: Run, made: dict[tuple[str, str], list[Run]]) -> Found:
        upstream = self.state.jobs.get(row.job_id)
        if upstream is None or not row.fire_dependents:
            return
        bad = row.state in _BAD_END or row.reason is Reason.DEPENDENCY_FAILED
        if not bad and row.state is not RunState.SUCCEEDED:
            return
        for job in self.state.jobs.values():
            wishes = {entry.on for entry in job.spec.after if entry.job == upstream.name}
            runs = bool(wishes & {"always", "failure" if bad else "success"})
            rows = made.get((row.id, job.id), [])
            if runs or "success" in wishes:
                self.wanted[row.id, job.id] = runs
                if not rows:
                    yield "unexplained", f"{job.id} has no row after {told(row)}"
            for made_row in rows:
                is_told = made_row.reason is Reason.DEPENDENCY_FAILED
                if wishes and is_told is runs:
                    yield "after", f"{wishes} of {told(row)} made {told(made_row)}"


class Failures(Watch):
    """A job that fails as often in a row as it may is paused by that very end."""

    def __init__(self, account) -> None:
        super().__init__(account)
        self._counts: Counter[str] = Counter()
        self._paused: dict[str, bool] = {}
        self._closed: set[str] = set()

    def after(self, command, outcome) -> Found:
        for row in outcome.rows:
            is_correction = row.id in self._closed
            self._closed.add(row.id)
            job = self.state.jobs.get(row.job_id)
            if row.state is RunState.SUCCEEDED:
                self._counts[row.job_id] = 0
            elif row.state in _FAILED and not is_correction and job is not None:
                self._counts[row.job_id] += 1
                limit = job.spec.pause_after_failures
                if limit and self._counts[row.job_id] >= limit and not job.spec.paused:
                    yield "runaway", f"{job.id} goes on after {self._counts[job.id]} failures"
        if isinstance(command, PutJob | PauseJob):
            job = self.state.jobs[command.job_id]
            if self._paused.get(job.id) and not job.spec.paused:
                self._counts[job.id] = 0
        if isinstance(command, DeleteJob):
            self._counts.pop(command.job_id, None)
        for row in outcome.rows:
            job = self.state.jobs.get(row.job_id)
            if job is not None and job.failures != self._counts[job.id]:
                yield "runaway", f"{job.id} counts {job.failures}, not {self._counts[job.id]}"
        self._paused = {job.id: job.spec.paused for job in self.state.jobs.values()}


class Calendars(Watch):
    """A calendar keeps ticks from running, and only those it names."""

    def __init__(self, account) -> None:
        super().__init__(account)
        self._changed: dict[str, float] = {}

    def after(self, command, outcome) -> Found:
        if isinstance(command, PutCalendar):
            self._changed[command.calendar.name] = self.account.time
        if not isinstance(command, DecideTicks):
            return
        for batch in command.jobs:
            job = self.state.jobs.get(batch.job_id)
            if job is None or batch.job_id not in outcome.value or not job.spec.calendars:
                continue
            named = [self.state.calendars[name] for name in job.spec.calendars]
            recent = self.account.time - PLANNED_SECONDS
            if any(self._changed[calendar.spec.name] > recent for calendar in named):
                continue  # it may have been decided by what the calendar said before
            for made in batch.decisions:
                closed = any(_closes(calendar.spec, made.nominal_time) for calendar in named)
                if closed and made.reason not in {Reason.CALENDAR, *PAUSES}:
                    yield "calendar", f"{job.id} is closed at {made.nominal_time}: {made}"
                if not closed and made.reason is Reason.CALENDAR:
                    yield "calendar", f"{job.id} is open at {made.nominal_time}: {made}"


def _closes(spec: CalendarSpec, tick) -> bool:
    clock = f"{tick:%H:%M}"
    spans = (span.split("-") for span in spec.times)
    names = any(
        start <= clock < end if start < end else (clock >= start or clock < end)
        for start, end in spans
    ) or any(period.start <= tick < period.end for period in spec.periods)
    return names is (spec.kind == "blackout")


CLOCK_SET_BACK = timedelta(minutes=1)
"""More than this is no haste but a leader with another clock."""


class Pace(Watch):
    """Caught-up runs are as many as allowed, start as fast as allowed; jitter stays in its bounds."""

    def __init__(self, account) -> None:
        super().__init__(account)
        self._newest: dict[tuple[str, int], object] = {}

    def after(self, command, outcome) -> Found:
        if not isinstance(command, DecideTicks):
            return
        for batch in command.jobs:
            job = self.state.jobs.get(batch.job_id)
            if job is None or batch.job_id not in outcome.value:
                continue
            pending = [made for made in batch.decisions if made.state is RunState.PENDING]
            late = [made for made in pending if _is_late(command, made)]
            yield from self._caught_up(job, late)
            for made in pending:
                delay = (made.due_at - made.nominal_time).total_seconds()
                most = job.spec.jitter_seconds
                if not _is_late(command, made) and not 0 <= delay < (most or 0.001):
                    yield "jitter", f"{job.id} with {most} s starts {delay} s late: {made}"

    def _caught_up(self, job: Job, late) -> Found:
        misfire = job.spec.misfire
        ticks = {made.nominal_time for made in late}
        most = {"skip": 0, "run_once": 1, "run_all": misfire.max_runs}[misfire.policy]
        if most is not None and len(ticks) > most:
            yield "late", f"{job.id} catches up {len(ticks)} ticks with {misfire}"
        if misfire.per_minute is None or not late:
            return
        gap = timedelta(milliseconds=60_000 // misfire.per_minute)
        key = (job.id, job.version)
        starts = sorted(made.due_at for made in late)
        starts = [*filter(None, [self._newest.get(key)]), *starts]
        for earlier, later in pairwise(starts):
            if -CLOCK_SET_BACK < later - earlier < gap:
                yield "pace", f"{job.id} starts at {earlier} and {later} with {misfire}"
        self._newest[key] = starts[-1]


def _is_late(command, made) -> bool:
    return (command.at - made.nominal_time).total_seconds() > LATE_AFTER_SECONDS


class Targets(Watch):
    """What is for every node, or for one that joins, has a row for each, once."""

    def __init__(self, account) -> None:
        super().__init__(account)
        self._nodes: frozenset[str] = frozenset()
        self._open: frozenset[str] = frozenset()
        self._keys: set[tuple[str, str]] = set()

    def before(self, command) -> None:
        if isinstance(command, PutNode | TriggerRun):
            self._nodes = frozenset(self.state.nodes)
            self._open = frozenset(self.state.open_runs)

    def after(self, command, outcome) -> Found:
        if not isinstance(command, PutNode | TriggerRun):
            return
        fresh = [run for run in self.state.open_runs.values() if run.id not in self._open]
        rows = [*outcome.rows, *fresh]
        if isinstance(command, TriggerRun):
            yield from self._asked_for(command, outcome, rows)
        elif command.node.name not in self._nodes:
            for job in self.state.jobs.values():
                wanted = job.spec.target.on_join and matches(job.spec.target, command.node)
                found = [
                    run for run in rows if run.job_id == job.id and run.trigger == "every_node"
                ]
                if len(found) != wanted:
                    yield "unexplained", f"{command.node.name} joined: {[told(r) for r in found]}"

    def _asked_for(self, command: TriggerRun, outcome, rows: list[Run]) -> Found:
        mine = [run for run in rows if run.job_id == command.job_id and run.trigger == "manual"]
        if not mine:
            return  # asked for before
        key = (command.job_id, command.idempotency_key)
        if key in self._keys:
            yield "double", f"asked for with one key: {[told(run) for run in mine]}"
        self._keys.add(key)
        job = self.state.jobs[command.job_id]
        names = [command.node]
        if job.spec.target.every_node and not command.node:
            nodes = self.state.nodes.values()
            names = sorted(n.name for n in nodes if matches(job.spec.target, n)) or [""]
        if sorted(run.target for run in mine) != names:
            yield "unexplained", f"asked for on {names}: {[told(run) for run in mine]}"
        if outcome.value.id != command.run_id:
            yield "identity", f"{outcome.value.id} is not what was asked for"


class OtherNode(Watch):
    """A retry that asks for another node gets one when there is one."""

    def after(self, command, _outcome) -> Found:
        if not isinstance(command, AssignRuns) or not self.account.is_calm:
            return
        for assignment in command.assignments:
            run = self.state.open_runs.get(assignment.run_id)
            if run is None or not run.attempts or run.node != assignment.node:
                continue
            spec = self.account.definition_of(run)
            if not spec.retries.other_node or run.node != run.attempts[-1].node or run.target:
                continue
            leader = command.by.partition(":")[2]
            others = [
                node.name
                for node in self.state.nodes.values()
                if matches(spec.target, node) and node.up and not node.draining
                if node.name not in (leader, run.node)
            ]
            if others:
                yield "placement", f"again on {run.node}, not on {others}: {told(run)}"


WATCHES = (
    Locks,
    Room,
    Backfills,
    Dependents,
    Failures,
    Calendars,
    Pace,
    Targets,
    OtherNode,
)


def tick_identity(job_id: str, run: Run) -> bool:
    """Whether a row has the name that its tick gives it."""
    return run.id == run_id(job_id, run.nominal_time, target=run.target)


def is_tick(run: Run) -> bool:
    """Whether a row is that of a tick of the schedule."""
    joined = run.trigger is Trigger.EVERY_NODE and bool(run.by)
    return not joined and run.trigger in (Trigger.SCHEDULE, Trigger.CATCH_UP, Trigger.EVERY_NODE)
