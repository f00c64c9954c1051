"""Go to anything: pages, jobs, nodes and runs by a few letters. Also what the palette (Ctrl+K) shows."""

import re
from typing import Any, NamedTuple

from aiohttp import web

from croncord.credentials import Role
from croncord.service.who import Who
from croncord.web import auth
from croncord.web.pages.frame import Frame
from croncord.web.query import address, job_path

_JOBS = 8
_RUN_ID = re.compile(r"[0-9a-v]{24}")


class Place(NamedTuple):
    """Somewhere to go."""

    kind: str
    name: str
    href: str
    state: str = ""


PLACES: tuple[tuple[str, str, Role], ...] = (
    ("Overview", "/", "viewer"),
    ("Jobs", "/jobs", "viewer"),
    ("New job", "/jobs/new", "operator"),
    ("Runs", "/runs", "viewer"),
    ("Failed jobs", "/jobs?state=failed", "viewer"),
    ("Failed runs", "/runs?state=failed", "viewer"),
    ("Running now", "/runs?state=running", "viewer"),
    ("Paused jobs", "/jobs?state=paused", "viewer"),
    ("Next 24 hours", "/day", "viewer"),
    ("Search output", "/logs", "viewer"),
    ("Nodes", "/nodes", "viewer"),
    ("Cluster", "/cluster", "viewer"),
    ("Audit", "/audit", "viewer"),
    ("Settings", "/settings", "viewer"),
)


class FindPage:
    """`GET /find`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this page."""
        return [web.get("/find", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Show what fits the letters, the best first."""
        who = auth.who(request)
        typed = request.query.get("q", "").strip()[:200]
        words = typed.lower().split()
        places = [
            Place("Page", name, href)
            for name, href, role in PLACES
            if _may_go(who, role) and all(word in name.lower() for word in words)
        ]
        jobs: list[dict[str, Any]] = []
        total = 0
        if words:
            answer = await self._frame.desk.jobs.list(who, q=typed, limit=_JOBS, stale=True)
            jobs, total = answer["items"], answer["total"]
        found = [
            Place("Job", job["name"], job_path(job["name"], job["id"]), job["state"])
            for job in jobs
        ]
        found += places
        if words:
            nodes = await self._frame.desk.cluster.nodes(stale=True)
            found += [
                Place("Node", node["name"], f"/nodes#node-{node['name']}", node["state"])
                for node in nodes
                if all(word in node["name"].lower() for word in words)
            ]
        if _RUN_ID.fullmatch(typed):
            found.insert(0, Place("Run", typed, f"/runs/{typed}"))
        context = {
            "typed": typed,
            "found": found,
            "more": total - len(jobs),
            "all_jobs": address("/jobs", {}, q=typed),
        }
        return await self._frame.page(request, "find.html", context)


def _may_go(who: Who, role: Role) -> bool:
    return who.may(role) or (role == "operator" and who.may_some_job("edit"))
