"""Create and edit a job: one form, a live preview, and nothing typed is ever lost."""

from typing import Any, NamedTuple
from urllib.parse import quote

from aiohttp import web

from croncord.errors import (
    Conflict,
    CronCordError,
    FieldError,
    Forbidden,
    Invalid,
    TooLarge,
    VersionChanged,
)
from croncord.model import SCRIPT_BYTES_MAX, JobSpec
from croncord.notification import JOB_KINDS
from croncord.schedule import zone_names
from croncord.service.views import spec_json
from croncord.service.who import Who
from croncord.validation import tidy_script
from croncord.web import auth
from croncord.web.diff import Comparison, compare
from croncord.web.format import instant
from croncord.web.pages.frame import Frame, see_other
from croncord.web.pages.job_form import (
    Typed,
    errors_by_field,
    fields_from,
    laid_over,
    listed,
    take_file,
    typed_from_job,
    typed_from_post,
)
from croncord.web.query import job_path, spread

PRESETS = (
    ("Every 5 minutes", "*/5 * * * *"),
    ("Hourly", "0 * * * *"),
    ("Daily 02:30", "30 2 * * *"),
    ("Weekdays 08:00", "0 8 * * 1-5"),
    ("1st of the month", "0 4 1 * *"),
    ("By hand only", "@manual"),
)
CROWD = 30
"""From so many launches in one minute on, the preview advises to spread them."""
_DEFAULTS = typed_from_job(
    {**spec_json(JobSpec(name="-", script="")), "name": "", "version": ""}
).values
_NEW = Typed({**_DEFAULTS, "schedule": "0 * * * *", "script": "#!/bin/bash\n"})


class Trouble(NamedTuple):
    """Why a form comes back, in one sentence, and what to do."""

    status: int
    title: str
    message: str
    retry: bool = False
    version: int | None = None
    """Set when somebody saved meanwhile: theirs."""
    theirs: Comparison | None = None
    """How theirs and what was typed differ."""


class Crowd(NamedTuple):
    """Many launches in one minute, and the expression that would choose another."""

    planned: int
    expr: str


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
            web.post("/jobs/{job}/edit/review", self.review),
            web.post("/jobs/{job}/edit/form", self.back),
            web.get("/jobs/{job}/edit/{step:review|form}", self.begin_again),
        ]

    async def new(self, request: web.Request) -> web.Response:
        """Show an empty form."""
        auth.who(request).require_some_job("edit")
        return await self._form(request, _NEW)

    async def edit(self, request: web.Request) -> web.Response:
        """Show the form of a job; `?version=` fills it with an earlier definition."""
        who = auth.who(request)
        who.require_some_job("edit")
        job = await self._frame.desk.jobs.get(who, request.match_info["job"])
        wanted = request.query.get("version", "")
        if wanted.isdecimal():
            kept = await self._frame.desk.jobs.versions(who, job["id"])
            old = next((it for it in kept if str(it["version"]) == wanted), None)
            if old is not None:
                job = {**job, **old["definition"]}
        return await self._form(request, typed_from_job(job), ref=request.match_info["job"])

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
        return see_other(job_path(job["name"], job["id"]), _saved(job, typed))

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
                laid_over(base, fields),
                if_match=int(version) if version.isdecimal() else base["version"],
            )
        except CronCordError as error:
            return await self._again(request, typed, error, ref=ref)
        return see_other(job_path(job["name"], job["id"]), _saved(job, typed))

    async def review(self, request: web.Request) -> web.Response:
        """Show what saving would change; everything typed goes along in the page."""
        who, ref = auth.who(request), request.match_info["job"]
        who.require_some_job("edit")
        typed = await read_form(request)
        fields = fields_from(typed)
        try:
            await self._refuse_problems(who, typed, fields)
            job = await self._frame.desk.jobs.get(who, ref)
            after = laid_over(job, fields)
            verdict = await self._frame.desk.jobs.validate(who, {**after, "id": job["id"]})
            if verdict["errors"]:
                raise Invalid([FieldError(e["field"], e["message"]) for e in verdict["errors"]])
        except CronCordError as error:
            return await self._again(request, typed, error, ref=ref)
        context = {
            "ref": ref,
            "job": job,
            "typed": typed,
            "errors": {},
            "verdict": verdict,
            "paused": after["paused"],
            "after_zone": self._frame.choices(request).zone_for(str(after["timezone"])),
            "comparison": compare(job, {**after, "script": tidy_script(after["script"])}),
        }
        return await self._frame.page(request, "review.html", context)

    async def back(self, request: web.Request) -> web.Response:
        """Show the form again as it was filled in."""
        auth.who(request).require_some_job("edit")
        typed = await read_form(request)
        fields_from(typed)
        return await self._form(request, typed, ref=request.match_info["job"])

    async def begin_again(self, request: web.Request) -> web.Response:
        """Lead who loads a step again to the form; the browser's draft has what was typed."""
        return see_other(f"/jobs/{quote(request.match_info['job'], safe='')}/edit")

    async def preview(self, request: web.Request) -> web.Response:
        """Show what a schedule will do: the fragment below the schedule field."""
        who, query = auth.who(request), request.query
        context = await self._preview(
            who, query.get("schedule", ""), query.get("timezone", "UTC"), query.get("dst", "cron")
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
            mine = laid_over(job, fields_from(typed))
            trouble = trouble._replace(version=job["version"], theirs=compare(job, mine))
        elif isinstance(error, Forbidden) and auth.who(request).may_some_job("edit"):
            typed.problems = [FieldError("tags", f"{error.message}. {error.hint}")]
            trouble = trouble._replace(title="Not saved", message="")
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
        calendars = await self._frame.desk.calendars.list(auth.who(request), stale=True)
        context = {
            "typed": typed,
            "ref": ref,
            "errors": errors,
            "trouble": trouble,
            "verdict": verdict,
            "nodes": nodes,
            "calendars": calendars,
            "listed": listed,
            "unusual": {k for k, v in typed.values.items() if v and v != _DEFAULTS.get(k)},
            "channels": await self._channels(auth.who(request)),
            "kinds": JOB_KINDS,
            "zones": zone_names(),
            "presets": PRESETS,
            "script_bytes_max": SCRIPT_BYTES_MAX,
            **await self._preview(
                auth.who(request),
                typed.get("schedule"),
                typed.get("timezone"),
                typed.get("dst", "cron"),
            ),
        }
        return await self._frame.page(
            request, "edit.html", context, status=trouble.status if trouble else 200
        )

    async def _channels(self, who: Who) -> list[str]:
        if not who.may_some_job("edit"):
            return []
        channels = await self._frame.desk.notifications.channels(who, stale=True)
        return [channel["name"] for channel in channels]

    async def _preview(self, who: Who, schedule: str, timezone: str, dst: str) -> dict[str, Any]:
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
        return {
            "previews": answers,
            "preview_problems": problems,
            "preview_zone": timezone,
            "crowd": await self._crowd(who, answers),
        }

    async def _crowd(self, who: Who, answers: list[dict[str, Any]]) -> Crowd | None:
        """Return how many launches share the first minute, when they are many and could be spread."""
        expr = answers[0]["expr"] if len(answers) == 1 else ""
        first = instant(answers[0]["times"][0]) if expr and answers[0]["times"] else None
        if first is None or spread(expr) == expr:
            return None
        ahead = await self._frame.desk.timeline.ahead(who)
        since = instant(ahead["since"])
        minute = int((first - since).total_seconds()) // 60 if since else -1
        planned = ahead["minutes"][minute] if 0 <= minute < len(ahead["minutes"]) else 0
        return Crowd(planned, spread(expr)) if planned >= CROWD else None


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


def _saved(job: dict[str, Any], typed: Typed) -> str:
    return " ".join((f"Saved as version {job['version']}.", *typed.notes))
