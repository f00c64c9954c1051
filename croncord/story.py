"""A row of the ledger as sentences: what was decided, by whom, by which rule. Pure.

Every state and every reason of a row has its sentence here; `croncord.service.why` finds the row.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from types import MappingProxyType

import msgspec

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import Attempt, JobSpec, Run
from croncord.preview import iso_utc
from croncord.schedule import zone_info


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A decision or event, as a sentence."""

    at: datetime | None
    text: str
    node: str | None = None
    """The machine that decided it or on which it happened."""
    term: int | None = None
    rule: str | None = None
    """The field of the job, or the rule of the cluster, that made it so."""


def story(run: Run, spec: JobSpec | None) -> list[Told]:
    """Tell a row from its decision to where it stands; `spec` is the definition it pinned."""
    told = [_due(run, spec), _decision(run, spec)]
    for attempt in run.attempts:
        told += _attempt(attempt, spec)
    told += _standing(run, spec)
    return told


def when(instant: datetime) -> str:
    """Return an instant as sentences write it."""
    text = f"{instant:%Y-%m-%d %H:%M:%S}"
    thousandths = instant.microsecond // 1000
    return f"{text}.{thousandths:03d} UTC" if thousandths else f"{text} UTC"


def span(seconds: float) -> str:
    """Return a length of time, rounded to what matters: `7 s`, `90 min`, `3 h`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"


def who(by: str) -> str:
    """Return who decided, as a person says it."""
    kind, _, name = by.partition(":")
    if not by:
        return "the cluster"
    return f"the leader {name}" if kind == "node" else by


_DUE = MappingProxyType(
    {
        Trigger.SCHEDULE: "The schedule made it due",
        Trigger.CATCH_UP: "The schedule made it due; nothing could launch it then",
        Trigger.EVERY_NODE: "The schedule made it due on every matching node",
        Trigger.BACKFILL: "Asked for as a backfill of this tick",
        Trigger.AFTER: "Due because a run of a job that it runs after ended",
        Trigger.MANUAL: "Asked for by hand",
        Trigger.RETRY: "A new attempt was due",
    }
)


def _due(run: Run, spec: JobSpec | None) -> Told:
    joined = run.trigger is Trigger.EVERY_NODE and run.by
    because = f"{_node(run.by)} joined the cluster" if joined else _DUE[run.trigger]
    text = f"{because}, at {when(run.nominal_time)}"
    if spec is not None and spec.timezone != "UTC":
        local = run.nominal_time.astimezone(zone_info(spec.timezone))
        text += f" ({local:%Y-%m-%d %H:%M:%S} in {spec.timezone})"
    if run.target:
        text += f", for {run.target}"
    if run.shard_count > 1:
        text += f" (part {run.shard_index + 1} of {run.shard_count})"
    rules = {
        Trigger.CATCH_UP: "misfire",
        Trigger.EVERY_NODE: "target.every_node",
        Trigger.AFTER: "after",
    }
    rule = rules.get(run.trigger, "schedule" if run.trigger is Trigger.SCHEDULE else None)
    return Told(at=run.nominal_time, text=f"{text}.", rule=rule)


def _decision(run: Run, spec: JobSpec | None) -> Told:
    node = _node(run.decided_by)
    term = run.decided_term or None
    asked = run.trigger is Trigger.MANUAL or run.trigger is Trigger.BACKFILL
    if asked:
        return Told(at=run.decided_at, text=f"{who(run.by or run.decided_by)} asked for it.")
    if run.trigger is Trigger.AFTER:
        text = f"It follows from the end of run {run.upstream}, as the cluster recorded that."
        return Told(at=run.decided_at, text=text, rule="after")
    at_once = run.finished_at == run.decided_at and run.claimed_at is None and not run.attempts
    if at_once and run.reason is not None and run.kill is None:
        text = _capital(f"{who(run.decided_by)} decided that it is {_said(run.state)}")
        return Told(at=run.decided_at, text=f"{text}.", node=node, term=term)
    late = (run.decided_at - run.nominal_time).total_seconds()
    text = f"{who(run.decided_by)} decided to launch it"
    if run.trigger is Trigger.CATCH_UP:
        policy = spec.misfire.policy if spec else "its misfire policy"
        text += f", {span(late)} late, because misfire is {policy}"
    return Told(at=run.decided_at, text=f"{_capital(text)}.", node=node, term=term)


def _attempt(attempt: Attempt, spec: JobSpec | None) -> Iterator[Told]:
    number = f"Attempt {attempt.number}"
    if attempt.claimed_at is not None:
        text = f"{number}: {attempt.node} took it."
        yield Told(at=attempt.claimed_at, text=text, node=attempt.node)
    ended = _ending(attempt.state, attempt.exit_code, attempt.signal)
    why = f": {REASONS[attempt.reason](spec)}" if attempt.reason else ""
    rule = "delivery" if attempt.state is RunState.LOST else "retries"
    yield Told(
        at=attempt.finished_at,
        text=f"{number} on {attempt.node or 'no node'} {ended}{why}. A further attempt was granted.",
        node=attempt.node or None,
        rule=rule,
    )


def _standing(run: Run, spec: JobSpec | None) -> Iterator[Told]:
    attempt = f"attempt {run.attempt} " if run.attempts else ""
    if run.assigned_at is not None and run.node is not None:
        yield Told(
            at=run.assigned_at,
            text=f"{_capital(who(run.assigned_by))} gave {attempt or 'it '}to {run.node}.",
            node=_node(run.assigned_by),
            term=run.assigned_term or None,
            rule=f"target.strategy {spec.target.strategy}" if spec else "target",
        )
    if run.claimed_at is not None:
        text = f"{run.node} took it, and the cluster agreed."
        yield Told(at=run.claimed_at, text=text, node=run.node)
    if run.started_at is not None:
        text = f"The script started on {run.node}"
        late = (run.started_at - run.due_at).total_seconds()
        text += f", {span(late)} after it was due" if late >= 1 else ""
        yield Told(at=run.started_at, text=f"{text}.", node=run.node)
    if run.kill is not None:
        yield Told(
            at=run.kill.requested_at,
            text=f"{_capital(who(run.kill.by))} asked for its end.",
            rule=run.kill.reason,
        )
    yield _now_or_end(run, spec)


def _now_or_end(run: Run, spec: JobSpec | None) -> Told:
    reason = f": {REASONS[run.reason](spec)}" if run.reason else ""
    detail = f" ({run.detail})" if run.detail else ""
    if run.state is RunState.RUNNING:
        return Told(at=None, text=f"It is running on {run.node} now.", node=run.node)
    if run.state is RunState.PENDING and run.node is not None:
        text = f"It waits for {run.node} to take it, not before {when(run.due_at)}."
        return Told(at=None, text=text, node=run.node)
    if run.state is RunState.PENDING:
        until = reason or f" until it is due at {when(run.due_at)}, or until its turn comes"
        return Told(at=None, text=f"It waits{until}{detail}.", rule=_rule(run.reason))
    ended = _ending(run.state, run.exit_code, run.signal)
    by = "" if run.claimed_at or not run.ended_by else f" by {who(run.ended_by)}"
    return Told(
        at=run.finished_at,
        text=f"It {ended}{by}{reason}{detail}.",
        node=_node(run.ended_by) or run.node,
        term=run.ended_term or None,
        rule=_rule(run.reason),
    )


def _ending(state: RunState, exit_code: int | None, signal: int | None) -> str:
    if signal is not None and state is RunState.FAILED:
        return f"failed: signal {signal} ended it"
    if state is RunState.FAILED and exit_code is not None:
        return f"failed with exit status {exit_code}"
    return _ENDINGS[state]


_ENDINGS = MappingProxyType(
    {
        RunState.PENDING: "waits",
        RunState.RUNNING: "runs",
        RunState.SUCCEEDED: "succeeded, with exit status 0",
        RunState.FAILED: "failed",
        RunState.TIMED_OUT: "was ended at its time limit",
        RunState.KILLED: "was killed",
        RunState.SKIPPED: "was skipped",
        RunState.MISSED: "was missed",
        RunState.LOST: "was given up as lost: it may or may not have finished",
    }
)


def _said(state: RunState) -> str:
    return str(state).replace("_", " ")


def _capital(text: str) -> str:
    return "T" + text[1:] if text.startswith("the ") else text


def _node(by: str) -> str | None:
    kind, _, name = by.partition(":")
    return name if kind == "node" else None


def _rule(reason: Reason | None) -> str | None:
    return RULES.get(reason) if reason is not None else None


def _misfire(spec: JobSpec | None) -> str:
    if spec is None:
        return "the misfire policy launches it no more"
    misfire = spec.misfire
    within = f"within {span(misfire.window_seconds)}"
    if misfire.policy == "skip":
        return "misfire is skip, so nothing is caught up"
    if misfire.policy == "run_once":
        return f"misfire is run_once, so only the newest missed tick {within} is caught up"
    most = f"the newest {misfire.max_runs} " if misfire.max_runs else ""
    return f"misfire is run_all, so {most}ticks {within} are caught up and no others"


Sentence = Callable[[JobSpec | None], str]


def _plain(text: str) -> Sentence:
    return lambda _spec: text


REASONS: MappingProxyType[Reason, Sentence] = MappingProxyType(
    {
        Reason.OVERLAP: _plain("an earlier run of the job was still in hand, and overlap is skip"),
        Reason.PAUSED: _plain("the job was paused"),
        Reason.CLUSTER_PAUSED: _plain("the cluster was paused"),
        Reason.CALENDAR: _plain("a calendar of the job does not allow this time"),
        Reason.DST_GAP: _plain("the clocks went forward over this time"),
        Reason.DST_REPEAT: _plain("the clocks went back, and the first pass of this time counted"),
        Reason.QUEUE_FULL: _plain("as many runs as the overlap policy allows waited already"),
        Reason.LOCK_HELD: _plain("another run holds a lock that the job needs"),
        Reason.REPLACED: _plain("a newer run took its place, because overlap is replace"),
        Reason.LATE: lambda spec: f"it was decided too late; {_misfire(spec)}",
        Reason.NO_QUORUM: lambda spec: (
            f"no leader had a majority when it was due; {_misfire(spec)}"
        ),
        Reason.NO_TARGET: _plain("no node of the cluster matches the job's target"),
        Reason.NO_CAPACITY: _plain("every matching node had as many runs as it may have"),
        Reason.NODE_DOWN: _plain("no matching node answered, or the node that had it fell silent"),
        Reason.NODE_RESTARTED: _plain("its node restarted and cannot tell how it ended"),
        Reason.START_FAILED: _plain("the script could not be started"),
        Reason.DEPENDENCY_FAILED: _plain("the job it runs after did not succeed"),
        Reason.LIMIT_MEMORY: _plain("it used more memory than its limit"),
        Reason.LIMIT_PROCESSES: _plain("it started more processes than its limit"),
        Reason.RUNNER_KILLED: _plain("what watched over the script was killed"),
        Reason.LIMIT_LOG: _plain("it printed more than its limit"),
        Reason.LIMIT_UNSUPPORTED: _plain(
            "no matching node may use control groups, which limits.cpu_percent needs"
        ),
        Reason.REQUESTED: _plain("somebody asked for its end"),
        Reason.TIMEOUT: lambda spec: (
            "its time limit passed"
            if spec is None or spec.timeout_seconds is None
            else f"its time limit of {span(spec.timeout_seconds)} passed"
        ),
        Reason.EXPIRED: _plain("it waited longer than it may"),
        Reason.DELETED: _plain("the job was deleted"),
        Reason.RESTORED: _plain(
            "the cluster was restored from a backup, which never launches what lies in the past"
        ),
    }
)

RULES: MappingProxyType[Reason, str] = MappingProxyType(
    {
        Reason.OVERLAP: "overlap",
        Reason.PAUSED: "paused",
        Reason.CLUSTER_PAUSED: "cluster pause",
        Reason.CALENDAR: "calendars",
        Reason.DST_GAP: "dst",
        Reason.DST_REPEAT: "dst",
        Reason.QUEUE_FULL: "overlap",
        Reason.LOCK_HELD: "locks",
        Reason.REPLACED: "overlap",
        Reason.LATE: "misfire",
        Reason.NO_QUORUM: "misfire",
        Reason.NO_TARGET: "target",
        Reason.NO_CAPACITY: "max_runs of the nodes",
        Reason.NODE_DOWN: "node silence",
        Reason.NODE_RESTARTED: "delivery",
        Reason.DEPENDENCY_FAILED: "after",
        Reason.LIMIT_MEMORY: "limits.memory_bytes",
        Reason.LIMIT_PROCESSES: "limits.processes",
        Reason.LIMIT_LOG: "limits.log_bytes",
        Reason.LIMIT_UNSUPPORTED: "limits.cpu_percent",
        Reason.TIMEOUT: "timeout_seconds",
        Reason.EXPIRED: "misfire",
        Reason.RESTORED: "restore",
    }
)


def told_json(told: Told) -> dict[str, object]:
    """Return a sentence as the API gives it."""
    fields: dict[str, object] = msgspec.structs.asdict(told)
    return fields | {"at": None if told.at is None else iso_utc(told.at)}
