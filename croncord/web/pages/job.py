"""One job: how it does, what it will do, its runs, definition and versions; and its buttons."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from croncord.web import auth, charts, format  # noqa: A004  # the module's name says it best
from croncord.web.pages.frame import Frame, see_other
from croncord.web.query import address, job_path, local_path

_STRIP = 90
_SHOWN = 25


class JobPage:
    """`/jobs/{job}` and what can be done there."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [
            web.get("/jobs/{job}", self.show),
            web.post("/jobs/{job}/run", self.run),
            web.post("/jobs/{job}/pause", self.pause),
            web.post("/jobs/{job}/resume", self.resume),
            web.post("/jobs/{job}/delete", self.delete),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Show the job."""
        who = auth.who(request)
        jobs = self._frame.desk.jobs
        job = await jobs.get(who, request.match_info["job"])
        page = job_path(job["name"], job["id"])
        if request.match_info["job"] != unquote(page.removeprefix("/jobs/")):
            raise web.HTTPSeeOther(page)
        rows = (await self._frame.desk.runs.recent(who, [job["id"]], _STRIP))[job["id"]]
        newest = await self._frame.desk.runs.list(who, job=job["id"], limit=_SHOWN, stale=True)
        zone = self._frame.choices(request).zone_for(job["timezone"])

        def title(row: charts.Row) -> str:
            return format.stamp(row["nominal_time"], zone)

        context = {
            "job": job,
            "job_zone": zone,
            "rows": rows,
            "cells": [_cell(row, title(row), page) for row in reversed(rows)],
            "shown": newest["items"],
            "more": len(rows) > _SHOWN,
            "durations": charts.durations(rows, title=title),
            "told": (await self._frame.desk.notifications.list(who, job=job["id"], limit=5))[
                "items"
            ],
            "versions": await jobs.versions(who, job["id"]),
            "target": target_words(job["target"]),
        }
        return await self._frame.page(request, "job.html", context)

    async def run(self, request: web.Request) -> web.Response:
        """Start it now and go to the run."""
        run = await self._frame.desk.jobs.run(auth.who(request), request.match_info["job"])
        return see_other(f"/runs/{run['id']}")

    async def pause(self, request: web.Request) -> web.Response:
        """Pause it and go back."""
        job = await self._frame.desk.jobs.pause(auth.who(request), request.match_info["job"])
        return await _back(request, job, f"{job['name']} is paused: its ticks are skipped.")

    async def resume(self, request: web.Request) -> web.Response:
        """Resume it and go back."""
        job = await self._frame.desk.jobs.resume(auth.who(request), request.match_info["job"])
        return await _back(request, job, f"{job['name']} runs on schedule again.")

    async def delete(self, request: web.Request) -> web.Response:
        """Delete it; with the box ticked what runs is killed too."""
        post = await request.post()
        ref = request.match_info["job"]
        await self._frame.desk.jobs.delete(auth.who(request), ref, kill=bool(post.get("kill")))
        return see_other("/jobs", f"{ref} is deleted. Its past runs stay in the list of runs.")


def _cell(row: charts.Row, title: str, page: str) -> charts.Cell:
    """Return a cell of the strip: a run leads to its page, a tick that did not run to the reason."""
    cell = charts.cell(row, title)
    if row["state"] not in {"skipped", "missed"}:
        return cell
    return cell._replace(href=address(f"{page}/why", {}, at=row["nominal_time"]))


async def _back(request: web.Request, job: Mapping[str, Any], note: str) -> web.Response:
    post = await request.post()
    page = job_path(job["name"], job["id"])
    return see_other(local_path(str(post.get("next", "")), page), note)


def target_words(target: Mapping[str, Any]) -> str:
    """Say where a job may run."""
    labels = ", ".join(f"{name}={value}" for name, value in target["labels"].items())
    where = ", ".join(target["nodes"]) or ("any node" if not labels else "nodes")
    if labels:
        where += f" labelled {labels}"
    return f"every node of: {where}" if target["every_node"] else where
