"""An earlier version of a job: how it differs from the current one, and back to it."""

from aiohttp import web

from croncord.errors import NotFound
from croncord.web import auth
from croncord.web.diff import compare
from croncord.web.pages.frame import Frame, see_other
from croncord.web.query import job_path


class VersionPage:
    """`/jobs/{job}/versions/{version}` and its button."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        path = r"/jobs/{job}/versions/{version:\d{1,9}}"
        return [web.get(path, self.show), web.post(f"{path}/restore", self.restore)]

    async def show(self, request: web.Request) -> web.Response:
        """Show what going back to the version would change."""
        who, ref = auth.who(request), request.match_info["job"]
        number = int(request.match_info["version"])
        job = await self._frame.desk.jobs.get(who, ref)
        kept = await self._frame.desk.jobs.versions(who, job["id"])
        version = next((it for it in kept if it["version"] == number), None)
        if version is None:
            raise NotFound(
                f"version {number} of {job['name']!r} is not kept", hint="See the job's versions."
            )
        context = {
            "job": job,
            "job_zone": self._frame.choices(request).zone_for(job["timezone"]),
            "version": version,
            "is_current": number == job["version"],
            "comparison": compare(job, version["definition"]),
        }
        return await self._frame.page(request, "version.html", context)

    async def restore(self, request: web.Request) -> web.Response:
        """Save the old definition as the newest version."""
        number = int(request.match_info["version"])
        seen = str((await request.post()).get("if_match", ""))
        job = await self._frame.desk.jobs.restore(
            auth.who(request),
            request.match_info["job"],
            number,
            if_match=int(seen) if seen.isdecimal() else None,
        )
        note = f"Version {number} is the current one again, as version {job['version']}."
        return see_other(job_path(job["name"], job["id"]), note)
