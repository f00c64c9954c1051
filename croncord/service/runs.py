"""Runs: the launch ledger, open rows and final ones together; kill, run again, resolve."""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from croncord.credentials import Scope
from croncord.errors import Conflict, CronCordError, FieldError, Invalid, NotFound
from croncord.keepers import keepers
from croncord.lifecycle import OPEN_STATES, Reason, RunState, Trigger
from croncord.model import Attempt, LogInfo, Run, run_id
from croncord.ports import Ledger, LogKey, LogStatus, Peers, RunFilter, RunLogs, Sighting
from croncord.quorum import confirmed
from croncord.raft.commands import FinishRuns, RequestKill, RunResult, TriggerRun
from croncord.raft.state import ClusterState
from croncord.service.agreement import Agreement
from croncord.service.lookup import job_ids_in_reach, sees_job_id
from croncord.service.paging import check_limit
from croncord.service.views import Json, Rows, run_json, short_run_json
from croncord.service.waiting import waits_for
from croncord.service.who import Who

COPIES_SECONDS = 1.0
KILL_GRACE_SECONDS_MAX = 3600
Holders = list[str]
_RUN_ID = re.compile(r"[0-9a-v]{24}")


class RunService:
    """What people do with runs."""

    def __init__(
        self,
        agreement: Agreement,
        ledger: Ledger,
        logs: RunLogs,
        peers: Peers | None,
        *,
        name: str,
        sightings: Callable[[], Sequence[Sighting]],
    ) -> None:
        self._agreement = agreement
        self._ledger = ledger
        self._logs = logs
        self._peers = peers
        self._name = name
        self._sightings = sightings

    # Reading

    async def list(
        self,
        who: Who,
        *,
        job: str = "",
        state: str = "",
        reason: str = "",
        node: str = "",
        trigger: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str = "",
        stale: bool = False,
    ) -> Json:
        """Return a page of runs, newest nominal time first: `{items, next_cursor}`.

        `since` is inclusive, `until` exclusive; both are about the nominal time.
        """
        who.require("viewer")
        check_limit(limit)
        _check_choice("state", state, RunState)
        _check_choice("reason", reason, Reason)
        _check_choice("trigger", trigger, Trigger)
        if cursor and not _RUN_ID.fullmatch(cursor):
            raise Invalid([FieldError("cursor", "is not one that this list gave")])
        agreed = await self._agreement.read(stale=stale)
        where = RunFilter(
            state=state,
            reason=reason,
            node=node,
            trigger=trigger,
            since=since,
            until=until,
        )
        rows = self.rows(agreed, who, where, job=job, limit=limit + 1, before=cursor)
        shown = rows[:limit]
        more = len(rows) > limit
        told = self._progress()
        items = [run_json(_with_progress(run, told)) for run in shown]
        return {"items": items, "next_cursor": shown[-1].id if more else None}

    async def get(self, who: Who, run_id: str, *, stale: bool = False) -> Json:
        """Return a run, with the nodes that say they hold its output."""
        agreed = await self._agreement.read(stale=stale)
        run = self._find(agreed, who, run_id)
        waits = ""
        if run.state is RunState.PENDING:
            waits = waits_for(agreed, run, self._agreement.now(), self._agreement.leader()).text
        holders = self._holders(run.id, run.replicas)
        held, earlier = await asyncio.gather(
            self._copies(LogKey(run.id, run.attempt), holders),
            asyncio.gather(*(self._whole(run.id, each) for each in run.attempts)),
        )
        log = run.log
        if run.is_open and held:
            log = max(held.values(), key=lambda status: status.size).info
        whole = [name for name, status in held.items() if run.is_open or _is_whole(run.log, status)]
        durable = [status.durable_bytes for status in held.values()]
        safe = confirmed(durable, len(run.replicas)) if run.replicas else 0
        told = _with_progress(run, self._progress())
        return run_json(
            told,
            copies=whole,
            earlier_copies=earlier,
            log=log,
            confirmed_bytes=safe,
            waits_for=waits,
        )

    async def log(
        self, who: Who, run_id: str, *, attempt: int | None = None, stale: bool = False
    ) -> tuple[LogKey, Holders, Json]:
        """Return the key of an attempt's output, the nodes that should hold it, and the run."""
        run = self._find(await self._agreement.read(stale=stale), who, run_id)
        if attempt in (None, run.attempt):
            holders = self._holders(run.id, run.replicas)
            return LogKey(run.id, run.attempt), holders, run_json(run)
        for earlier in run.attempts:
            if earlier.number == attempt:
                key = LogKey(run.id, earlier.number)
                holders = self._holders(run.id, earlier.replicas)
                return key, holders, run_json(run, log=earlier.log)
        message = f"the run has {run.attempt} attempt{'s' if run.attempt > 1 else ''}"
        raise NotFound(message, hint="Leave out `attempt` for the last one.")

    async def recent(self, who: Who, job_ids: Iterable[str], n: int = 30) -> dict[str, Rows]:
        """Return the last `n` rows of each job in short, newest first, from this node's own copy.

        In short: `{id, state, nominal_time, duration_ms}`, enough for a strip; `list` gives all.
        """
        agreed = self._agreement.state
        return {
            job_id: [
                short_run_json(run)
                for run in self._page(agreed, RunFilter(job_id=job_id), limit=n, before="")
            ]
            for job_id in job_ids
            if sees_job_id(agreed, who, job_id)
        }

    def started(self, who: Who, value: Run | str) -> Json:
        """Turn the outcome of a TriggerRun into a run: the row, or the id of one long since final."""
        if isinstance(value, Run):
            return run_json(value)
        return run_json(self._find(self._agreement.state, who, value))

    # Changing

    async def kill(self, who: Who, run_id: str, *, grace_seconds: int | None = None) -> Json:
        """Ask for the end of a run; asking again changes nothing. Conflict when it has ended."""
        who.require_some_job("run")
        if grace_seconds is not None and not 0 <= grace_seconds <= KILL_GRACE_SECONDS_MAX:
            message = f"must be a whole number from 0 to {KILL_GRACE_SECONDS_MAX}"
            raise Invalid([FieldError("grace_seconds", message)])
        run = self._find(await self._agreement.read(), who, run_id, "run")
        changed: Run = await self._agreement.change(
            lambda at: RequestKill(at=at, by=who.name, run_id=run.id, grace_seconds=grace_seconds)
        )
        return run_json(changed)

    async def rerun(self, who: Who, run_id_: str) -> Json:
        """Start the run's job again, by hand, with the run's own environment and target."""
        agreed = await self._agreement.read()
        run = self._find(agreed, who, run_id_, "run")
        if run.job_id not in agreed.jobs:
            raise NotFound(f"the job {run.job!r} was deleted", hint="Create it again first.")
        target = run.target if run.target in agreed.nodes else ""
        key = f"manual:{secrets.token_hex(8)}"
        value = await self._agreement.change(
            lambda at: TriggerRun(
                at=at,
                by=who.name,
                job_id=run.job_id,
                run_id=run_id(run.job_id, at, key, target),
                environment=run.environment,
                node=target,
            )
        )
        return self.started(who, value)

    async def resolve(
        self, who: Who, run_id: str, *, state: Literal["succeeded", "failed"], note: str = ""
    ) -> Json:
        """Close a lost run by hand, as somebody who knows how it ended."""
        run = self._find(await self._agreement.read(), who, run_id, "run")
        if run.state is not RunState.LOST or run.node is None:
            raise Conflict(f"the run is {run.state}, not lost", hint="Only a lost run is resolved.")
        node = run.node
        finished: tuple[str, ...] = await self._agreement.change(
            lambda at: FinishRuns(
                at=at,
                by=who.name,
                node=node,
                results=(
                    RunResult(
                        run_id=run.id,
                        attempt=run.attempt,
                        state=RunState(state),
                        started_at=run.started_at,
                        finished_at=run.finished_at or at,
                        log=run.log,
                        excerpt=run.excerpt,
                        detail=f"Resolved by {who.name}" + (f": {note}" if note else ""),
                    ),
                ),
            )
        )
        if run.id not in finished:
            raise Conflict("the run is too old to be resolved, or was concluded meanwhile")
        return run_json(self._find(self._agreement.state, who, run.id))

    # Finding

    def _progress(self) -> dict[str, float]:
        """Return what running scripts told as `::progress`, as their nodes last reported it."""
        told: dict[str, float] = {}
        for sighting in self._sightings():
            told |= sighting.vitals.progress
        return told

    def rows(
        self,
        agreed: ClusterState,
        who: Who,
        where: RunFilter,
        *,
        job: str = "",
        limit: int,
        before: str = "",
    ) -> Sequence[Run]:
        """Return open and final rows in the caller's reach, newest first.

        `job` may be an id or a name; a name that no job has means deleted jobs that had it.
        """
        where = msgspec.structs.replace(where, job_ids=job_ids_in_reach(agreed, who))
        if not job:
            return self._page(agreed, where, limit=limit, before=before)
        found: list[Run] = []
        for job_id in _job_ids(agreed, job):
            of_job = msgspec.structs.replace(where, job_id=job_id)
            found += self._page(agreed, of_job, limit=limit, before=before)
        return sorted(found, key=lambda run: run.id, reverse=True)[:limit]

    def row(self, agreed: ClusterState, who: Who, run_id: str) -> Run:
        """Return the row of that id. Raises NotFound."""
        return self._find(agreed, who, run_id)

    def _find(self, agreed: ClusterState, who: Who, wanted: str, act: Scope = "read") -> Run:
        """Return a run to whose job the caller may do that. Raises NotFound, Forbidden."""
        who.require_some_job(act)
        run = agreed.open_runs.get(wanted) or self._ledger.get(wanted) or agreed.run(wanted)
        if run is None or not sees_job_id(agreed, who, run.job_id):
            raise NotFound(
                f"no run has the id {wanted[:64]!r}", hint="It may be older than the ledger keeps."
            )
        if who.grants:
            job = agreed.jobs.get(run.job_id)
            who.require_job(act, job.spec.tags if job else ())
        return run

    def _page(
        self, agreed: ClusterState, where: RunFilter, *, limit: int, before: str
    ) -> Sequence[Run]:
        if where.job_id:
            candidates: Iterable[Run] = agreed.runs_of_job(where.job_id)
        else:
            candidates = agreed.open_runs.values()
        found = {
            run.id: run
            for run in candidates
            if (not before or run.id < before) and _is_wanted(run, where)
        }
        if where.state not in OPEN_STATES:
            rows = self._ledger.page(where, limit=limit, before=before)
            found |= {run.id: run for run in rows}
        return sorted(found.values(), key=lambda run: run.id, reverse=True)[:limit]

    def _holders(self, run_id: str, replicas: Sequence[str]) -> Holders:
        """Return the nodes that should hold an output: who was named, and who replaced them."""
        now = keepers(run_id, replicas, tuple(self._agreement.state.nodes))
        return list(dict.fromkeys((*replicas, *now)))

    async def _copies(self, key: LogKey, holders: Iterable[str]) -> dict[str, LogStatus]:
        """Ask each holder; those that do not answer in time are left out."""
        names = list(holders)
        answers = await asyncio.gather(*(self._held_by(name, key) for name in names))
        return {
            name: status for name, status in zip(names, answers, strict=True) if status is not None
        }

    async def _whole(self, run_id: str, ended: Attempt) -> Holders:
        """Return who has all of the output of an attempt that another one followed."""
        holders = self._holders(run_id, ended.replicas)
        held = await self._copies(LogKey(run_id, ended.number), holders)
        return [name for name, status in held.items() if _is_whole(ended.log, status)]

    async def _held_by(self, name: str, key: LogKey) -> LogStatus | None:
        if name == self._name:
            return self._logs.status(key)
        node = self._agreement.state.nodes.get(name)
        if node is None or self._peers is None or not node.up:
            return None
        try:
            async with asyncio.timeout(COPIES_SECONDS):
                return await self._peers.log_status(node.http, key)
        except (CronCordError, TimeoutError):
            return None  # a node that does not answer is not named as a holder


def open_log(run: Json, key: LogKey) -> bool:
    """Whether the attempt's output may still grow."""
    return bool(run["attempt"] == key.attempt and run["state"] in OPEN_STATES)


def _with_progress(run: Run, told: Mapping[str, float]) -> Run:
    """Return a running run with its progress as of now; the rest of it is known at its end."""
    if run.state is not RunState.RUNNING or run.id not in told:
        return run
    messages = msgspec.structs.replace(run.messages, progress=told[run.id])
    return msgspec.structs.replace(run, messages=messages)


def _is_whole(log: LogInfo, status: LogStatus) -> bool:
    """Whether a copy of an output that is over has all of it, as far as that is known."""
    return not log.sha256 or status.info.sha256 == log.sha256


def _job_ids(agreed: ClusterState, ref: str) -> tuple[str, ...]:
    """Return the ids that a job's id or name stands for; an unknown one may be a deleted job's id."""
    job = agreed.job_named(ref)
    if ref in agreed.jobs or job is None:
        return agreed.deleted.get(ref, (ref,))
    return (job.id,)


def _is_wanted(run: Run, where: RunFilter) -> bool:
    exact = msgspec.structs.asdict(where)
    return (
        all(
            not exact[name] or getattr(run, name) == exact[name]
            for name in ("job_id", "state", "reason", "node", "trigger")
        )
        and (where.job_ids is None or run.job_id in where.job_ids)
        and (where.since is None or run.nominal_time >= where.since)
        and (where.until is None or run.nominal_time < where.until)
    )


def _check_choice(field: str, value: str, choices: type[StrEnum]) -> None:
    if value and value not in list(choices):
        message = f"{value[:64]!r} is not one of {', '.join(choices)}"
        raise Invalid([FieldError(field, message)])
