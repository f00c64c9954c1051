"""Why a job did or did not run at some time, and what stands between it and its next run."""

from datetime import datetime
from typing import Any

from aiohttp import web

from croncord.errors import Invalid
from croncord.schedule import zone_info
from croncord.web import auth
from croncord.web.format import instant
from croncord.web.pages.frame import Frame


class WhyPage:
    """`GET /jobs/{job}/why?at=`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this page."""
        return [web.get("/jobs/{job}/why", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Tell about the tick nearest to `at`, which may be a time on the clock of the job's zone."""
        who, at = auth.who(request), request.query.get("at", "").strip()
        desk = self._frame.desk
        job = await desk.jobs.get(who, request.match_info["job"])
        problem, told = "", None
        try:
            told = await desk.why.tell(who, job["id"], at)
        except Invalid as error:
            problem = error.message
        asked = instant(told["asked"]) if told else None
        context: dict[str, Any] = {
            "job": job,
            "job_zone": self._frame.choices(request).zone_for(job["timezone"]),
            "told": told,
            "problem": problem,
            "is_now": not at,
            "typed": _wall(asked, job["timezone"]) if asked and at else "",
        }
        return await self._frame.page(
            request, "why.html", context, status=Invalid.status if problem else 200
        )


def _wall(at: datetime, zone: str) -> str:
    """Write a time as a field for a time on the job's clock takes it."""
    return f"{at.astimezone(zone_info(zone)):%Y-%m-%dT%H:%M:%S}"
