"""What happened, in small: a kind and an id, for pages and scripts that look for themselves."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from croncord.model import Calendar, Job, Node, Run
from croncord.raft import commands
from croncord.raft.port import Replica, ReplicaStatus
from croncord.raft.state import ClusterState, Outcome
from croncord.service.lookup import sees_job_id
from croncord.service.who import Who

Event = dict[str, Any]
EventListener = Callable[[Event], None]


_FOR_EVERYBODY = frozenset({"node", "calendar", "cluster"})
"""Kinds of events that belong to no job."""


class EventFeed:
    """Turns what is agreed into events, once for all who listen.

    Events: `{index, kind: job|run|node|calendar|cluster, ...}` with ids, names and states, in agreed
    order; and `progress`, which is not agreed on and comes about once a second.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._listeners: dict[object, EventListener] = {}
        replica.subscribe(self._applied)
        replica.on_status_change(self._status_changed)

    def listen(self, listener: EventListener) -> Callable[[], None]:
        """Call the listener for each event from now on; returns how to stop that."""
        key = object()
        self._listeners[key] = listener

        def stop() -> None:
            self._listeners.pop(key, None)

        return stop

    def listen_as(self, who: Who, listener: EventListener) -> Callable[[], None]:
        """Call the listener for each event about what exists for the caller."""

        def tell(event: Event) -> None:
            if _sees(self._replica.state, who, event):
                listener(event)

        return self.listen(tell)

    def _applied(self, index: int, command: commands.AnyCommand, outcome: Outcome) -> None:
        if outcome.refusal is None and self._listeners:
            for event in _events(self._replica.state, command, outcome):
                self._tell({"index": index} | event)

    def tell_progress(self, percents: Mapping[str, float]) -> None:
        """Tell how far running scripts are: `{kind: progress, id, job, job_id, percent}`."""
        index = self._replica.status().applied_index
        for run_id, percent in percents.items() if self._listeners else ():
            run = self._replica.state.open_runs.get(run_id)
            if run is not None:
                told = {"id": run.id, "job": run.job, "job_id": run.job_id, "percent": percent}
                self._tell({"index": index, "kind": "progress"} | told)

    def _status_changed(self, status: ReplicaStatus) -> None:
        self._tell(
            {
                "index": status.applied_index,
                "kind": "cluster",
                "change": "leader",
                "leader": status.leader,
                "term": status.term,
                "quorum": status.has_quorum,
            }
        )

    def _tell(self, event: Event) -> None:
        for listener in tuple(self._listeners.values()):
            listener(event)


def _sees(state: ClusterState, who: Who, event: Event) -> bool:
    if event["kind"] == "job":
        return who.may_job("read", event["tags"])
    if "job_id" in event:
        return sees_job_id(state, who, event["job_id"])
    return event["kind"] in _FOR_EVERYBODY or not who.is_limited


def _events(state: ClusterState, command: commands.AnyCommand, outcome: Outcome) -> Iterable[Event]:
    value = outcome.value
    if isinstance(value, Job):
        change = "deleted" if isinstance(command, commands.DeleteJob) else "saved"
        tags = list(value.spec.tags)
        yield {"kind": "job", "id": value.id, "name": value.name, "change": change, "tags": tags}
    elif isinstance(value, Calendar):
        change = "deleted" if isinstance(command, commands.DeleteCalendar) else "saved"
        yield {"kind": "calendar", "name": value.spec.name, "change": change}
    elif isinstance(value, Node):
        yield {"kind": "node", "name": value.name}
    elif isinstance(command, commands.MarkNodes):
        yield from ({"kind": "node", "name": name} for name in command.up + command.down)
    elif isinstance(command, commands.PauseCluster):
        yield {"kind": "cluster", "change": "paused" if command.paused else "resumed"}
    runs = {run.id: run for run in outcome.rows}
    for run_id in _touched(command):
        run = runs.get(run_id) or state.open_runs.get(run_id)
        if run is not None:
            runs[run_id] = run
    runs |= {run.id: run for run in _opened(state, command, runs.values())}
    yield from (_run_event(run) for run in runs.values())


def _opened(
    state: ClusterState, command: commands.AnyCommand, known: Iterable[Run]
) -> Iterable[Run]:
    """Yield open runs that came into being beside those that the command names."""
    for row in known:
        if not row.is_open:
            for job in state.jobs_after(row.job):
                yield from (run for run in state.runs_of_job(job.id) if run.upstream == row.id)
    match command:
        case commands.Backfill() | commands.TriggerRun():
            candidates: Iterable[Run] = state.runs_of_job(command.job_id)
        case commands.PutNode():
            candidates = state.open_runs.values()
        case _:
            candidates = ()
    yield from (run for run in candidates if run.decided_at == command.at)


def _touched(command: commands.AnyCommand) -> Iterable[str]:
    match command:
        case commands.TriggerRun() | commands.RequestKill() | commands.ReportKill():
            yield command.run_id
        case commands.DecideTicks():
            yield from (made.run_id for batch in command.jobs for made in batch.decisions)
        case commands.AssignRuns():
            yield from (assignment.run_id for assignment in command.assignments)
        case commands.ClaimRuns():
            yield from (claim.run_id for claim in command.claims)
        case commands.FinishRuns():
            yield from (result.run_id for result in command.results)
        case commands.ConcludeRuns():
            yield from (conclusion.run_id for conclusion in command.conclusions)
        case commands.CloseLogs():
            yield from (closure.run_id for closure in command.closures)


def _run_event(run: Run) -> Event:
    return {
        "kind": "run",
        "id": run.id,
        "job": run.job,
        "job_id": run.job_id,
        "state": str(run.state),
        "node": run.node,
        "attempt": run.attempt,
    }
