"""One action for many jobs: those ticked, or all that a filter finds. Asks first, tells each result."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from aiohttp import web

from croncord.errors import CronCordError
from croncord.service import Who
from croncord.service.jobs import JobService
from croncord.web import auth
from croncord.web.format import sentence
from croncord.web.pages.frame import Frame, schedule_list
from croncord.web.query import JobSearch, job_search, local_path, spread

JOBS_MAX: Final = 5000
_AT_ONCE: Final = 32
_PAGE: Final = 1000
_NAMED: Final = 10

Json = dict[str, Any]


class Action(NamedTuple):
    """What can be done to many jobs."""

    verb: str
    done: str
    """After a number of jobs: `3 jobs were paused`."""
    warning: str
    do: Callable[[JobService, Who, Json], Awaitable[object]]
    is_danger: bool = False


async def _spread(jobs: JobService, who: Who, job: Json) -> object:
    """Let the job's own hash choose the minute; what cannot be spread is refused by the service."""
    schedule = [spread(expr) for expr in schedule_list(job["schedule"])]
    return await jobs.patch(who, job["id"], {"schedule": schedule}, if_match=job["version"])


ACTIONS: Final[Mapping[str, Action]] = {
    "run": Action(
        "Run now",
        "started",
        "Each starts once, now.",
        lambda jobs, who, job: jobs.run(who, job["id"]),
    ),
    "pause": Action(
        "Pause",
        "paused",
        "Their ticks are skipped until somebody resumes them. What runs goes on.",
        lambda jobs, who, job: jobs.pause(who, job["id"]),
    ),
    "resume": Action(
        "Resume",
        "resumed",
        "They run on schedule again.",
        lambda jobs, who, job: jobs.resume(who, job["id"]),
    ),
    "delete": Action(
        "Delete",
        "deleted",
        "They will not run again. Their past runs and output stay. What runs now goes on.",
        lambda jobs, who, job: jobs.delete(who, job["id"]),
        is_danger=True,
    ),
    "spread": Action(
        "Spread",
        "spread",
        "The minute of each schedule becomes H: a minute that is drawn once from the job's id and"
        " stays the same. The hours and days stay as they are.",
        _spread,
    ),
}


class Outcome(NamedTuple):
    """What became of one job."""

    name: str
    id: str
    refusal: str


class BulkPages:
    """`POST /jobs/bulk/{action}`: first asks, then does."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        names = "|".join(ACTIONS)
        path = f"/jobs/bulk/{{action:{names}}}"
        return [web.post(path, self.show), web.get(path, self.begin)]

    async def begin(self, _request: web.Request) -> web.Response:
        """Lead who loads the page again to the list."""
        raise web.HTTPSeeOther("/jobs")

    async def show(self, request: web.Request) -> web.Response:
        """Ask, or do it when the answer came along."""
        who = auth.who(request)
        who.require_some_job("run")
        post = await request.post()
        name = request.match_info["action"]
        action = ACTIONS[name]
        search = job_search(_search_fields(post)) if post.get("all") else None
        ids = [str(value) for value in post.getall("job", [])][:JOBS_MAX]
        jobs, total = await self._chosen(who, search, ids)
        confirmed = str(post.get("confirmed", "")).replace(",", "").strip()
        is_sure = confirmed == (str(len(jobs)) if action.is_danger else "yes")
        back = local_path(str(post.get("next", "")), "/jobs")
        context = {
            "action": action,
            "path": f"/jobs/bulk/{name}",
            "jobs": jobs,
            "named": jobs[:_NAMED],
            "total": total,
            "search": search,
            "search_fields": search._asdict() if search else {},
            "ids": ids,
            "back": back,
            "limit": JOBS_MAX,
            "wrong": bool(confirmed) and not is_sure,
            "after": {job["id"]: _after(name, job) for job in jobs[:_NAMED]},
        }
        if not jobs or not is_sure:
            status = 422 if context["wrong"] else 200
            return await self._frame.page(request, "bulk.html", context, status=status)
        outcomes = await self._do(who, action, jobs)
        self._frame.desk.timeline.forget_plan()
        refused = [outcome for outcome in outcomes if outcome.refusal]
        context |= {"done": len(outcomes) - len(refused), "refused": refused}
        return await self._frame.page(request, "bulk_done.html", context)

    async def _chosen(
        self, who: Who, search: JobSearch | None, ids: list[str]
    ) -> tuple[list[Json], int]:
        """Return the jobs, the filter asked anew, and how many it found."""
        wanted = dict.fromkeys(ids)
        found: list[Json] = []
        cursor, total = "", 0
        filters = search._asdict() if search is not None else {}
        if search is None and not wanted:
            return [], 0
        while len(found) < JOBS_MAX:
            page = await self._frame.desk.jobs.list(who, **filters, limit=_PAGE, cursor=cursor)
            items: Iterable[Json] = page["items"]
            found += [job for job in items if search is not None or job["id"] in wanted]
            total, cursor = page["total"], page["next_cursor"] or ""
            if not cursor:
                break
        return found[:JOBS_MAX], total if search is not None else len(found)

    async def _do(self, who: Who, action: Action, jobs: list[Json]) -> list[Outcome]:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(job: Json) -> Outcome:
            async with gate:
                try:
                    await action.do(self._frame.desk.jobs, who, job)
                except CronCordError as error:
                    return Outcome(job["name"], job["id"], sentence(error.message))
            return Outcome(job["name"], job["id"], "")

        return list(await asyncio.gather(*(one(job) for job in jobs)))


def _search_fields(post: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(post.get(f"filter.{name}", "")) for name in ("q", "tag", "state", "node")}


def _after(action: str, job: Json) -> str:
    """Say what a job's schedule becomes, where the action changes it."""
    if action != "spread":
        return ""
    return "; ".join(spread(expr) for expr in schedule_list(job["schedule"]))
