"""The list of jobs: search, filter by state, a strip of the last runs, run and pause from the row."""

from typing import Any

from aiohttp import web

from croncord.errors import Invalid
from croncord.web import auth
from croncord.web.pages.frame import Frame
from croncord.web.pages.paging import SIZE, shown
from croncord.web.pages.saved_views import views_of
from croncord.web.query import job_search

STATES = ("running", "waiting", "succeeded", "failed", "timed_out", "lost", "paused")
_SORTS = ("name", "next_run", "last_run")
_STRIP = 30


class JobList:
    """`GET /jobs`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [web.get("/jobs", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Show a hundred jobs; the live filter asks for the same page and takes the list out."""
        who = auth.who(request)
        search = job_search(request.query)
        sort = request.query.get("sort", "name")
        problem = ""
        answer: dict[str, Any] = {"items": [], "next_cursor": None, "total": 0}
        try:
            answer = await self._frame.desk.jobs.list(
                who,
                **search._asdict(),
                sort=sort if sort in _SORTS else "name",
                limit=SIZE,
                cursor=request.query.get("cursor", ""),
            )
        except Invalid as error:
            problem = error.message
        ids = [job["id"] for job in answer["items"]]
        recent = await self._frame.desk.runs.recent(who, ids, _STRIP) if ids else {}
        context = {
            "jobs": answer["items"],
            "total": answer["total"],
            "recent": recent,
            "search": search,
            "typed": request.query.get("q", ""),
            "states": STATES,
            "sort": sort,
            "filtered": any(search),
            "problem": problem,
            "views": await views_of(self._frame, who, "jobs", request.query),
            "pages": shown("/jobs", request.query, answer),
        }
        return await self._frame.page(request, "jobs.html", context)
