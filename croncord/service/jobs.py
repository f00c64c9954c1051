"""Jobs: create, read, change, delete, start by hand."""

import secrets
from collections.abc import Iterable
from datetime import datetime

from croncord.errors import FieldError, Invalid, NotFound, VersionChanged
from croncord.lifecycle import RunState
from croncord.model import Job, JobSpec, milliseconds, run_id
from croncord.policy import matches
from croncord.preview import Preview, preview
from croncord.raft.commands import DeleteJob, PauseJob, PutJob, TriggerRun
from croncord.raft.state import VERSIONS_KEPT, ClusterState
from croncord.service.agreement import Agreement
from croncord.service.edits import version_rows
from croncord.service.job_check import JobCheck, SyntaxCheck
from croncord.service.lookup import find_job, require_definition, seen_jobs
from croncord.service.merge_patch import merge_patch
from croncord.service.paging import page
from croncord.service.placing import placement
from croncord.service.runs import RunService
from croncord.service.views import JobStates, Json, Rows, job_json, spec_json
from croncord.service.who import Who
from croncord.ticks import first_undecided
from croncord.validation import READ_ONLY, decode_script, environment_errors, read_job

PREVIEW_MAX = 100
SEARCHED_SCRIPT_CHARACTERS = 4096
JOB_STATES = ("paused", "running", "waiting", *RunState)
SORTS = ("name", "next_run", "last_run", "updated_at")


class JobService:
    """What people do with jobs."""

    def __init__(
        self, agreement: Agreement, runs: RunService, check_syntax: SyntaxCheck | None
    ) -> None:
        self._agreement = agreement
        self._runs = runs
        self._check = JobCheck(agreement, check_syntax)

    # Reading

    async def list(
        self,
        who: Who,
        *,
        q: str = "",
        tag: str = "",
        state: str = "",
        node: str = "",
        sort: str = "name",
        limit: int = 100,
        cursor: str = "",
        stale: bool = False,
    ) -> Json:
        """Return a page of jobs without their scripts: `{items, next_cursor, total}`.

        All words of `q` must occur in name, description, owner, tags or the beginning of the
        script. `node` keeps the jobs that may run there. `sort` may begin with `-`.
        """
        who.require("viewer")
        if state and state not in JOB_STATES:
            raise _not_one_of("state", state, JOB_STATES)
        key = sort.removeprefix("-")
        if key not in SORTS:
            raise _not_one_of("sort", sort, (*SORTS, *(f"-{name}" for name in SORTS)))
        agreed = await self._agreement.read(stale=stale)
        on = agreed.nodes.get(node)
        if node and on is None:
            raise Invalid([FieldError("node", f"no node is named {node[:128]!r}")])
        words = q.lower().split()
        states = JobStates(agreed)
        found = [
            job
            for job in seen_jobs(agreed, who)
            if (not tag or tag in job.spec.tags)
            and (on is None or matches(job.spec.target, on))
            and (not words or _has_words(job.spec, words))
            and (not state or states.of(job) == state)
        ]
        shown, next_cursor = page(
            ((_sort_key(job, key, agreed), job.id, job) for job in found),
            descending=sort.startswith("-"),
            limit=limit,
            cursor=cursor,
        )
        items = [job_json(job, agreed, script=False) for job in shown]
        return {"items": items, "next_cursor": next_cursor, "total": len(found)}

    async def get(self, who: Who, ref: str, *, stale: bool = False) -> Json:
        """Return a job by name or id."""
        agreed = await self._agreement.read(stale=stale)
        return _shown(find_job(agreed, who, ref), agreed)

    async def versions(self, who: Who, ref: str) -> Rows:
        """Return the definitions that are kept, newest first, each with what it changed."""
        agreed = await self._agreement.read()
        return version_rows(agreed.versions.get(find_job(agreed, who, ref).id, ()))

    def preview(
        self, expr: str, tz: str, *, after: datetime | None = None, n: int = 10, dst: str = "cron"
    ) -> Preview:
        """Return the next times of an expression, in English and with notes."""
        if not 1 <= n <= PREVIEW_MAX:
            raise Invalid([FieldError("n", f"must be a whole number from 1 to {PREVIEW_MAX}")])
        return preview(expr, tz, after or self._agreement.now(), n, dst)

    async def validate(self, who: Who, fields: Json) -> Json:
        """Check a definition as create would, without creating."""
        who.require("viewer")
        return await self._check.report(who, fields, await self._agreement.read())

    # Changing

    async def create(self, who: Who, fields: Json) -> Json:
        """Create a job. Raises Invalid, and Conflict when the name is taken."""
        who.require_some_job("edit")
        return await self._put(who, secrets.token_hex(8), read_job(fields), expect_version=0)

    async def replace(
        self, who: Who, ref: str, fields: Json, *, if_match: int | None = None
    ) -> Json:
        """Replace a job's definition, or create it under the name `ref`."""
        old = find_job(await self._agreement.read(), who, ref, "edit", missing_ok=True)
        if old is not None:
            spec = read_job({"name": old.name} | fields)
            return await self._put(who, old.id, spec, expect_version=if_match)
        if if_match is not None:
            raise VersionChanged("the job does not exist", hint="Leave out If-Match to create it.")
        spec = read_job({"name": ref} | fields)
        if spec.name != ref:
            message = f"is {spec.name!r}, but the address says {ref!r}"
            raise Invalid([FieldError("name", message)])
        return await self._put(who, secrets.token_hex(8), spec, expect_version=0)

    async def patch(self, who: Who, ref: str, patch: Json, *, if_match: int | None = None) -> Json:
        """Change some fields by a JSON merge patch (RFC 7396); null gives the default back."""
        who.require_some_job("edit")
        if fixed := [name for name in patch if name in READ_ONLY]:
            raise Invalid([FieldError(name, "is read-only") for name in fixed])
        job = find_job(await self._agreement.read(), who, ref, "edit")
        spec = read_job(merge_patch(spec_json(job.spec), patch))
        expect = job.version if if_match is None else if_match
        return await self._put(who, job.id, spec, expect_version=expect)

    async def set_script(
        self, who: Who, ref: str, data: bytes, *, if_match: int | None = None
    ) -> Json:
        """Replace the script by the bytes of a file."""
        return await self.patch(who, ref, {"script": decode_script(data)}, if_match=if_match)

    async def restore(
        self, who: Who, ref: str, version: int, *, if_match: int | None = None
    ) -> Json:
        """Save a definition that is kept as the newest version; whether it is paused stays.

        Raises NotFound when that version is kept no more.
        """
        agreed = await self._agreement.read()
        job = find_job(agreed, who, ref, "edit")
        old = agreed.job_version(job.id, version)
        if old is None:
            hint = f"The last {VERSIONS_KEPT} are kept; see the list of versions."
            raise NotFound(f"version {version} of {job.name!r} is not kept", hint=hint)
        spec = read_job(spec_json(old.spec) | {"paused": job.spec.paused})
        expect = job.version if if_match is None else if_match
        return await self._put(who, job.id, spec, expect_version=expect)

    async def delete(
        self, who: Who, ref: str, *, kill: bool = False, if_match: int | None = None
    ) -> None:
        """Delete a job; with `kill` what runs is ended too."""
        job = find_job(await self._agreement.read(), who, ref, "edit")
        await self._agreement.change(
            lambda at: DeleteJob(
                at=at, by=who.name, job_id=job.id, kill=kill, expect_version=if_match
            )
        )

    async def pause(self, who: Who, ref: str) -> Json:
        """Skip the job's ticks from now on."""
        return await self._set_paused(who, ref, paused=True)

    async def resume(self, who: Who, ref: str) -> Json:
        """Launch the job's ticks again."""
        return await self._set_paused(who, ref, paused=False)

    async def run(
        self,
        who: Who,
        ref: str,
        *,
        environment: dict[str, str] | None = None,
        node: str = "",
        idempotency_key: str = "",
        fire_dependents: bool = True,
    ) -> Json:
        """Start the job now and return the run; the same idempotency key gives the first run.

        An every-node job gets a run per matching node; the first is returned.
        """
        agreed = await self._agreement.read()
        job = find_job(agreed, who, ref, "run")
        errors = list(environment_errors(environment or {}))
        on = agreed.nodes.get(node)
        if node and on is None:
            errors.append(FieldError("node", f"no node is named {node[:128]!r}"))
        elif on is not None and not matches(job.spec.target, on):
            errors.append(FieldError("node", f"{node!r} does not match the job's target"))
        if len(idempotency_key) > 128 or not idempotency_key.isprintable():
            errors.append(FieldError("idempotency_key", "must be at most 128 printable characters"))
        if errors:
            raise Invalid(errors)
        key = f"manual:{idempotency_key or secrets.token_hex(8)}"
        value = await self._agreement.change(
            lambda at: TriggerRun(
                at=at,
                by=who.name,
                job_id=job.id,
                run_id=run_id(job.id, at, key, node),
                environment=environment or {},
                node=node,
                idempotency_key=idempotency_key,
                fire_dependents=fire_dependents,
            )
        )
        return self._runs.started(who, value)

    async def _put(
        self, who: Who, job_id: str, spec: JobSpec, *, expect_version: int | None
    ) -> Json:
        state = self._agreement.state
        require_definition(state, who, spec, state.jobs.get(job_id))

        def command(at: datetime) -> PutJob:
            return PutJob(
                at=at,
                by=who.name,
                job_id=job_id,
                spec=spec,
                next_due=first_undecided(spec, self._agreement.state.jobs.get(job_id), job_id, at),
                expect_version=expect_version,
                must_exist=expect_version != 0,
            )

        job: Job = await self._agreement.change(command)
        return _shown(job, self._agreement.state)

    async def _set_paused(self, who: Who, ref: str, *, paused: bool) -> Json:
        job = find_job(await self._agreement.read(), who, ref, "run")
        changed: Job = await self._agreement.change(
            lambda at: PauseJob(at=at, by=who.name, job_id=job.id, paused=paused)
        )
        return _shown(changed, self._agreement.state)


def _shown(job: Job, state: ClusterState) -> Json:
    return job_json(job, state, where=placement(state, job.spec))


def _has_words(spec: JobSpec, words: Iterable[str]) -> bool:
    script = spec.script[:SEARCHED_SCRIPT_CHARACTERS]
    text = "\n".join((spec.name, spec.description, spec.owner, *spec.tags, script)).lower()
    return all(word in text for word in words)


def _sort_key(job: Job, key: str, state: ClusterState) -> str | int | None:
    if key == "name":
        return job.name
    if key == "next_run":
        return None if job.spec.paused or job.next_due is None else milliseconds(job.next_due)
    if key == "updated_at":
        return milliseconds(job.updated_at)
    recent = state.recent.get(job.id)
    return milliseconds(recent[-1].nominal_time) if recent else None


def _not_one_of(field: str, value: str, allowed: Iterable[str]) -> Invalid:
    return Invalid([FieldError(field, f"{value[:64]!r} is not one of {', '.join(allowed)}")])
