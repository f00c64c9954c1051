"""`/api/v1/jobs`."""

from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from croncord.errors import NotFound, VersionChanged
from croncord.model import SCRIPT_BYTES_MAX, JobSpec, Value
from croncord.service.views import Json, RunView
from croncord.web.api.answers import JobAnswer, JobPage, JobVersions, Report
from croncord.web.api.body import read_bytes
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, ReadQuery, json_answer, no_content

JOBS = "/api/v1/jobs"
JOB = JOBS + "/{job}"


class JobsQuery(ReadQuery, frozen=True, kw_only=True):
    """Which jobs, in which order."""

    q: str = ""
    """Words that must all occur in name, description, owner, tags or script."""
    tag: str = ""
    state: str = ""
    node: str = ""
    """Jobs that may run there."""
    sort: str = "name"
    """`name`, `next_run`, `last_run` or `updated_at`; with `-` in front the other way round."""
    limit: int = 100
    cursor: str = ""


class DeleteQuery(Value, frozen=True, kw_only=True):
    """How to delete."""

    kill: bool = False
    """Also end what runs."""


class RunBody(Value, frozen=True, kw_only=True):
    """How to start a job by hand."""

    environment: dict[str, str] = msgspec.field(default_factory=dict)
    node: str = ""
    idempotency_key: str = ""
    fire_dependents: bool = True
    """Whether jobs that run after this one do so when this run ends."""


async def list_jobs(call: Call[JobsQuery]) -> web.Response:
    """GET /jobs."""
    query = call.query
    page = await call.desk.jobs.list(
        call.who,
        q=query.q,
        tag=query.tag,
        state=query.state,
        node=query.node,
        sort=query.sort,
        limit=query.limit,
        cursor=query.cursor,
        stale=bool(query.stale),
    )
    return json_answer(page)


async def create(call: Call[NoQuery]) -> web.Response:
    """POST /jobs."""
    job = await call.desk.jobs.create(call.who, await call.fields())
    return _job(job, status=201)


async def validate(call: Call[NoQuery]) -> web.Response:
    """POST /jobs:validate."""
    return json_answer(await call.desk.jobs.validate(call.who, await call.fields()))


async def get(call: Call[ReadQuery]) -> web.Response:
    """GET /jobs/{job}."""
    stale = bool(call.query.stale)
    return _job(await call.desk.jobs.get(call.who, call.part("job"), stale=stale))


async def replace(call: Call[NoQuery]) -> web.Response:
    """PUT /jobs/{job}: 201 when it was created."""
    await _must_exist_if_asked(call)
    ref, fields = call.part("job"), await call.fields()
    job = await call.desk.jobs.replace(call.who, ref, fields, if_match=call.if_match())
    return _job(job, status=201 if job["version"] == 1 else 200)


async def patch(call: Call[NoQuery]) -> web.Response:
    """PATCH /jobs/{job}: a JSON merge patch."""
    await _must_exist_if_asked(call)
    ref, fields = call.part("job"), await call.fields()
    return _job(await call.desk.jobs.patch(call.who, ref, fields, if_match=call.if_match()))


async def set_script(call: Call[NoQuery]) -> web.Response:
    """PUT /jobs/{job}/script: the raw bytes of a file."""
    await _must_exist_if_asked(call)
    data = await read_bytes(call.request, at_most=SCRIPT_BYTES_MAX, what="a script")
    ref, version = call.part("job"), call.if_match()
    return _job(await call.desk.jobs.set_script(call.who, ref, data, if_match=version))


async def delete(call: Call[DeleteQuery]) -> web.Response:
    """DELETE /jobs/{job}."""
    await _must_exist_if_asked(call)
    await call.desk.jobs.delete(
        call.who, call.part("job"), kill=call.query.kill, if_match=call.if_match()
    )
    return no_content()


async def pause(call: Call[NoQuery]) -> web.Response:
    """POST /jobs/{job}/pause."""
    return _job(await call.desk.jobs.pause(call.who, call.part("job")))


async def resume(call: Call[NoQuery]) -> web.Response:
    """POST /jobs/{job}/resume."""
    return _job(await call.desk.jobs.resume(call.who, call.part("job")))


async def run(call: Call[NoQuery]) -> web.Response:
    """POST /jobs/{job}/run."""
    wanted = await call.body(RunBody, optional=True)
    key = wanted.idempotency_key or call.request.headers.get("Idempotency-Key", "")
    started = await call.desk.jobs.run(
        call.who,
        call.part("job"),
        environment=wanted.environment,
        node=wanted.node,
        idempotency_key=key,
        fire_dependents=wanted.fire_dependents,
    )
    headers = {"Location": f"/api/v1/runs/{started['id']}"}
    return json_answer(started, status=202, headers=headers)


async def versions(call: Call[NoQuery]) -> web.Response:
    """GET /jobs/{job}/versions."""
    return json_answer({"items": await call.desk.jobs.versions(call.who, call.part("job"))})


async def restore(call: Call[NoQuery]) -> web.Response:
    """POST /jobs/{job}/versions/{version}/restore."""
    text = call.part("version")
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise NotFound(f"{text[:64]!r} is not the number of a version", hint="See the versions.")
    job = await call.desk.jobs.restore(
        call.who, call.part("job"), int(text), if_match=call.if_match()
    )
    return _job(job)


async def _must_exist_if_asked(call: Call[Any]) -> None:
    """Honour `If-Match: *`: only a job that exists is changed."""
    if call.request.headers.get("If-Match", "").strip() != "*":
        return
    try:
        await call.desk.jobs.get(call.who, call.part("job"))
    except NotFound:
        raise VersionChanged("the job does not exist", hint="Leave out If-Match.") from None


def _job(job: Json, *, status: int = 200) -> web.Response:
    headers = {"ETag": f'"{job["version"]}"'}
    if status == web.HTTPCreated.status_code:
        headers["Location"] = f"{JOBS}/{quote(job['name'], safe='')}"
    return json_answer(job, status=status, headers=headers)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=JOBS,
        handler=list_jobs,
        summary="List jobs, without their scripts",
        query=JobsQuery,
        answer=JobPage,
    ),
    Endpoint(
        method="POST",
        path=JOBS,
        handler=create,
        summary="Create a job",
        role="operator",
        body=JobSpec,
        answer=JobAnswer,
        status=201,
    ),
    Endpoint(
        method="POST",
        path=JOBS + ":validate",
        handler=validate,
        summary="Check a definition without creating a job",
        body=JobSpec,
        answer=Report,
    ),
    Endpoint(
        method="GET",
        path=JOB,
        handler=get,
        summary="Show a job by name or id",
        query=ReadQuery,
        answer=JobAnswer,
    ),
    Endpoint(
        method="PUT",
        path=JOB,
        handler=replace,
        summary="Create or replace a job; honours If-Match",
        role="operator",
        body=JobSpec,
        answer=JobAnswer,
        other_status=201,
    ),
    Endpoint(
        method="PATCH",
        path=JOB,
        handler=patch,
        summary="Change fields by a JSON merge patch; honours If-Match",
        role="operator",
        body=JobSpec,
        answer=JobAnswer,
    ),
    Endpoint(
        method="DELETE",
        path=JOB,
        handler=delete,
        summary="Delete a job; honours If-Match",
        role="operator",
        query=DeleteQuery,
        status=204,
    ),
    Endpoint(
        method="PUT",
        path=JOB + "/script",
        handler=set_script,
        summary="Replace the script by the bytes of a file; honours If-Match",
        role="operator",
        body=bytes,
        answer=JobAnswer,
    ),
    Endpoint(
        method="POST",
        path=JOB + "/pause",
        handler=pause,
        summary="Skip the job's ticks from now on",
        role="operator",
        answer=JobAnswer,
    ),
    Endpoint(
        method="POST",
        path=JOB + "/resume",
        handler=resume,
        summary="Launch the job's ticks again",
        role="operator",
        answer=JobAnswer,
    ),
    Endpoint(
        method="POST",
        path=JOB + "/run",
        handler=run,
        summary="Start the job now; the same idempotency key gives the first run",
        role="operator",
        body=RunBody,
        answer=RunView,
        status=202,
    ),
    Endpoint(
        method="GET",
        path=JOB + "/versions",
        handler=versions,
        summary="List the definitions that are kept, newest first",
        answer=JobVersions,
    ),
    Endpoint(
        method="POST",
        path=JOB + "/versions/{version}/restore",
        handler=restore,
        summary="Save a definition that is kept as the newest one; honours If-Match",
        role="operator",
        answer=JobAnswer,
    ),
)
