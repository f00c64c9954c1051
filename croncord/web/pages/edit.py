"""Create and edit a job: one form, a live preview, and nothing typed is ever lost."""

from typing import Any, NamedTuple
from urllib.parse import quote

from aiohttp import web

from croncord.errors import (
    Conflict,
    CronCordError,
    FieldError,
    Invalid,
    TooLarge,
    VersionChanged,
)
from croncord.model import SCRIPT_BYTES_MAX
from croncord.schedule import zone_names
from croncord.service.who import Who
from croncord.web import auth
from croncord.web.pages.frame import Frame, see_other
from croncord.web.pages.job_form import (
    Typed,
    errors_by_field,
    fields_from,
    take_file,
    typed_from_job,
    typed_from_post,
)

PRESETS = (
    ("Every 5 minutes", "*/5 * * * *"),
    ("Hourly", "0 * * * *"),
    ("Daily 02:30", "30 2 * * *"),
    ("Weekdays 08:00", "0 8 * * 1-5"),
    ("1st of the month", "0 4 1 * *"),
    ("By hand only", "@manual"),
)
_NEW = Typed(
    {
        "schedule": "0 * * * *",
        "script": "#!/bin/bash\n",
        "timezone": "UTC",
        "misfire.window_seconds": "3600",
        "kill_grace_seconds": "10",
        "retries.count": "0",
        "retries.delay_seconds": "10",
        "retries.backoff": "1",
        "retries.max_delay_seconds": "3600",
        "limits.log_bytes": "16777216",
    }
)
_READ_ONLY = (
    "id", "version", "state", "next_run", "last_run", "running", "created_at", "updated_at",
    "updated_by", "script_sha256", "script_bytes",
)  # fmt: skip


class Trouble(NamedTuple):
    """Why a form comes back, in one sentence, and what to do."""

    status: int
    title: str
    message: str
    retry: bool = False
    version: int | None = None
    """Set when somebody saved meanwhile: theirs."""


class JobEditor:
    """`/jobs/new`, `/jobs/{job}/edit`, and what the form asks while it is filled in."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [
            web.get("/jobs/new", self.new),
            web.post("/jobs/new", self.create),
            web.get("/jobs/preview", self.preview),
            web.post("/jobs/check", self.check),
            web.get("/jobs/{job}/edit", self.edit),
            web.post("/jobs/{job}/edit", self.save),
        ]

    async def new(self, request: web.Request) -> web.Response:
        """Show an empty form."""
        auth.who(request).require("operator")
        return await self._form(request, _NEW)

    async def edit(self, request: web.Request) -> web.Response:
        """Show the form of a job."""
        who = auth.who(request)
        who.require("operator")
        job = await self._frame.desk.jobs.get(who, request.match_info["job"])
        return await self._form(request, typed_from_job(job), ref=job["name"])

    async def create(self, request: web.Request) -> web.Response:
        """Create the job, or show the form again with what is wrong."""
        who = auth.who(request)
        typed = await read_form(request)
        fields = fields_from(typed)
        try:
            await self._refuse_problems(who, typed, fields)
            job = await self._frame.desk.jobs.create(who, fields)
        except CronCordError as error:
            return await self._again(request, typed, error)
        return see_other(f"/jobs/{quote(job['name'], safe='')}", _saved(job, typed))

    async def save(self, request: web.Request) -> web.Response:
        """Replace the job by what the form says, on top of the version it was opened with."""
        who = auth.who(request)
        ref = request.match_info["job"]
        typed = await read_form(request)
        fields = fields_from(typed)
        version = typed.get("version")
        try:
            await self._refuse_problems(who, typed, fields)
            base = await self._frame.desk.jobs.get(who, ref)
            job = await self._frame.desk.jobs.replace(
                who,
                base["id"],
                _over(base, fields),
                if_match=int(version) if version.isdecimal() else base["version"],
            )
        except CronCordError as error:
            return await self._again(request, typed, error, ref=ref)
        return see_other(f"/jobs/{quote(job['name'], safe='')}", _saved(job, typed))

    async def preview(self, request: web.Request) -> web.Response:
        """Show what a schedule will do: the fragment below the schedule field."""
        auth.who(request)
        query = request.query
        context = self._preview(
            query.get("schedule", ""), query.get("timezone", "UTC"), query.get("dst", "cron")
        )
        return self._frame.fragment(request, "preview.html", context)

    async def check(self, request: web.Request) -> web.Response:
        """Check the whole form without saving; without scripts this shows the form again."""
        who = auth.who(request)
        typed = await read_form(request)
        ref = request.query.get("job", "")
        fields = fields_from(typed)
        if ref:
            fields["id"] = (await self._frame.desk.jobs.get(who, ref))["id"]
        verdict = await self._frame.desk.jobs.validate(who, fields)
        if "X-Croncord-Live" in request.headers:
            found = [FieldError(e["field"], e["message"]) for e in verdict["errors"]]
            return self._frame.fragment(
                request,
                "check.html",
                {"verdict": verdict, "errors": [*typed.problems, *found], "typed": typed},
            )
        found = [FieldError(e["field"], e["message"]) for e in verdict["errors"]]
        typed.problems.extend(found)
        return await self._form(request, typed, ref=ref, verdict=verdict)

    async def _refuse_problems(self, who: Who, typed: Typed, fields: dict[str, Any]) -> None:
        """Raise with what the form could not read and what the service finds wrong, all at once."""
        if typed.problems:
            verdict = await self._frame.desk.jobs.validate(who, fields)
            found = [FieldError(e["field"], e["message"]) for e in verdict["errors"]]
            unread = {problem.field for problem in typed.problems}
            raise Invalid([*typed.problems, *(e for e in found if e.field not in unread)])

    async def _again(
        self, request: web.Request, typed: Typed, error: CronCordError, *, ref: str = ""
    ) -> web.Response:
        trouble = Trouble(error.status, error.title, error.message)
        if isinstance(error, Invalid):
            typed.problems = list(error.errors)
            trouble = trouble._replace(title="Not saved", message="")
        elif isinstance(error, VersionChanged):
            job = await self._frame.desk.jobs.get(auth.who(request), ref)
            trouble = trouble._replace(version=job["version"])
        elif isinstance(error, Conflict):
            typed.problems = [FieldError("name", error.message)]
            trouble = trouble._replace(title="Not saved", message="")
        elif error.status in {503, 504}:
            trouble = trouble._replace(retry=True)
        elif not isinstance(error, TooLarge):
            raise error
        return await self._form(request, typed, ref=ref, trouble=trouble)

    async def _form(
        self,
        request: web.Request,
        typed: Typed,
        *,
        ref: str = "",
        trouble: Trouble | None = None,
        verdict: dict[str, Any] | None = None,
    ) -> web.Response:
        errors = errors_by_field(typed.problems)
        nodes = await self._frame.desk.cluster.nodes(stale=True)
        context = {
            "typed": typed,
            "ref": ref,
            "errors": errors,
            "trouble": trouble,
            "verdict": verdict,
            "nodes": nodes,
            "zones": zone_names(),
            "presets": PRESETS,
            "script_bytes_max": SCRIPT_BYTES_MAX,
            **self._preview(typed.get("schedule"), typed.get("timezone"), typed.get("dst", "cron")),
        }
        return await self._frame.page(
            request, "edit.html", context, status=trouble.status if trouble else 200
        )

    def _preview(self, schedule: str, timezone: str, dst: str) -> dict[str, Any]:
        lines = [line.strip() for line in schedule.splitlines() if line.strip()]
        answers: list[dict[str, Any]] = []
        problems: list[FieldError] = []
        for line in lines:
            try:
                answers.append(
                    {
                        "expr": line,
                        **self._frame.desk.jobs.preview(
                            line,
                            timezone or "UTC",
                            n=10 if len(lines) == 1 else 4,
                            dst=dst or "cron",
                        ),
                    }
                )
            except Invalid as error:
                problems.extend(error.errors)
        return {"previews": answers, "preview_problems": problems, "preview_zone": timezone}


async def read_form(request: web.Request) -> Typed:
    """Read the form; a chosen file wins over the text box. Raises TooLarge."""
    post = await request.post()
    typed = typed_from_post((k, v) for k, v in post.items() if isinstance(v, str))
    upload = post.get("script_file")
    if isinstance(upload, web.FileField) and upload.filename:
        data = upload.file.read(SCRIPT_BYTES_MAX + 1)
        if len(data) > SCRIPT_BYTES_MAX:
            message = f"{upload.filename} is larger than {SCRIPT_BYTES_MAX:,} bytes"
            typed.problems.append(FieldError("script_file", message))
        else:
            take_file(typed, data, upload.filename)
    return typed


def _over(job: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Lay the form's fields over the job, so that what the form does not know stays."""
    merged = {name: value for name, value in job.items() if name not in _READ_ONLY}
    for name, value in fields.items():
        old = merged.get(name)
        nested = name in {"target", "misfire", "retries", "limits"}
        merged[name] = {**old, **value} if nested and isinstance(old, dict) else value
    return merged


def _saved(job: dict[str, Any], typed: Typed) -> str:
    return " ".join((f"Saved as version {job['version']}.", *typed.notes))
